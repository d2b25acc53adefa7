"""OpenAI's own client, plain and async, to models of its own dialect and to translated ones.

Each story runs as users write it, over every way that is in ``MODELS``; the mock's answers are
deterministic, so a whole answer and a streamed one must say the same.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from pydantic import BaseModel

OWN, TRANSLATED = "openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5"
FLAVOURS = (
    "groq/llama-3.3-70b-versatile",
    "openrouter/openai/gpt-4o",
    "mistral/mistral-large-latest",
    "deepseek/deepseek-chat",
)
MODELS = (OWN, TRANSLATED, *FLAVOURS)
every_way = pytest.mark.parametrize("model", MODELS)
schemas = pytest.mark.parametrize("model", MODELS[:-1])
"""DeepSeek holds to JSON, not to a schema."""
THINKERS = ("openai/gpt-5-mini", TRANSLATED, "openrouter/openai/gpt-5-mini")

PIXEL = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(58)).decode()
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather at a place",
        "parameters": {
            "type": "object",
            "properties": {"location": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["location", "days"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
TIME = {
    "type": "function",
    "function": {
        "name": "get_time",
        "parameters": {
            "type": "object",
            "properties": {"zone": {"type": "string"}},
            "required": ["zone"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}


class Answer(BaseModel):
    """What a structured answer is parsed into."""

    city: str
    degrees: int


def user(text: Any) -> list[Any]:
    return [{"role": "user", "content": text}]


def joined(chunks: list[Any]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def asked_for_calls(gpt, model, text, **members):
    completion = gpt.chat.completions.create(
        model=model, messages=user(text), tools=[WEATHER, TIME], **members
    )
    (choice,) = completion.choices
    assert choice.finish_reason == "tool_calls"
    return choice.message


@pytest.mark.req("R-SURF-001", "R-XLATE-020", "R-XLATE-021")
@every_way
def test_a_chat_is_answered(gpt, model):
    completion = gpt.chat.completions.create(
        model=model, messages=[{"role": "system", "content": "Be kind."}, *user("Good morning")]
    )
    (choice,) = completion.choices
    assert choice.message.role == "assistant"
    assert choice.message.content.startswith("You said: Good morning")
    assert choice.finish_reason == "stop"
    assert completion.object == "chat.completion"
    assert completion.model == model.partition("/")[2]
    usage = completion.usage
    assert usage.prompt_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


@pytest.mark.req("R-STRM-001", "R-STRM-002", "R-TEST-010", "R-TEST-016")
@every_way
def test_what_is_streamed_is_what_the_whole_answer_says(gpt, model):
    asked = {"model": model, "messages": user("Tell me a story")}
    whole = gpt.chat.completions.create(**asked)
    chunks = list(gpt.chat.completions.create(**asked, stream=True))
    assert joined(chunks) == whole.choices[0].message.content
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert choices[0].delta.role == "assistant"
    assert sum(bool(choice.delta.content) for choice in choices) >= 2
    reasons = [choice.finish_reason for choice in choices if choice.finish_reason]
    assert reasons == ["stop"]


@pytest.mark.req("R-USE-011")
@every_way
def test_usage_comes_in_a_stream_that_asks_for_it(gpt, model):
    asked = {"model": model, "messages": user("How much?")}
    whole = gpt.chat.completions.create(**asked).usage
    options = {"include_usage": True}
    chunks = list(gpt.chat.completions.create(**asked, stream=True, stream_options=options))
    told = [chunk.usage for chunk in chunks if chunk.usage is not None]
    assert told
    assert (told[-1].prompt_tokens, told[-1].completion_tokens, told[-1].total_tokens) == (
        whole.prompt_tokens,
        whole.completion_tokens,
        whole.total_tokens,
    )
    assert chunks[-1].usage is not None


@pytest.mark.parametrize("model", [OWN, TRANSLATED])
def test_usage_does_not_come_in_a_stream_that_does_not_ask(gpt, model):
    chunks = list(gpt.chat.completions.create(model=model, messages=user("Hm"), stream=True))
    assert all(chunk.choices for chunk in chunks)
    assert not any(chunk.usage for chunk in chunks)


@pytest.mark.req("R-TOOL-001", "R-ADD-013", "R-XLATE-005", "R-XLATE-006")
@every_way
def test_a_tool_is_called_and_its_result_answered_in_a_second_turn(gpt, model):
    message = asked_for_calls(gpt, model, "Please use get_weather")
    (call,) = message.tool_calls
    assert call.type == "function"
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"location": "mock location", "days": 7}
    result = {"role": "tool", "tool_call_id": call.id, "content": "21 °C and sunny"}
    answer = gpt.chat.completions.create(
        model=model,
        messages=[*user("Please use get_weather"), message.model_dump(exclude_none=True), result],
        tools=[WEATHER, TIME],
    )
    assert answer.choices[0].message.content == "The tool answered: 21 °C and sunny"


@pytest.mark.req("R-TOOL-002", "R-FILE-008")
@every_way
def test_parallel_calls_keep_their_ids_and_their_results(gpt, model):
    message = asked_for_calls(gpt, model, "get_weather and get_time")
    weather, clock = message.tool_calls
    assert [weather.function.name, clock.function.name] == ["get_weather", "get_time"]
    assert weather.id != clock.id
    results = [
        {"role": "tool", "tool_call_id": clock.id, "content": "noon"},
        {"role": "tool", "tool_call_id": weather.id, "content": "rain"},
    ]
    answer = gpt.chat.completions.create(
        model=model,
        messages=[
            *user("get_weather and get_time"),
            message.model_dump(exclude_none=True),
            *results,
        ],
        tools=[WEATHER, TIME],
    )
    assert sorted(answer.choices[0].message.content.split(": ", 1)[1].split(" | ")) == [
        "noon",
        "rain",
    ]


@every_way
def test_one_call_at_a_time_is_obeyed(gpt, model):
    message = asked_for_calls(gpt, model, "get_weather and get_time", parallel_tool_calls=False)
    assert len(message.tool_calls) == 1


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "get_time"}}]
)
@every_way
def test_a_tool_is_forced(gpt, model, choice):
    completion = gpt.chat.completions.create(
        model=model, messages=user("Hello"), tools=[TIME, WEATHER], tool_choice=choice
    )
    (call,) = completion.choices[0].message.tool_calls
    assert call.function.name == "get_time"


@pytest.mark.req("R-STRM-004")
@every_way
def test_the_sdks_own_accumulator_puts_streamed_calls_together(gpt, model):
    asked = {
        "model": model,
        "messages": user("get_weather and get_time"),
        "tools": [WEATHER, TIME],
    }
    with gpt.chat.completions.stream(**asked) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert kinds.count("tool_calls.function.arguments.done") == 2
    message = final.choices[0].message
    assert final.choices[0].finish_reason == "tool_calls"
    assert [call.function.name for call in message.tool_calls] == ["get_weather", "get_time"]
    assert [json.loads(call.function.arguments) for call in message.tool_calls] == [
        {"location": "mock location", "days": 7},
        {"zone": "mock zone"},
    ]
    assert message.tool_calls[0].function.parsed_arguments == {
        "location": "mock location",
        "days": 7,
    }
    assert len({call.id for call in message.tool_calls}) == 2


@every_way
def test_the_sdks_own_accumulator_puts_text_together(gpt, model):
    asked = {"model": model, "messages": user("A long story")}
    with gpt.chat.completions.stream(**asked) as stream:
        pieces = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    whole = gpt.chat.completions.create(**asked).choices[0].message.content
    assert "".join(pieces) == final.choices[0].message.content == whole


@pytest.mark.req("R-TOOL-003", "R-XLATE-011")
@every_way
def test_an_image_arrives_whole(gpt, model):
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": PIXEL}},
    ]
    completion = gpt.chat.completions.create(model=model, messages=user(parts))
    text = completion.choices[0].message.content
    assert text.startswith("I see 1 image(s): image/png of 66 bytes.")
    assert "What is this?" in text


def thought(message: Any) -> str:
    """Thinking has no member in OpenAI's own types; the family's two spellings."""
    extra = message.model_extra or {}
    return extra.get("reasoning_content") or extra.get("reasoning") or ""


@pytest.mark.parametrize("model", THINKERS)
def test_thinking_is_asked_for_by_effort_and_told_apart_from_the_text(gpt, model):
    asked = {"model": model, "messages": user("Think hard"), "reasoning_effort": "high"}
    completion = gpt.chat.completions.create(**asked)
    message = completion.choices[0].message
    assert thought(message) == "The caller says: Think hard Let me think."
    assert message.content.startswith("You said: Think hard")
    chunks = list(gpt.chat.completions.create(**asked, stream=True))
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert "".join(map(thought, deltas)) == thought(message)
    assert joined(chunks) == message.content


@pytest.mark.pitfall(97)
def test_claudes_signature_makes_the_round_trip_through_openais_messages(gpt):
    """The mock refuses a thinking block whose signature is not the one it made."""
    asked = {"model": TRANSLATED, "tools": [WEATHER], "reasoning_effort": "low"}
    opening = user("Think, then get_weather")
    first = gpt.chat.completions.create(**asked, messages=opening).choices[0].message
    kept = first.model_dump(exclude_none=True)
    assert kept["reasoning_details"][0]["signature"].startswith("mock")
    result = {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": "snow"}
    second = gpt.chat.completions.with_raw_response.create(
        **asked, messages=[*opening, kept, result]
    )
    assert second.parse().choices[0].message.content == "The tool answered: snow"
    assert "reasoning" not in second.headers.get("x-dragoman-dropped", "")


@schemas
def test_structured_output_is_parsed_by_the_sdk(gpt, model):
    completion = gpt.chat.completions.parse(
        model=model, messages=user("Where is it warm?"), response_format=Answer
    )
    message = completion.choices[0].message
    assert message.parsed == Answer(city="mock city", degrees=7)
    assert json.loads(message.content) == {"city": "mock city", "degrees": 7}


@schemas
def test_streamed_structured_output_is_parsed_by_the_sdk(gpt, model):
    asked = {"model": model, "messages": user("Where?"), "response_format": Answer}
    with gpt.chat.completions.stream(**asked) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.parsed == Answer(city="mock city", degrees=7)


def test_a_schema_that_a_provider_cannot_hold_to_is_asked_for_in_words_and_that_is_told(gpt):
    reply = gpt.chat.completions.with_raw_response.create(
        model="deepseek/deepseek-chat",
        messages=user("Where is it warm?"),
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": Answer.model_json_schema()},
        },
    )
    assert "response_format" in reply.headers["x-dragoman-dropped"]
    assert isinstance(json.loads(reply.parse().choices[0].message.content), dict)


@every_way
def test_a_limit_of_tokens_and_a_stop_are_obeyed(gpt, model):
    short = gpt.chat.completions.create(model=model, messages=user("Hi"), max_tokens=4)
    assert short.choices[0].finish_reason == "length"
    assert len(short.choices[0].message.content) <= 16
    stopped = gpt.chat.completions.create(model=model, messages=user("a b c"), stop=["b"])
    assert stopped.choices[0].finish_reason == "stop"
    assert stopped.choices[0].message.content == "You said: a "


def test_several_choices_come_interleaved_and_are_kept_apart(gpt):
    asked = {"model": OWN, "messages": user("Twice"), "n": 2}
    with gpt.chat.completions.stream(**asked) as stream:
        final = stream.get_final_completion()
    whole = gpt.chat.completions.create(**asked)
    assert [choice.index for choice in final.choices] == [0, 1]
    assert [choice.message.content for choice in final.choices] == [
        choice.message.content for choice in whole.choices
    ]


@pytest.mark.req("R-SURF-003")
def test_embeddings_are_decoded_from_the_sdks_base64_and_equal_the_floats(gpt):
    asked = {"model": "openai/text-embedding-3-small", "input": ["one", "two"], "dimensions": 8}
    packed = gpt.embeddings.create(**asked)
    floats = gpt.embeddings.create(**asked, encoding_format="float")
    assert [row.index for row in packed.data] == [0, 1]
    assert packed.usage.prompt_tokens > 0
    for one, other in zip(packed.data, floats.data, strict=True):
        assert len(one.embedding) == 8
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)


@pytest.mark.req("R-SURF-015", "R-SURF-016", "R-SURF-018", "R-CAT-006")
def test_models_are_listed_and_looked_up(gpt):
    listed = {model.id: model for model in gpt.models.list()}
    assert {OWN, TRANSLATED} <= set(listed)
    one = gpt.models.retrieve(TRANSLATED)
    assert one == listed[TRANSLATED]
    assert one.owned_by == "anthropic"
    assert one.object == "model"


@pytest.mark.req("R-ADD-013")
def test_members_that_the_sdk_does_not_know_reach_a_provider_of_the_same_dialect(gpt):
    completion = gpt.chat.completions.create(
        model="openrouter/openai/gpt-4o",
        messages=user("Think"),
        extra_body={"reasoning": {"effort": "high"}},
    )
    assert thought(completion.choices[0].message)
