"""A provider's stream as events."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from dragoman.core.errors import UpstreamError
from dragoman.core.events import (
    Cited,
    End,
    Failure,
    Finished,
    PartDelta,
    PartStart,
    PartStop,
    Ping,
    Start,
    UsageNote,
)
from dragoman.core.fold import check, fold
from dragoman.core.parts import Opaque, Text, Thinking, ToolCall
from dragoman.core.usage import Usage
from dragoman.dialects.anthropic import ANTHROPIC
from dragoman.dialects.base import Target, Undo
from dragoman.dialects.framing.sse import LIMIT

NATIVE = {"family": "anthropic", "format": "anthropic-claude-v1"}


def frame(kind: str, **members) -> bytes:
    data = json.dumps({"type": kind, **members}, ensure_ascii=False)
    return f"event: {kind}\ndata: {data}\n\n".encode()


def start(**message) -> bytes:
    usage = {"input_tokens": 7, "cache_read_input_tokens": 2, "output_tokens": 1}
    return frame(
        "message_start", message={"id": "msg_1", "model": "claude", "usage": usage, **message}
    )


def block(index: int, head: dict, *deltas: dict) -> bytes:
    return b"".join(
        [
            frame("content_block_start", index=index, content_block=head),
            *(frame("content_block_delta", index=index, delta=delta) for delta in deltas),
            frame("content_block_stop", index=index),
        ]
    )


def text(index: int, *words: str) -> bytes:
    deltas = ({"type": "text_delta", "text": word} for word in words)
    return block(index, {"type": "text", "text": ""}, *deltas)


def call(index: int, *pieces: str, head=None, name="f") -> bytes:
    deltas = ({"type": "input_json_delta", "partial_json": piece} for piece in pieces)
    whole = {"type": "tool_use", "id": f"t{index}", "name": name, "input": {}, **(head or {})}
    return block(index, whole, *deltas)


def end(reason="end_turn", usage=None, **delta) -> bytes:
    usage = usage or {"output_tokens": 9}
    return frame("message_delta", delta={"stop_reason": reason, **delta}, usage=usage) + frame(
        "message_stop"
    )


def events(*frames: bytes, undo=None):
    reader = ANTHROPIC.stream_reader(Target("anthropic", "sent"), undo or Undo())
    found = reader.feed(b"".join(frames)) + reader.close()
    check(found)
    return found


def parts(*frames: bytes, undo=None):
    return fold(events(start(), *frames, end(), undo=undo)).choices[0].parts


def failure(*frames: bytes) -> UpstreamError:
    last = events(*frames)[-1]
    assert isinstance(last, Failure)
    assert isinstance(last.error, UpstreamError)
    return last.error


def test_an_answer_is_told_as_it_grows():
    assert events(start(), frame("ping"), text(0, "He", "y"), end()) == [
        Start("msg_1", "claude", usage=Usage(input=9, cache_read=2, output=1)),
        Ping(),
        PartStart(0, Text("")),
        PartDelta(0, "He"),
        PartDelta(0, "y"),
        PartStop(0),
        UsageNote(Usage(input=9, cache_read=2, output=9)),
        Finished(fold([*events(start(), end())]).choices[0].finish),
        End(),
    ]


def test_a_sign_of_life_before_the_start_wakes_nobody():
    assert isinstance(events(frame("ping"), start(), end())[0], Start)


@pytest.mark.pitfall(126)
def test_later_counts_replace_earlier_ones():
    found = fold(
        events(start(), end(usage={"input_tokens": 100, "output_tokens": 9, "iterations": None}))
    )
    assert found.usage == Usage(input=102, cache_read=2, output=9)
    found = fold(events(start(usage=None), end(usage={"output_tokens": 4})))
    assert found.usage == Usage(output=4)
    silent = events(start(usage=None), frame("message_delta", delta={}), frame("message_stop"))
    assert fold(silent).usage is None


@pytest.mark.pitfall(34)
@pytest.mark.parametrize(
    ("pieces", "arguments"),
    [((), "{}"), (("",), "{}"), (("", '{"a"', ": 1}"), '{"a": 1}')],
)
def test_a_call_grows_from_nothing(pieces, arguments):
    assert parts(call(0, *pieces)) == (ToolCall("t0", "f", arguments),)


@pytest.mark.pitfall(42)
def test_a_call_whose_input_stands_in_its_start_has_it():
    assert parts(call(0, head={"input": {"a": 1}})) == (ToolCall("t0", "f", '{"a":1}'),)


@pytest.mark.pitfall(46)
def test_calls_decide_why_it_ended():
    assert fold(events(start(), call(0), end("tool_use"))).choices[0].finish.reason == "tool_calls"
    assert fold(events(start(), text(0, "a"), end("tool_use"))).choices[0].finish.reason == "stop"


@pytest.mark.pitfall(92, 94, 96)
def test_thinking_may_be_signed_without_words_redacted_or_whole_at_once():
    found = parts(
        block(
            0, {"type": "thinking", "thinking": ""}, {"type": "signature_delta", "signature": "s"}
        ),
        block(1, {"type": "redacted_thinking", "data": "d"}),
        block(
            2,
            {"type": "thinking", "thinking": "h", "signature": "x"},
            {"type": "thinking_delta", "thinking": "m"},
        ),
    )
    assert found == (
        Thinking("", signature="s", **NATIVE),
        Thinking(redacted=True, encrypted="d", **NATIVE),
        Thinking("hm", signature="x", **NATIVE),
    )


def test_citations_join_their_text():
    citation = {"type": "char_location", "cited_text": "x"}
    head = {"type": "text", "text": "a", "citations": [citation]}
    found = events(
        start(),
        block(
            0,
            head,
            {"type": "citations_delta", "citation": citation},
            {"type": "citations_delta"},
            {"type": "text_delta", "text": "b"},
        ),
        end(),
    )
    assert sum(isinstance(event, Cited) for event in found) == 2
    (part,) = fold(found).choices[0].parts
    assert part.text == "ab"
    assert [c.cited_text for c in part.citations] == ["x", "x"]


@pytest.mark.pitfall(65)
def test_blocks_that_only_this_dialect_knows_are_told_whole_at_their_end():
    found = parts(
        block(
            0,
            {"type": "server_tool_use", "id": "s", "name": "n", "input": {}},
            {"type": "input_json_delta", "partial_json": '{"q": '},
            {"type": "input_json_delta", "partial_json": "1}"},
        ),
        block(1, {"type": "web_search_tool_result", "content": [{"url": "u"}]}),
        block(
            2,
            {"type": "compaction", "content": None},
            {"type": "compaction_delta", "content": "sum"},
            {"type": "compaction_delta", "content": None},
        ),
        block(3, {"type": "server_tool_use"}, {"type": "input_json_delta", "partial_json": "{"}),
    )
    assert [json.loads(bytes(part.payload)) for part in found if isinstance(part, Opaque)] == [
        {"type": "server_tool_use", "id": "s", "name": "n", "input": {"q": 1}},
        {"type": "web_search_tool_result", "content": [{"url": "u"}]},
        {"type": "compaction", "content": "sum"},
        {"type": "server_tool_use", "input": {"_raw": "{"}},
    ]


def test_a_block_of_another_side_is_told_as_it_is():
    (found,) = parts(block(0, {"type": "tool_result", "tool_use_id": "x", "content": "y"}))
    assert found.call_id == "x"


@pytest.mark.pitfall(138, 162)
def test_a_refusal_may_come_without_any_block():
    details = {"type": "refusal", "explanation": "No.", "new": 1}
    finish = fold(events(start(), end("refusal", stop_details=details))).choices[0].finish
    assert (finish.reason, finish.explanation) == ("refusal", "No.")
    assert json.loads(bytes(finish.details)) == details


@pytest.mark.pitfall(139)
def test_a_pause_and_what_only_this_dialect_says_about_the_message():
    found = events(
        start(),
        frame(
            "message_delta",
            delta={"stop_reason": "pause_turn", "container": {"id": "c"}},
            context_management={"applied_edits": []},
        ),
        frame("message_stop"),
    )
    choice = fold(found).choices[0]
    assert choice.finish.reason == "pause"
    assert choice.ext == {
        "anthropic": {
            "container": Raw(b'{"id": "c"}'),
            "context_management": Raw(b'{"applied_edits": []}'),
        }
    }


@pytest.mark.pitfall(19)
def test_a_repeated_start_is_ignored_and_another_messages_ends_what_is_open():
    found = events(
        start(),
        start(),
        frame("content_block_start", index=0, content_block={"type": "text", "text": "a"}),
        start(id="msg_2"),
        text(0, "b"),
        end(),
    )
    assert [part.text for part in fold(found).choices[0].parts] == ["a", "b"]
    assert sum(isinstance(event, Start) for event in found) == 1


def test_parts_are_numbered_as_they_begin_to_be_told():
    hosted = {"type": "server_tool_use", "id": "s"}
    found = events(
        start(),
        frame("content_block_start", index=0, content_block=hosted),
        frame("content_block_start", index=1, content_block={"type": "text", "text": "a"}),
        frame("content_block_stop", index=1),
        frame("content_block_stop", index=0),
        end(),
    )
    assert [type(p).__name__ for p in fold(found).choices[0].parts] == ["Text", "Opaque"]


@pytest.mark.pitfall(23, 96)
def test_what_a_proxy_lost_is_made_up_for():
    naked = b'data: {"type":"content_block_delta","index":0,"delta":{"type":"%s","%s":"x"}}\n\n'
    found = events(
        naked % (b"thinking_delta", b"thinking"),
        frame("content_block_delta", index=0, delta={"type": "signature_delta", "signature": "s"}),
        frame("content_block_delta", index=3, delta={"type": "input_json_delta"}),
        frame("content_block_delta", index=0),
        frame("content_block_start", index=0, content_block={"type": "text", "text": "y"}),
        end(),
    )
    assert found[0] == Start("", "sent")
    assert fold(found).choices[0].parts == (
        Thinking("x", signature="s", **NATIVE),
        Text("y"),
    )
    assert isinstance(events(frame("message_stop"))[0], Start)
    assert isinstance(events(end())[0], Start)


def test_deltas_of_another_kind_than_their_block_say_nothing():
    found = parts(
        block(
            0,
            {"type": "text", "text": ""},
            {"type": "input_json_delta", "partial_json": "{}"},
            {"type": "thinking_delta", "thinking": "x"},
            {"type": "new_delta", "text": "x"},
            {"type": "text_delta", "text": "ok"},
        )
    )
    assert found == (Text("ok"),)


@pytest.mark.pitfall(3, 6)
def test_comments_unknown_events_and_a_stray_done_say_nothing():
    noise = (b": keep-alive\n\n", b"data: [DONE]\n\n", frame("brand_new", x=1), b"event: x\n\n")
    assert parts(*noise, text(0, "a")) == (Text("a"),)


@pytest.mark.pitfall(6)
def test_after_the_end_nothing_is_read():
    found = events(start(), text(0, "a"), end(), text(1, "b"), b"data: [DONE]\n\n", b"garbage")
    assert isinstance(found[-1], End)
    reader = ANTHROPIC.stream_reader(Target("a", "m"), Undo())
    reader.feed(start() + end())
    assert reader.feed(text(0, "x")) == []
    assert reader.close() == []


@pytest.mark.pitfall(4)
def test_a_last_event_without_its_blank_line_counts():
    found = events(start(), text(0, "a"), end().rstrip(b"\n"))
    assert isinstance(found[-1], End)


@pytest.mark.pitfall(13, 14)
@pytest.mark.parametrize("kept", [0, 10, 100, 300, 500, 700])
def test_an_end_of_the_bytes_before_the_end_of_the_answer_is_a_failure(kept):
    whole = start() + text(0, "a") + call(1, '{"a":1}') + end()
    error = failure(whole[:kept])
    assert (error.status, error.code, error.retryable) == (502, "upstream_truncated", True)


@pytest.mark.req("R-XLATE-039")
@pytest.mark.pitfall(13)
def test_an_error_event_is_a_failure_with_the_status_of_its_kind():
    body = {"type": "overloaded_error", "message": "busy"}
    error = failure(start(), text(0, "a"), frame("error", error=body), text(1, "b"))
    assert (error.kind, error.status, error.upstream_status) == ("overloaded", 503, 529)
    nameless = failure(b'data: {"error":{"type":"rate_limit_error","message":"slow"}}\n\n')
    assert (nameless.kind, nameless.status) == ("rate_limit", 429)
    named = failure(b'event: error\ndata: {"message":"x"}\n\n')
    assert (named.kind, named.message) == ("server", "x")
    last = failure(start(), frame("error", error=body).rstrip())
    assert last.kind == "overloaded"


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"<html>",
        b"[]",
        b'{"type":5}',
        b'{"type":"content_block_start","index":0}',
        b'{"type":"content_block_start","index":0,"content_block":5}',
        b'{"type":"content_block_start","index":"x","content_block":{"type":"text","text":""}}',
        b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":NaN}}',
        b'{"type":"x","y":"\\ud83d","z":NaN}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_an_event_that_is_none_is_a_failure(data):
    error = failure(start(), b"event: x\ndata: " + data + b"\n\n", end())
    assert (error.status, error.code) == (502, "upstream_invalid_reply")


@pytest.mark.pitfall(25)
def test_an_event_without_end_is_a_failure():
    reader = ANTHROPIC.stream_reader(Target("a", "m"), Undo())
    (last,) = reader.feed(b"data: " + b"x" * (LIMIT + 1))
    assert isinstance(last, Failure)


@pytest.mark.pitfall(1, 26)
def test_the_halves_of_a_character_find_each_other_or_are_replaced():
    def half(words: str) -> bytes:
        return frame(
            "content_block_delta", index=0, delta={"type": "text_delta", "text": "@"}
        ).replace(b"@", words.encode())

    head = frame("content_block_start", index=0, content_block={"type": "text", "text": ""})
    stop = frame("content_block_stop", index=0)
    joined = parts(head, half("a\\ud83d"), half("\\ude00b"), stop)
    assert joined == (Text("a😀b"),)
    lonely = parts(head, half("a\\ud83d"), half("b"), half("\\ud83d"), stop)
    assert lonely == (Text("a\ufffdb\ufffd"),)
    odd = parts(head, frame("ping").replace(b"}", b',"x":"\\ud83d"}'), stop)
    assert odd == (Text(""),)
    list_ = failure(start(), b'data: ["\\ud83d"]\n\n')
    assert list_.code == "upstream_invalid_reply"


@pytest.mark.pitfall(57, 64, 67)
def test_what_the_writer_changed_is_changed_back():
    undo = Undo({"a_1": "ä"}, "json_response", frozenset({"run"}))
    found = parts(
        call(0, '{"x":', "1}", name="a_1"),
        call(1, '{"input":', ' "free"}', name="run"),
        call(2, '{"input": ""}', name="run"),
        call(3, '{"a":', "1}", name="json_response"),
        undo=undo,
    )
    assert found == (
        ToolCall("t0", "ä", '{"x":1}'),
        ToolCall("t1", "run", "free", kind="custom"),
        ToolCall("t2", "run", "", kind="custom"),
        Text('{"a":1}'),
    )
    alone = fold(events(start(), call(0, name="json_response"), end("tool_use"), undo=undo))
    assert alone.choices[0].parts == (Text("{}"),)
    assert alone.choices[0].finish.reason == "stop"


def test_the_tier_of_the_service_is_told():
    usage = {"input_tokens": 1, "output_tokens": 1, "service_tier": "priority"}
    assert events(start(usage=usage), end())[0].service_tier == "priority"
