"""The provider inside the process: what it says, and what it refuses."""

import asyncio
import json

import pytest

from dragoman.attempt.ports import UpstreamRequest
from dragoman.transport.stub import StubTransport

HI = [{"role": "user", "content": "hi"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["C", "F"]}},
            "required": ["city", "unit"],
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "clock"}}
SHELL = {"type": "custom", "custom": {"name": "shell"}}


def ask(path="/chat/completions", **members):
    body = {"model": "openai/gpt-4o-mini", "messages": HI, **members}
    body = {name: value for name, value in body.items() if value is not ...}
    request = UpstreamRequest("POST", f"stub://local{path}", {}, json.dumps(body).encode())

    async def told():
        transport = StubTransport(lambda: 1_800_000_000.9)
        reply = await transport.send(request)
        pieces = []
        while (piece := await reply.next()) is not None:
            pieces.append(piece)
        await reply.close()
        await transport.close()
        return reply.status, b"".join(pieces)

    return asyncio.run(told())


def whole(**members):
    status, body = ask(**members)
    assert status == 200, body
    return json.loads(body)


def frames(**members):
    status, body = ask(stream=True, **members)
    assert status == 200, body
    found = body.decode().split("\n\n")
    assert found[-2:] == ["data: [DONE]", ""]
    return [json.loads(frame.removeprefix("data: ")) for frame in found[:-2]]


@pytest.mark.req("R-ADD-036", "R-PROV-009")
def test_it_says_the_same_to_the_same_and_dates_it_now():
    first, second = whole(), whole()
    assert first.pop("id") != second.pop("id")
    assert first == second
    assert first["created"] == 1_800_000_000
    assert first["choices"][0]["message"]["content"].startswith("Hello!")
    assert first["choices"][0]["finish_reason"] == "stop"
    assert {frame["created"] for frame in frames()} == {1_800_000_000}


