"""OpenAI's own client on the Responses surface, plain and async, to its own models and to translated ones.

Each story runs as users write it; the mock's answers are deterministic, so a whole answer and a
streamed one must say the same. Chat's and Anthropic's clients reach the same surface through the
provider ``openai-responses``.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import openai
import pytest
from openai.types.responses import Response
from pydantic import BaseModel

OWN, TRANSLATED, CHAT = (
    "openai/gpt-4o-mini",
    "anthropic/claude-sonnet-4-5",
    "groq/llama-3.3-70b-versatile",
)
MODELS = (OWN, TRANSLATED, CHAT, "openrouter/openai/gpt-4o")
THINKERS = ("openai/gpt-5-mini", TRANSLATED, "openrouter/openai/gpt-5-mini")
FOREIGN_SURFACE = "openai-responses/gpt-5-mini"
every_way = pytest.mark.parametrize("model", MODELS)

PIXEL = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(58)).decode()


def function(name: str, **properties: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {key: {"type": kind} for key, kind in properties.items()},
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"type": "function", "name": name, "parameters": schema, "strict": True}


WEATHER = function("get_weather", location="string", days="integer")
TIME = function("get_time", zone="string")


class Answer(BaseModel):
    """What a structured answer is parsed into."""

    city: str
    degrees: int


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def calls(response: Any) -> list[Any]:
    return [item for item in response.output if item.type == "function_call"]


def sent_back(response: Any) -> list[dict[str, Any]]:
    """The items of an answer, as a client that keeps its own history sends them again."""
    return [item.model_dump(exclude_none=True) for item in response.output]


@pytest.mark.req("R-SURF-001", "R-XLATE-020")
@pytest.mark.pitfall(146, 147)
@every_way
def test_a_question_is_answered(gpt, model):
    """The SDK believes what it gets; its own types say what is missing."""
    response = gpt.responses.create(model=model, input="Good morning", instructions="Be kind.")
    if model != OWN and "openrouter" not in model:
        Response.model_validate(response.model_dump())
    assert response.object == "response"
    assert response.status == "completed"
    assert response.id.startswith(("resp_", "gen-"))
    assert response.output_text.startswith("You said: Good morning")
    assert response.model == model.partition("/")[2]
    (message,) = response.output
    assert (message.type, message.role) == ("message", "assistant")
    usage = response.usage
    assert usage.input_tokens > 0
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    assert usage.input_tokens_details.cached_tokens == 0
    assert usage.output_tokens_details.reasoning_tokens == 0


@pytest.mark.req("R-STRM-001", "R-STRM-002", "R-TEST-010")
@pytest.mark.pitfall(146, 159)
@every_way
def test_what_is_streamed_is_what_the_whole_answer_says(gpt, model):
    asked = {"model": model, "input": [user("Tell me a story")]}
    whole = gpt.responses.create(**asked)
    events = list(gpt.responses.create(**asked, stream=True))
    said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert said == whole.output_text
    numbers = [event.sequence_number for event in events]
    assert numbers == list(range(len(events)))
    assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"]
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == whole.output_text
    assert last.response.usage == whole.usage
    assert {event.response.id for event in (events[0], last)} == {last.response.id}


@every_way
def test_the_sdks_own_accumulator_puts_text_together(gpt, model):
    asked = {"model": model, "input": "A long story"}
    with gpt.responses.stream(**asked) as stream:
        pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert "".join(pieces) == final.output_text == gpt.responses.create(**asked).output_text


@pytest.mark.req("R-TOOL-001", "R-ADD-013")
@every_way
def test_a_tool_is_called_and_its_result_answered_in_a_second_turn(gpt, model):
    asked = {"model": model, "tools": [WEATHER, TIME]}
    opening = user("Please use get_weather")
    first = gpt.responses.create(**asked, input=[opening])
    (call,) = calls(first)
    assert call.name == "get_weather"
    assert json.loads(call.arguments) == {"location": "mock location", "days": 7}
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "21 °C, sunny"}
    second = gpt.responses.create(**asked, input=[opening, *sent_back(first), result])
    assert second.output_text == "The tool answered: 21 °C, sunny"


@pytest.mark.req("R-TOOL-002")
@pytest.mark.pitfall(39)
@every_way
def test_parallel_calls_are_streamed_and_keep_their_ids_and_results(gpt, model):
    asked = {"model": model, "tools": [WEATHER, TIME]}
    opening = user("get_weather and get_time")
    with gpt.responses.stream(**asked, input=[opening]) as stream:
        for _ in stream:
            pass
        first = stream.get_final_response()
    weather, clock = calls(first)
    assert [weather.name, clock.name] == ["get_weather", "get_time"]
    assert json.loads(weather.arguments) == {"location": "mock location", "days": 7}
    assert weather.call_id != clock.call_id
    results = [
        {"type": "function_call_output", "call_id": weather.call_id, "output": "rain"},
        {"type": "function_call_output", "call_id": clock.call_id, "output": "noon"},
    ]
    kept = [
        item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in first.output
    ]
    second = gpt.responses.create(**asked, input=[opening, *kept, *results])
    assert "rain" in second.output_text
    assert "noon" in second.output_text


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "get_time"}])
@every_way
def test_a_tool_is_forced(gpt, model, choice):
    response = gpt.responses.create(
        model=model, input="Hello", tools=[TIME, WEATHER], tool_choice=choice
    )
    (call,) = calls(response)
    assert call.name == "get_time"


@pytest.mark.req("R-TOOL-003", "R-XLATE-011")
@every_way
def test_an_image_arrives_whole(gpt, model):
    model = model.replace("llama-3.3-70b-versatile", "meta-llama/llama-4-scout")  # it sees
    parts = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": PIXEL, "detail": "auto"},
    ]
    response = gpt.responses.create(model=model, input=[user(parts)])
    assert response.output_text.startswith("I see 1 image(s): image/png of 66 bytes.")


@every_way
def test_structured_output_is_parsed_by_the_sdk(gpt, model):
    asked = {"model": model, "input": "Where is it warm?", "text_format": Answer}
    expected = Answer(city="mock city", degrees=7)
    assert gpt.responses.parse(**asked).output_parsed == expected
    with gpt.responses.stream(**asked) as stream:
        assert stream.get_final_response().output_parsed == expected


def thought(response: Any) -> str:
    """Reasoning in the words that a response shows of it."""
    return "".join(
        part.text
        for item in response.output
        if item.type == "reasoning"
        for part in (item.content or item.summary)
    )


@pytest.mark.parametrize("model", THINKERS)
def test_thinking_is_asked_for_by_effort_and_told_apart_from_the_text(gpt, model):
    asked = {"model": model, "input": "Think hard"}
    asked["reasoning"] = {"effort": "high", "summary": "auto"}
    response = gpt.responses.create(**asked)
    assert thought(response) == "The caller says: Think hard Let me think."
    assert response.output_text.startswith("You said: Think hard")
    with gpt.responses.stream(**asked) as stream:
        streamed = stream.get_final_response()
    assert thought(streamed) == thought(response)
    assert streamed.output_text == response.output_text


@pytest.mark.pitfall(104)
@pytest.mark.parametrize("model", ["openai/gpt-5-mini", TRANSLATED])
@pytest.mark.parametrize("streamed", [False, True])
def test_reasoning_makes_the_round_trip_with_its_state(gpt, model, streamed):
    """The mock refuses a thought whose state is not the one it made."""
    asked = {
        "model": model,
        "tools": [WEATHER],
        "reasoning": {"effort": "low"},
        "include": ["reasoning.encrypted_content"],
        "store": False,
    }
    opening = user("Think, then get_weather")
    if streamed:
        with gpt.responses.stream(**asked, input=[opening]) as stream:
            first = stream.get_final_response()
    else:
        first = gpt.responses.create(**asked, input=[opening])
    kept = [
        item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in first.output
    ]
    assert kept[0]["encrypted_content"].startswith(("mock", "drg1."))
    (call,) = calls(first)
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "snow"}
    second = gpt.responses.with_raw_response.create(**asked, input=[opening, *kept, result])
    assert second.parse().output_text == "The tool answered: snow"
    assert "reasoning" not in second.headers.get("x-dragoman-dropped", "")


@every_way
def test_a_limit_of_tokens_is_told_as_incomplete(gpt, model):
    response = gpt.responses.create(
        model=f"{model}--mock-length-3000", input="Hi", max_output_tokens=16
    )
    assert response.status == "incomplete"
    assert response.incomplete_details.reason == "max_output_tokens"


# --------------------------------------------------------------------------- failures

LATER = "--mock-retry-after-30"
"""Longer than the gateway itself would wait (D17)."""
STATUSES = {
    400: openai.BadRequestError,
    404: openai.NotFoundError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("model", [OWN, TRANSLATED, CHAT])
def test_a_refusal_is_raised_as_its_own_kind(gpt, model, status):
    with pytest.raises(STATUSES[status]) as caught:
        gpt.responses.create(model=f"{model}--mock-status-{status}{LATER}", input="Hello")
    assert caught.value.status_code == status
    assert caught.value.body["message"]
    assert caught.value.body["dragoman"]["request_id"].startswith("req_")


BREAKS = {
    "cut clean": "--mock-cut-2900--mock-cut-mode-end",
    "reset": "--mock-cut-2900--mock-cut-mode-reset",
    "error in the stream": "--mock-error-after-9",
    "no finish and no end": "--mock-finish-null--mock-done-off",
}


@pytest.mark.req("R-REL-008", "R-STRM-005")
@pytest.mark.pitfall(13, 14, 158)
@pytest.mark.parametrize("script", BREAKS.values(), ids=BREAKS)
@every_way
def test_a_stream_that_breaks_raises_and_never_ends_quietly(gpt, model, script):
    said: list[str] = []
    kinds: list[str] = []
    broken = f"{model}--mock-length-3000{script}"
    stream = gpt.responses.create(model=broken, input="Tell me a long story", stream=True)
    with pytest.raises(openai.APIError) as caught:
        for event in stream:
            kinds.append(event.type)
            if event.type == "response.output_text.delta":
                said.append(event.delta)
    assert "".join(said).startswith("You said: ")
    assert "response.completed" not in kinds
    assert caught.value.body["dragoman"]["request_id"].startswith("req_")


@pytest.mark.pitfall(148)
def test_what_only_openai_keeps_is_refused_elsewhere(gpt):
    with pytest.raises(openai.BadRequestError) as caught:
        gpt.responses.create(model=TRANSLATED, input="Go on", prompt={"id": "pmpt_1"})
    assert caught.value.param == "prompt"
    assert caught.value.code == "unsupported_parameter"


# --------------------------------------------------------------------------- other dialects' clients


def test_a_chat_client_reaches_the_surface(gpt):
    asked = {
        "model": FOREIGN_SURFACE,
        "messages": [user("Think, then get_weather")],
        "tools": [
            {
                "type": "function",
                "function": {name: WEATHER[name] for name in ("name", "parameters", "strict")},
            }
        ],
        "reasoning_effort": "low",
    }
    first = gpt.chat.completions.create(**asked)
    message = first.choices[0].message
    assert first.choices[0].finish_reason == "tool_calls"
    kept = message.model_dump(exclude_none=True)
    assert any(entry.get("data", "").startswith("mock") for entry in kept["reasoning_details"])
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "snow"}
    again = {**asked, "messages": [*asked["messages"], kept, result]}
    second = gpt.chat.completions.with_raw_response.create(**again)
    assert second.parse().choices[0].message.content == "The tool answered: snow"
    assert "reasoning" not in second.headers.get("x-dragoman-dropped", "")
    chunks = list(gpt.chat.completions.create(**again, stream=True))
    told = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert told == "The tool answered: snow"


def test_anthropics_client_reaches_the_surface(claude):
    asked = {
        "model": FOREIGN_SURFACE,
        "max_tokens": 2000,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "tools": [{"name": "get_weather", "input_schema": WEATHER["parameters"]}],
    }
    opening = user("Think, then get_weather")
    with claude.messages.stream(**asked, messages=[opening]) as stream:
        first = stream.get_final_message()
    assert first.stop_reason == "tool_use"
    thinking, call = first.content[0], first.content[-1]
    assert thinking.thinking == "The caller says: Think, then get_weather Let me think."
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "snow"}
    kept = [block.model_dump(exclude_none=True) for block in first.content]
    turns = [opening, {"role": "assistant", "content": kept}, user([result])]
    second = claude.messages.create(**asked, messages=turns)
    assert second.content[-1].text == "The tool answered: snow"
