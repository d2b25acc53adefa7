"""The mock's Responses surface without sockets: what it would send, and what it refuses."""

from __future__ import annotations

import json

import pytest

from dragoman.mock import IMMEDIATE, Mock, MockConfig
from dragoman.mock.responses_request import sealed
from dragoman.mock.service import Received

pytestmark = pytest.mark.req("R-MOCK-004")

HI = {"model": "gpt-5", "input": [{"role": "user", "content": "hi"}]}
TOOL = {
    "type": "function",
    "name": "get_time",
    "parameters": {"properties": {"zone": {"type": "string"}}},
}


@pytest.fixture
def mock():
    kept = (name for name in IMMEDIATE.__struct_fields__ if name != "seed")
    return Mock(MockConfig(**{name: getattr(IMMEDIATE, name) for name in kept}, seed=1))


def sent(mock, body, path="/v1/responses"):
    told = mock.receive(Received("POST", path, "", {}, json.dumps(body).encode()))
    raw = b"".join(step.data for step in told.play.steps)
    head, _, rest = raw.partition(b"\r\n\r\n")
    if b"transfer-encoding" in head:
        whole = b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            whole, rest = whole + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        rest = whole
    return int(head.split()[1]), rest


def reply(mock, path="/v1/responses", **more):
    status, data = sent(mock, {**HI, **more}, path)
    return status, json.loads(data)


def events(mock, path="/v1/responses", **more):
    _, data = sent(mock, {**HI, "stream": True, **more}, path)
    lines = [line for line in data.decode().split("\n") if line.startswith("data: {")]
    return [json.loads(line[6:]) for line in lines]


def test_a_response_has_every_member_that_openais_client_requires(mock):
    status, body = reply(mock)
    assert status == 200
    assert (body["object"], body["status"], body["error"]) == ("response", "completed", None)
    assert {"id", "created_at", "model", "tools", "tool_choice", "parallel_tool_calls"} <= set(
        body
    )
    (item,) = body["output"]
    assert item["content"][0]["text"].startswith("You said: hi")
    assert body["usage"]["input_tokens"] > 0


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"reasoning": {"effort": "high"}},
        {"tools": [TOOL], "tool_choice": "required"},
        {"max_output_tokens": 16},
    ],
)
def test_a_stream_ends_with_what_the_whole_answer_says(mock, more):
    _, whole = reply(mock, **more)
    mock.reset()
    told = events(mock, **more)
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    last = told[-1]
    assert last["type"] == f"response.{whole['status']}"
    assert last["response"]["output"] == whole["output"]
    done = [event["item"] for event in told if event["type"] == "response.output_item.done"]
    assert done == whole["output"]


def test_openrouter_names_no_events_and_says_done(mock):
    body = {**HI, "stream": True}
    _, data = sent(mock, body, "/openrouter/api/v1/responses")
    assert b"event: " not in data
    assert data.endswith(b"data: [DONE]\n\n")


def test_a_result_is_answered(mock):
    call = {"type": "function_call", "call_id": "c", "name": "get_time", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "c", "output": "noon"}
    _, body = reply(mock, input=[*HI["input"], call, result], tools=[TOOL])
    assert body["output"][0]["content"][0]["text"] == "The tool answered: noon"


def test_tokens_are_counted(mock):
    status, body = reply(mock, "/v1/responses/input_tokens")
    assert (status, body["object"]) == (200, "response.input_tokens")
    assert body["input_tokens"] > 0


THOUGHT = {
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "Hm"}],
    "encrypted_content": sealed("Hm"),
}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"model": ""}, "model"),
        ({"input": None}, "input"),
        ({"input": [{"role": "tool", "content": "x"}]}, "tool"),
        ({"input": [{"type": "function_call_output", "call_id": "x", "output": ""}]}, "call_id x"),
        ({"input": [THOUGHT]}, "following item"),
        ({"input": [{**THOUGHT, "encrypted_content": "x"}, *HI["input"]]}, "verified"),
        ({"max_output_tokens": 15}, "below minimum"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "name": "x"}}, "not found"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.name"),
    ],
)
def test_what_openai_refuses_is_refused(mock, more, words):
    status, body = reply(mock, **more)
    assert status == 400
    assert words in body["error"]["message"]


def test_a_thought_that_is_its_own_is_taken_back(mock):
    status, _ = reply(mock, input=[THOUGHT, *HI["input"]])
    assert status == 200


def test_an_error_in_a_stream_is_nested_and_the_response_has_failed(mock):
    told = events(mock, model="gpt-5--mock-error-after-5")
    assert [event["type"] for event in told[-2:]] == ["error", "response.failed"]
    assert told[-2]["error"]["message"]
