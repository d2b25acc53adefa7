"""Steps that a server of the Responses dialect may ask for (`dialects.md` P192)."""

from __future__ import annotations

import json

import pytest

from dragoman.core.ask import read_ask
from dragoman.core.provider import Quirks
from dragoman.dialects.base import Target
from dragoman.dialects.responses import RESPONSES
from dragoman.dialects.responses.steps import STEPS

USER = {"type": "message", "role": "user", "content": "a"}
SAID = {"type": "message", "role": "assistant", "content": "b", "phase": "commentary"}
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"n": 1.0}'}
CUSTOM = {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "x"}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "1"}
SECOND = {"type": "custom_tool_call_output", "call_id": "c2", "output": "2"}


def passed_on(body, *steps):
    """What a caller of the same dialect has sent to the provider."""
    target = Target("p", "m", quirks=Quirks(steps=steps))
    ask = read_ask(json.dumps(body).encode())
    return json.loads(RESPONSES.patch_request(ask.members, target).body)


def written(body, *steps):
    """The same by way of the canonical form."""
    target = Target("p", "m", quirks=Quirks(steps=steps))
    request = RESPONSES.read_request(json.dumps(body).encode())
    return json.loads(RESPONSES.write_request(request, target).body)


@pytest.mark.pitfall(192)
@pytest.mark.parametrize("way", [passed_on, written])
def test_calls_stand_behind_the_words_of_their_turn(way):
    items = [USER, CALL, SAID, CUSTOM, RESULT, SECOND, CALL, {**SAID, "content": "c"}, RESULT]
    sent = way({"model": "m", "input": items}, "calls_last")["input"]
    order = [item.get("call_id") or item["content"] for item in sent]
    assert order == ["a", "b", "c1", "c2", "c1", "c2", "c", "c1", "c1"]
    assert [item["type"] for item in sent[-2:]] == ["function_call", "function_call_output"]


@pytest.mark.pitfall(192)
def test_calls_that_nothing_follows_stay_the_last():
    items = [USER, CALL, SAID, USER, CUSTOM]
    assert passed_on({"model": "m", "input": items}, "calls_last")["input"] == [
        USER,
        SAID,
        CALL,
        USER,
        CUSTOM,
    ]


@pytest.mark.pitfall(192)
@pytest.mark.parametrize("way", [passed_on, written])
def test_a_call_has_a_status_of_null_where_the_server_insists(way):
    items = [USER, {**CALL, "status": "completed"}, RESULT, USER]
    sent = way({"model": "m", "input": items}, "null_call_status")["input"]
    assert sent[1]["status"] is None
    assert sent[1]["arguments"] == CALL["arguments"]
    assert "status" not in sent[0]
    assert "status" not in sent[2]


@pytest.mark.parametrize("text", ["hello", "[not an array", ""])
def test_a_plain_text_has_no_items_to_change(text):
    sent = passed_on({"model": "m", "input": text}, *STEPS)
    assert sent["input"] == text


def test_a_request_without_input_is_left_as_it_is():
    sent = passed_on({"model": "m", "prompt": {"id": "p"}}, *STEPS)
    assert sent == {"model": "m", "prompt": {"id": "p"}}


def test_without_steps_the_callers_order_stands():
    assert passed_on({"model": "m", "input": [CALL, SAID]})["input"] == [CALL, SAID]
