"""Anthropic's own client, plain and async, to models of its own dialect and to translated ones."""

from __future__ import annotations

import base64
import json
from typing import Any

import anthropic
import pytest
from pydantic import BaseModel

from dragoman.dialects.registry import COUNTERS

OWN, TRANSLATED = "anthropic/claude-sonnet-4-5", "openai/gpt-4o-mini"
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
THINKERS = (OWN, "openai/gpt-5-mini", "openrouter/openai/gpt-5-mini")

PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(58)).decode()
WEATHER = {
    "name": "get_weather",
    "description": "The weather at a place",
    "input_schema": {
        "type": "object",
        "properties": {"location": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["location", "days"],
    },
}
TIME = {
    "name": "get_time",
    "input_schema": {"type": "object", "properties": {"zone": {"type": "string"}}},
}
BUDGET = {"type": "enabled", "budget_tokens": 1024}


class Answer(BaseModel):
    """What a structured answer is parsed into."""

    city: str
    degrees: int


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def asked(model: str, content: Any, **members: Any) -> dict[str, Any]:
    return {"model": model, "max_tokens": 4000, "messages": [user(content)], **members}


def text_of(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def calls_of(message: Any) -> list[Any]:
    return [block for block in message.content if block.type == "tool_use"]


def said_again(message: Any) -> dict[str, Any]:
    """An answer as the next request's history, in the way of the SDK's own examples."""
    return {"role": message.role, "content": message.content}


def result(call: Any, content: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call.id, "content": content}


@pytest.mark.req("R-SURF-021", "R-XLATE-002", "R-XLATE-020", "R-XLATE-021")
@every_way
def test_a_message_is_answered(claude, model):
    message = claude.messages.create(**asked(model, "Good morning", system="Be kind."))
    assert message.type == "message"
    assert message.role == "assistant"
    assert text_of(message).startswith("You said: Good morning")
    assert message.stop_reason == "end_turn"
    assert message.model == model.partition("/")[2]
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens > 0


@pytest.mark.req("R-XLATE-030", "R-XLATE-032", "R-XLATE-036", "R-XLATE-039", "R-TEST-010")
@every_way
def test_what_is_streamed_is_what_the_whole_answer_says(claude, model):
    whole = claude.messages.create(**asked(model, "Tell me a story"))
    with claude.messages.stream(**asked(model, "Tell me a story")) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    assert len(pieces) >= 2
    assert "".join(pieces) == text_of(final) == text_of(whole)
    assert final.stop_reason == "end_turn"
    assert final.usage.input_tokens == whole.usage.input_tokens
    assert final.usage.output_tokens == whole.usage.output_tokens


@every_way
def test_the_events_of_a_stream_come_in_anthropics_order(claude, model):
    events = list(claude.messages.create(**asked(model, "Tell me"), stream=True))
    kinds = [event.type for event in events]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("message_start") == kinds.count("message_stop") == 1
    assert kinds[1:-2] == [
        "content_block_start",
        *["content_block_delta"] * (len(kinds) - 5),
        "content_block_stop",
    ]
    assert events[0].message.content == []
    assert events[0].message.stop_reason is None


@pytest.mark.req("R-TOOL-001", "R-XLATE-008", "R-XLATE-009", "R-XLATE-022")
@every_way
def test_a_tool_is_called_and_its_result_answered_in_a_second_turn(claude, model):
    request = asked(model, "Please use get_weather", tools=[WEATHER, TIME])
    message = claude.messages.create(**request)
    assert message.stop_reason == "tool_use"
    (call,) = calls_of(message)
    assert call.name == "get_weather"
    assert call.input == {"location": "mock location", "days": 7}
    request["messages"] += [said_again(message), user([result(call, "21 °C and sunny")])]
    answer = claude.messages.create(**request)
    assert text_of(answer) == "The tool answered: 21 °C and sunny"


@pytest.mark.req("R-TOOL-002")
@every_way
def test_parallel_calls_keep_their_ids_and_their_results(claude, model):
    request = asked(model, "get_weather and get_time", tools=[WEATHER, TIME])
    message = claude.messages.create(**request)
    weather, clock = calls_of(message)
    assert [weather.name, clock.name] == ["get_weather", "get_time"]
    assert weather.id != clock.id
    blocks = [
        result(clock, "noon"),
        result(weather, [{"type": "text", "text": "rain"}]),
        {"type": "text", "text": "Go on."},
    ]
    request["messages"] += [said_again(message), user(blocks)]
    answer = claude.messages.create(**request)
    said = text_of(answer)
    if model == OWN:
        assert said == "The tool answered: noon | rain"
    else:
        # In OpenAI's dialect the text after the results is a message of its own.
        assert said.startswith("You said: Go on.")


@every_way
def test_one_call_at_a_time_is_obeyed(claude, model):
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    request = asked(model, "get_weather and get_time", tools=[WEATHER, TIME], tool_choice=choice)
    assert len(calls_of(claude.messages.create(**request))) == 1


@pytest.mark.req("R-XLATE-010")
@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "get_time"}])
@every_way
def test_a_tool_is_forced(claude, model, choice):
    request = asked(model, "Hello", tools=[TIME, WEATHER], tool_choice=choice)
    (call,) = calls_of(claude.messages.create(**request))
    assert call.name == "get_time"