@pytest.mark.parametrize(
    ("choice", "name", "given"),
    [
        ("required", "weather", {"city": "stub city", "unit": "C"}),
        ({"type": "function", "function": {"name": "clock"}}, "clock", {}),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [CLOCK]},
            },
            "clock",
            {},
        ),
    ],
)
def test_a_demanded_tool_is_called_with_what_its_schema_requires(choice, name, given):
    asked = {"tools": [WEATHER, CLOCK, SHELL], "tool_choice": choice}
    choice = whole(**asked)["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    [call] = choice["message"]["tool_calls"]
    assert (call["type"], call["function"]["name"]) == ("function", name)
    assert json.loads(call["function"]["arguments"]) == given

    told = [frame["choices"][0] for frame in frames(**asked)[:-1]]
    opened = told[0]["delta"]["tool_calls"][0]
    assert told[0]["delta"]["role"] == "assistant"
    assert opened["id"].startswith("call_")
    assert (opened["index"], opened["function"]["name"]) == (0, name)
    spoken = [one["delta"]["tool_calls"][0]["function"]["arguments"] for one in told[:-1]]
    assert json.loads("".join(spoken)) == given
    assert told[-1]["finish_reason"] == "tool_calls"


def test_the_ids_of_calls_and_of_answers_are_new_each_time():
    asked = {"tools": [WEATHER], "tool_choice": "required", "n": 2}
    answers = [whole(**asked), whole(**asked)]
    calls = [
        choice["message"]["tool_calls"][0]["id"] for one in answers for choice in one["choices"]
    ]
    assert len(set(calls)) == 4
    streamed = [frames(), frames()]
    assert len({frame["id"] for one in streamed for frame in one}) == 2


HELLO = "Hello! This is Dragoman's built-in stub: set a provider key to talk to a model."


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_limit_of_tokens_cuts_and_the_usage_says_what_was_told(name):
    said = whole(**{name: 3})
    [choice] = said["choices"]
    assert choice["message"]["content"] == HELLO[:12]
    assert choice["finish_reason"] == "length"
    assert said["usage"]["completion_tokens"] == 3

    told = frames(**{name: 3})
    assert (
        "".join(one["choices"][0]["delta"].get("content", "") for one in told[:-1]) == HELLO[:12]
    )
    assert told[-2]["choices"][0]["finish_reason"] == "length"
    assert told[-1]["usage"]["completion_tokens"] == 3


def test_a_limit_that_is_just_reached_cuts_nothing():
    spent = whole()["usage"]["completion_tokens"]
    for limit, finish in ((spent, "stop"), (spent - 1, "length"), (spent + 1, "stop")):
        assert whole(max_tokens=limit)["choices"][0]["finish_reason"] == finish


def test_of_two_limits_the_smaller_holds():
    assert whole(max_tokens=5, max_completion_tokens=2)["usage"]["completion_tokens"] == 2


def test_a_limit_cuts_a_call_as_well():
    said = whole(tools=[WEATHER], tool_choice="required", max_tokens=4)
    [choice] = said["choices"]
    assert choice["finish_reason"] == "length"
    assert choice["message"]["tool_calls"][0]["function"]["arguments"] == '{"city":'
    assert said["usage"]["completion_tokens"] == 4
    assert (
        whole(tools=[WEATHER], tool_choice="required", max_tokens=1)["usage"]["completion_tokens"]
        == 1
    )


@pytest.mark.parametrize(
    ("stop", "left"),
    [
        ("Dragoman", "Hello! This is "),
        (["stub", "built"], "Hello! This is Dragoman's "),
        ("This is Dragoman", "Hello! "),
        ("Hello", ""),
        ([], HELLO),
        (None, HELLO),
        ("", HELLO),
        ("nowhere", HELLO),
    ],
)
def test_an_answer_ends_before_its_first_stop_sequence(stop, left):
    [choice] = whole(stop=stop)["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (left, "stop")
    told = frames(stop=stop)[:-1]
    assert "".join(one["choices"][0]["delta"].get("content", "") for one in told) == left
    assert told[0]["choices"][0]["delta"]["role"] == "assistant"
    assert told[-1]["choices"][0]["finish_reason"] == "stop"


def test_a_stop_sequence_behind_the_limit_stops_nothing():
    assert whole(stop="model", max_tokens=2)["choices"][0]["finish_reason"] == "length"


def test_as_many_choices_come_as_were_asked_for_and_all_are_counted():
    one, three = whole(), whole(n=3)
    assert [choice["index"] for choice in three["choices"]] == [0, 1, 2]
    assert {choice["message"]["content"] for choice in three["choices"]} == {HELLO}
    assert three["usage"]["completion_tokens"] == 3 * one["usage"]["completion_tokens"]
    texts, ends = {}, []
    for frame in frames(n=3)[:-1]:
        for choice in frame["choices"]:
            texts[choice["index"]] = texts.get(choice["index"], "") + choice["delta"].get(
                "content", ""
            )
            ends += [choice["index"]] if choice["finish_reason"] else []
    assert texts == dict.fromkeys(range(3), HELLO)
    assert ends == [0, 1, 2]


def test_a_custom_tool_is_called_with_a_text():
    asked = {"tools": [SHELL], "tool_choice": {"type": "custom", "custom": {"name": "shell"}}}
    [call] = whole(**asked)["choices"][0]["message"]["tool_calls"]
    assert call["custom"] == {"name": "shell", "input": "stub input"}
    deltas = [frame["choices"][0]["delta"] for frame in frames(**asked)[:-1]]
    told = [delta["tool_calls"][0]["custom"]["input"] for delta in deltas if delta]
    assert "".join(told) == "stub input"


@pytest.mark.parametrize(
    "choice", [None, "auto", "none", {"type": "allowed_tools", "allowed_tools": {"mode": "auto"}}]
)
def test_a_tool_that_is_only_offered_is_not_called(choice):
    message = whole(tools=[WEATHER], tool_choice=choice)["choices"][0]["message"]
    assert "tool_calls" not in message
    assert message["content"]


@pytest.mark.parametrize(
    "content", ["Use the weather tool.", [{"type": "text", "text": "weather, please"}]]
)
def test_an_offered_tool_is_called_if_the_last_message_says_its_name(content):
    asked = {"tools": [CLOCK, WEATHER], "messages": [{"role": "user", "content": content}]}
    [call] = whole(**asked)["choices"][0]["message"]["tool_calls"]
    assert call["function"]["name"] == "weather"
    assert "tool_calls" not in whole(**asked, tool_choice="none")["choices"][0]["message"]
    answered = [*asked["messages"], {"role": "tool", "tool_call_id": "x", "content": "weather"}]
    said = whole(tools=[WEATHER], messages=answered)["choices"][0]["message"]
    assert "tool_calls" not in said


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.mark.parametrize(
    ("form", "fits"),
    [
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}, {"n": 0}),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}, {}),
    ],
)
def test_structured_output_fits_its_schema(form, fits):
    assert json.loads(whole(response_format=form)["choices"][0]["message"]["content"]) == fits
    deltas = [frame["choices"][0]["delta"] for frame in frames(response_format=form)[:-1]]
    assert json.loads("".join(delta.get("content", "") for delta in deltas)) == fits


def test_a_json_object_is_one_and_text_is_text():
    said = whole(response_format={"type": "json_object"})["choices"][0]["message"]["content"]
    assert "stub" in json.loads(said)["answer"]
    plain = whole(response_format={"type": "text"})["choices"][0]["message"]["content"]
    assert plain.startswith("Hello!")


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"messages": ...}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": []}, "messages"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice"),
        (
            {"tools": [CLOCK], "tool_choice": {"type": "function", "function": {"name": "x"}}},
            "tool_choice",
        ),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": "9"}, "max_completion_tokens"),
        ({"n": True}, "n"),
        ({"n": 129}, "n"),
        ({"stop": 7}, "stop"),
        ({"stop": [7]}, "stop"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        (
            {
                "path": "/embeddings",
                "model": "text-embedding-3-small",
            },
            "input",
        ),
    ],
)
def test_a_wrong_request_is_refused_and_the_member_named(members, param):
    status, body = ask(**members)
    error = json.loads(body)["error"]
    assert (status, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert f"'{param}'" in error["message"] or "Tool choice" in error["message"]


def test_an_unknown_model_is_not_found():
    status, body = ask(model="gpt-9")
    assert (status, json.loads(body)["error"]["code"]) == (404, "model_not_found")


def test_usage_is_null_before_the_end_only_for_those_who_asked():
    silent = frames()
    assert all("usage" not in frame for frame in silent[:-1])
    told = frames(stream_options={"include_usage": True})
    assert all(frame["usage"] is None for frame in told[:-1])
    for found in (silent, told):
        assert found[-1]["choices"] == []
        assert found[-1]["usage"]["total_tokens"] > 0
