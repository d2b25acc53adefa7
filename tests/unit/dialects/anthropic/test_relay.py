"""Anthropic's stream to an Anthropic client: the provider's own bytes."""

from __future__ import annotations

import json

import pytest

from dragoman.core.errors import CallerError
from dragoman.core.usage import Usage
from dragoman.dialects.anthropic import ANTHROPIC
from dragoman.dialects.base import Context, Target
from dragoman.dialects.framing.sse import LIMIT

START = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","model":"claude",'
    b'"usage":{"input_tokens":7,"cache_read_input_tokens":2,"output_tokens":1}}}   \n\n'
)
BLOCK = b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"%s"}}\n\n'
DELTA = b'event: content_block_delta\r\ndata: {"type":"content_block_delta","index":0,"delta":{"text":"\xc3\xa9"}}\r\n\r\n'
BLOCK_STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
END = (
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"%s","stop_sequence":'
    b'null},"usage":{"output_tokens":9},"odd":1.0}\n\n'
)
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
WHOLE = START + BLOCK % b"text" + b": hi\n\n" + DELTA + BLOCK_STOP + END % b"end_turn" + STOP


def relay():
    return ANTHROPIC.relay(Target("anthropic", "sent"), Context("c" * 32, 1, "sent"))


def test_frames_pass_as_their_own_bytes_and_tell_what_they_say():
    one = relay()
    assert one.feed(WHOLE) == WHOLE
    assert one.close() == b""
    facts = one.facts
    assert facts.usage == Usage(input=9, cache_read=2, output=9)
    assert (facts.id, facts.finished, facts.content, facts.error) == ("msg_1", True, True, None)
    assert (facts.finish.reason, facts.finish.raw) == ("stop", "end_turn")


@pytest.mark.pitfall(1, 5)
@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_a_partial_frame_is_never_passed_on(size):
    one = relay()
    passed = b""
    for place in range(0, len(WHOLE), size):
        passed += one.feed(WHOLE[place : place + size])
        assert not passed or passed.endswith((b"\n\n", b"\r\n\r\n"))
    assert passed + one.close() == WHOLE


def test_content_is_what_a_person_would_read_or_a_program_run():
    one = relay()
    one.feed(START + BLOCK % b"text")
    assert not one.facts.content
    one.feed(DELTA)
    assert one.facts.content
    silent = relay()
    silent.feed(START + END % b"refusal")
    assert silent.facts.content
    assert silent.facts.finish.reason == "refusal"


@pytest.mark.pitfall(46)
def test_calls_decide_why_it_ended():
    one = relay()
    one.feed(START + BLOCK % b"tool_use" + BLOCK_STOP + END % b"tool_use" + STOP)
    assert one.facts.finish.reason == "tool_calls"


@pytest.mark.pitfall(13, 164)
@pytest.mark.parametrize(
    "event",
    [
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"busy"}}\n\n',
        b'data: {"type":"error","error":{"type":"overloaded_error","message":"busy"}}\n\n',
        b'data: {"error":{"type":"overloaded_error","message":"busy"}}\n\n',
    ],
)
def test_an_error_is_withheld_until_attempt_decides(event):
    one = relay()
    assert one.feed(START + event + DELTA) == START
    assert (one.facts.error.kind, one.facts.error.upstream_status) == ("overloaded", 529)
    assert one.feed(DELTA) == b""
    assert one.close() == b""
    last = one.fail(one.facts.error)
    assert last.startswith(b"event: error\ndata: ")
    told = json.loads(last.split(b"data: ")[1])
    assert told["error"]["type"] == "overloaded_error"
    assert told["error"]["message"] == "busy"


@pytest.mark.pitfall(14)
@pytest.mark.parametrize("cut", [0, 20, len(START), len(START) + 30, len(WHOLE) - len(STOP)])
def test_an_end_before_the_end_of_the_answer_is_an_error(cut):
    one = relay()
    passed = one.feed(WHOLE[:cut]) + one.close()
    assert WHOLE.startswith(passed)
    assert (one.facts.error.code, one.facts.error.status) == ("upstream_truncated", 502)
    assert not one.facts.finished


def test_after_a_failure_of_ours_nothing_is_passed_on():
    one = relay()
    one.feed(START)
    assert one.fail(CallerError("timeout", "Too slow.")).startswith(b"event: error\n")
    assert one.feed(DELTA) == b""
    assert one.close() == b""
    assert one.facts.error is None


@pytest.mark.pitfall(4)
@pytest.mark.parametrize(("ending", "added"), [(b"\n", b"\n"), (b"", b"\n\n")])
def test_a_last_event_without_its_blank_line_gets_it(ending, added):
    one = relay()
    last = STOP.rstrip(b"\n") + ending
    assert one.feed(START + last) == START
    assert one.close() == last + added
    assert one.facts.finished
    assert one.facts.error is None


@pytest.mark.pitfall(6)
def test_what_comes_after_the_end_or_is_no_event_is_not_passed_on():
    one = relay()
    assert one.feed(b"data: [DONE]\n\n" + START + STOP + b"data: [DONE]\n\n") == START + STOP
    assert one.feed(b"event: ping\ndata: {}\n\n") == b""


@pytest.mark.pitfall(7)
def test_an_event_without_a_name_gets_it():
    nameless = STOP.removeprefix(b"event: message_stop\n")
    delta = DELTA.removeprefix(b"event: content_block_delta\r\n")
    assert relay().feed(nameless) == STOP
    assert relay().feed(delta) == b"event: content_block_delta\n" + delta
    assert relay().feed(b'data: {"x":1}\n\n') == b'data: {"x":1}\n\n'


@pytest.mark.pitfall(133)
def test_a_start_without_a_model_gets_the_one_that_was_sent():
    given = (
        b'event: message_start\ndata: {"type":"message_start","message":{"id":"x","y":1.0}}\n\n'
    )
    assert b'"y":1.0,"model":"sent"' in relay().feed(given)
    empty = b'event: message_start\ndata: {"type":"message_start"}\n\n'
    assert relay().feed(empty) == empty


def test_a_delta_without_an_end_tells_its_usage_alone():
    one = relay()
    one.feed(
        b'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":3}}\n\n'
    )
    one.feed(b'event: message_delta\ndata: {"type":"message_delta","delta":{}}\n\n')
    assert (one.facts.usage, one.facts.finish) == (Usage(output=3), None)


@pytest.mark.parametrize("data", [b"{", b"<html>", b"[]", b'{"type":5}', b"\xff", b"[" * 100_000])
@pytest.mark.parametrize("name", [b"content_block_delta", b"message_start"])
def test_an_event_that_is_none_is_withheld(data, name):
    one = relay()
    assert one.feed(b"event: " + name + b"\ndata: " + data + b"\n\n" + DELTA) == b""
    assert one.facts.error.code == "upstream_invalid_reply"


@pytest.mark.pitfall(26)
def test_half_a_character_passes_as_it_came():
    delta = DELTA.replace(b"\xc3\xa9", b"\\ud83d")
    start = START.replace(b"claude", b"\\ud83d")
    one = relay()
    assert one.feed(start + delta) == start + delta
    assert (one.facts.id, one.facts.error) == ("msg_1", None)


@pytest.mark.pitfall(25)
def test_an_event_without_end_is_an_error():
    one = relay()
    assert one.feed(b"data: " + b"x" * (LIMIT + 1)) == b""
    assert one.facts.error.code == "frame_too_large"