@pytest.mark.req("R-XLATE-010")
@every_way
def test_no_tool_is_called_where_none_may_be(claude, model):
    request = asked(model, "get_time", tools=[TIME], tool_choice={"type": "none"})
    assert calls_of(claude.messages.create(**request)) == []


@pytest.mark.req("R-XLATE-034", "R-STRM-004")
@every_way
def test_the_sdks_own_accumulator_puts_streamed_calls_together(claude, model):
    request = asked(model, "get_weather and get_time", tools=[WEATHER, TIME])
    with claude.messages.stream(**request) as stream:
        fragments = [event.partial_json for event in stream if event.type == "input_json"]
        final = stream.get_final_message()
    assert final.stop_reason == "tool_use"
    weather, clock = calls_of(final)
    assert weather.input == {"location": "mock location", "days": 7}
    assert clock.input == {"zone": "mock zone"}
    assert weather.id != clock.id
    assert [
        json.loads(text) for text in "".join(fragments).replace("}{", "}\n{").splitlines()
    ] == [
        weather.input,
        clock.input,
    ]


@pytest.mark.req("R-TOOL-003", "R-XLATE-011")
@every_way
def test_an_image_arrives_whole(claude, model):
    model = model.replace("llama-3.3-70b-versatile", "meta-llama/llama-4-scout")  # it sees
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    blocks = [{"type": "image", "source": source}, {"type": "text", "text": "What is this?"}]
    text = text_of(claude.messages.create(**asked(model, blocks)))
    assert text.startswith("I see 1 image(s): image/png of 66 bytes.")
    assert "What is this?" in text


@pytest.mark.parametrize("model", THINKERS)
def test_thinking_within_a_budget_is_told_before_the_text(claude, model):
    request = asked(model, "Think hard", thinking=BUDGET)
    message = claude.messages.create(**request)
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.content[0].thinking == "The caller says: Think hard Let me think."
    assert text_of(message).startswith("You said: Think hard")
    with claude.messages.stream(**request) as stream:
        thoughts = [event.thinking for event in stream if event.type == "thinking"]
        final = stream.get_final_message()
    assert "".join(thoughts) == message.content[0].thinking
    assert final.content[0].thinking == message.content[0].thinking
    assert final.content[0].signature == message.content[0].signature
    assert text_of(final) == text_of(message)


@pytest.mark.pitfall(97)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_signature_makes_the_round_trip_and_a_changed_one_is_refused(claude, streamed):
    """The mock refuses a thinking block whose signature is not the one it made."""
    request = asked(OWN, "Think, then get_weather", thinking=BUDGET, tools=[WEATHER])
    if streamed:
        with claude.messages.stream(**request) as stream:
            message = stream.get_final_message()
    else:
        message = claude.messages.create(**request)
    thinking, call = message.content
    assert thinking.signature.startswith("mock")
    request["messages"] += [said_again(message), user([result(call, "snow")])]
    assert text_of(claude.messages.create(**request)) == "The tool answered: snow"
    thinking.signature = "forged"
    with pytest.raises(anthropic.BadRequestError, match="signature"):
        claude.messages.create(**request)


@pytest.mark.parametrize("model", ["openai/gpt-5-mini", "openrouter/openai/gpt-5-mini"])
def test_thinking_of_another_provider_may_come_back_in_the_next_turn(claude, model):
    request = asked(model, "Think, then get_weather", thinking=BUDGET, tools=[WEATHER])
    message = claude.messages.create(**request)
    assert [block.type for block in message.content] == ["thinking", "tool_use"]
    request["messages"] += [said_again(message), user([result(message.content[1], "snow")])]
    assert text_of(claude.messages.create(**request)) == "The tool answered: snow"


@schemas
def test_structured_output_is_parsed_by_the_sdk(claude, model):
    message = claude.messages.parse(**asked(model, "Where is it warm?"), output_format=Answer)
    assert message.parsed_output == Answer(city="mock city", degrees=7)
    with claude.messages.stream(**asked(model, "Where?"), output_format=Answer) as stream:
        final = stream.get_final_message()
    assert final.parsed_output == Answer(city="mock city", degrees=7)


@schemas
def test_structured_output_is_asked_for_by_its_wire_member_as_well(claude, model):
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    }
    config = {"format": {"type": "json_schema", "schema": schema}}
    message = claude.messages.create(**asked(model, "Where?", output_config=config))
    assert json.loads(text_of(message)) == {"city": "mock city"}


@pytest.mark.req("R-XLATE-023")
@every_way
def test_a_limit_of_tokens_and_a_stop_are_obeyed(claude, model):
    short = claude.messages.create(**asked(model, "Hi") | {"max_tokens": 4})
    assert short.stop_reason == "max_tokens"
    assert len(text_of(short)) <= 16
    stopped = claude.messages.create(**asked(model, "a b c", stop_sequences=["b"]))
    assert text_of(stopped) == "You said: a "
    if model == OWN:
        assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "b")
    else:
        # OpenAI's dialect does not say which stop it was, or that it was one.
        assert stopped.stop_reason == "end_turn"


@pytest.mark.req("R-SURF-021")
def test_tokens_are_counted_by_the_provider_where_it_has_a_counter(claude):
    reply = claude.messages.with_raw_response.count_tokens(
        model=OWN, messages=[user("twelve words of text to count")], tools=[WEATHER]
    )
    assert "x-dragoman-estimated" not in reply.headers
    assert reply.headers["x-dragoman-provider"] == "anthropic"
    short = claude.messages.count_tokens(model=OWN, messages=[user("one")])
    assert reply.parse().input_tokens > short.input_tokens > 0


def test_a_provider_that_counts_in_another_family_is_asked(claude):
    reply = claude.messages.with_raw_response.count_tokens(
        model=TRANSLATED, messages=[user("One two three.")]
    )
    assert ("x-dragoman-estimated" in reply.headers) == ("responses" not in COUNTERS)
    assert reply.parse().input_tokens > 0


@pytest.mark.parametrize("model", FLAVOURS)
def test_elsewhere_tokens_are_estimated_and_the_estimate_is_labelled(claude, model):
    reply = claude.messages.with_raw_response.count_tokens(
        model=model, messages=[user("x" * 400)], system="y" * 400
    )
    assert reply.headers["x-dragoman-estimated"] == "true"
    assert 150 <= reply.parse().input_tokens <= 400


@pytest.mark.req("R-SURF-015", "R-CAT-006")
def test_models_are_listed_and_looked_up(claude):
    listed = {model.id: model for model in claude.models.list()}
    assert {OWN, TRANSLATED} <= set(listed)
    one = claude.models.retrieve(TRANSLATED)
    assert one == listed[TRANSLATED]
    assert one.type == "model"
    assert one.display_name
