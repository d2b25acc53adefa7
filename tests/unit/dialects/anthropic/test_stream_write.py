"""Events as a stream for an Anthropic client."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from dragoman.core.envelope import Envelope
from dragoman.core.errors import CallerError, UpstreamError
from dragoman.core.events import (
    Cited,
    End,
    Failure,
    Finished,
    LogprobNote,
    PartDelta,
    PartStart,
    PartStop,
    Ping,
    Start,
    UsageNote,
)
from dragoman.core.parts import (
    Citation,
    Inline,
    Media,
    Opaque,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from dragoman.core.response import Finish
from dragoman.core.usage import Usage
from dragoman.dialects.anthropic import ANTHROPIC
from dragoman.dialects.base import Context, Target, Undo

CONTEXT = Context(call_id="ab" * 16, created=1, model="sent", envelope=Envelope({1: b"k" * 32}))
STOP = Finished(Finish("stop"))
NATIVE = {"family": "anthropic", "format": "anthropic-claude-v1"}


def send(*events) -> bytes:
    writer = ANTHROPIC.stream_writer(CONTEXT)
    return b"".join(writer.send(event) for event in events)


def payloads(*events) -> list[dict]:
    found = []
    for raw in send(*events).split(b"\n\n")[:-1]:
        name, data = raw.split(b"\n")
        payload = json.loads(data.removeprefix(b"data: "))
        assert name == b"event: " + payload["type"].encode()
        found.append(payload)
    return found


def blocks(*events) -> list[dict]:
    """What the official client would hold, and the order of its events checked on the way."""
    built: list[dict] = []
    is_open = False
    for payload in payloads(Start(), *events, STOP, End()):
        match payload["type"]:
            case "content_block_start":
                assert not is_open
                assert payload["index"] == len(built)
                is_open = True
                built.append({**payload["content_block"], "deltas": []})
            case "content_block_delta":
                assert is_open
                assert payload["index"] == len(built) - 1
                built[-1]["deltas"].append(payload["delta"])
            case "content_block_stop":
                assert is_open
                assert payload["index"] == len(built) - 1
                is_open = False
    assert not is_open
    return built


def words(block: dict) -> str:
    return "".join(
        delta.get("text") or delta.get("thinking") or delta.get("partial_json") or ""
        for delta in block["deltas"]
    )


def text(number: int, *pieces: str):
    return (PartStart(number, Text("")), *(PartDelta(number, p) for p in pieces), PartStop(number))


def args(number: int, piece: str) -> PartDelta:
    return PartDelta(number, piece, "arguments")


@pytest.mark.req("R-XLATE-030", "R-XLATE-032", "R-XLATE-033", "R-XLATE-036", "R-XLATE-037")
@pytest.mark.pitfall(7)
def test_a_text_from_start_to_end():
    assert send(
        Start(id="", model="gpt"),
        *text(0, "Hé", ""),
        STOP,
        UsageNote(Usage(input=3, output=5)),
        End(),
    ) == (
        b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_'
        + b"ab" * 16
        + b'",'
        b'"type":"message","role":"assistant","model":"gpt","content":[],"stop_reason":null,'
        b'"stop_sequence":null,"usage":{"input_tokens":0,"output_tokens":0}}}\n\n'
        b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
        b'"content_block":{"type":"text","text":""}}\n\n'
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
        b'"delta":{"type":"text_delta","text":"H\xc3\xa9"}}\n\n'
        b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
        b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn",'
        b'"stop_sequence":null},"usage":{"input_tokens":3,"output_tokens":5}}\n\n'
        b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    )


@pytest.mark.req("R-XLATE-032", "R-XLATE-036")
def test_a_stream_of_nothing_still_has_its_start_and_an_empty_text():
    kinds = [payload["type"] for payload in payloads(End())]
    assert kinds == [
        "message_start",
        "content_block_start",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert [p["type"] for p in payloads(*text(0, "a"))][:2] == [
        "message_start",
        "content_block_start",
    ]
    assert send(Start(), Start()).count(b"message_start") == 2  # once as name, once as type


@pytest.mark.req("R-XLATE-034")
@pytest.mark.pitfall(34)
def test_a_call_starts_empty_and_grows():
    named, bare = blocks(
        PartStart(0, ToolCall("t", "f", ext={"anthropic": {"caller": Raw(b"{}")}})),
        args(0, ""),
        args(0, '{"a":'),
        args(0, "1}"),
        PartStop(0),
        PartStart(1, ToolCall("", "")),
        PartStop(1),
    )
    assert {k: v for k, v in named.items() if k != "deltas"} == {
        "type": "tool_use",
        "id": "t",
        "name": "f",
        "input": {},
        "caller": {},
    }
    assert named["deltas"] == [
        {"type": "input_json_delta", "partial_json": '{"a":'},
        {"type": "input_json_delta", "partial_json": "1}"},
    ]
    assert bare["id"].startswith("toolu_")
    assert (bare["name"], bare["deltas"]) == ("tool", [])


@pytest.mark.req("R-XLATE-034", "R-XLATE-039")
@pytest.mark.pitfall(39, 160)
def test_calls_that_come_interleaved_are_told_one_after_another():
    found = blocks(
        PartStart(0, ToolCall("a", "f")),
        PartStart(1, ToolCall("b", "g")),
        args(1, '{"b"'),
        args(0, '{"a"'),
        PartStart(2, Text("")),
        PartDelta(2, "late"),
        args(1, ":2}"),
        PartStop(1),
        args(0, ":1}"),
        PartStop(0),
        PartDelta(2, "r"),
        PartStop(2),
    )
    assert [(b["type"], words(b)) for b in found] == [
        ("tool_use", '{"a":1}'),
        ("tool_use", '{"b":2}'),
        ("text", "later"),
    ]


@pytest.mark.pitfall(102, 160)
def test_parts_that_say_nothing_open_no_block():
    found = blocks(
        PartStart(0, Text("")),
        PartStart(1, Thinking()),
        PartDelta(1, "hm"),
        PartStop(1),
        PartStop(0),
        PartStart(2, Thinking()),
        PartStop(2),
        *text(3, "a"),
        PartStart(4, Media("image", Inline("", "image/png"))),
        PartStop(4),
    )
    assert [b["type"] for b in found] == ["thinking", "text"]


@pytest.mark.pitfall(92, 96)
def test_a_signature_stands_last_wherever_it_came():
    (found,) = blocks(
        PartStart(0, Thinking(**NATIVE)),
        PartDelta(0, "si", "signature"),
        PartDelta(0, "hm"),
        PartDelta(0, "g", "signature"),
        PartStop(0),
    )
    assert found["signature"] == ""
    assert found["deltas"] == [
        {"type": "thinking_delta", "thinking": "hm"},
        {"type": "signature_delta", "signature": "sig"},
    ]


@pytest.mark.pitfall(92, 94, 96)
def test_thinking_without_words_is_told_by_its_state():
    found = blocks(
        PartStart(0, Thinking(**NATIVE)),
        PartDelta(0, "sig", "signature"),
        PartStop(0),
        PartStart(1, Thinking(redacted=True, encrypted="d", **NATIVE)),
        PartStop(1),
        PartStart(2, Thinking(**NATIVE)),
        PartDelta(2, "e", "encrypted"),
        PartStop(2),
    )
    assert found == [
        {
            "type": "thinking",
            "thinking": "",
            "signature": "",
            "deltas": [{"type": "signature_delta", "signature": "sig"}],
        },
        {"type": "redacted_thinking", "data": "d", "deltas": []},
        {"type": "redacted_thinking", "data": "e", "deltas": []},
    ]


def test_foreign_state_travels_in_an_envelope():
    found = blocks(
        PartStart(0, Thinking(family="chat", format="openai")),
        PartDelta(0, "hm"),
        PartDelta(0, "e", "encrypted"),
        PartStop(0),
        PartStart(1, Thinking(family="chat")),
        PartDelta(1, "plain"),
        PartStop(1),
    )
    assert found[0]["deltas"][1]["signature"].startswith("drg1.")
    # Without state it is told whose it is, so that Anthropic is never shown it (P93).
    plain, whose = found[1]["deltas"]
    assert plain == {"type": "thinking_delta", "thinking": "plain"}
    assert whose["signature"].startswith("drg1.")


def test_what_a_head_already_holds_is_told_first():
    found = blocks(
        PartStart(0, Text("a")),
        PartDelta(0, "b"),
        PartStop(0),
        PartStart(1, ToolCall("t", "f", '{"x"')),
        args(1, ":1}"),
        PartStop(1),
        PartStart(2, Thinking("h", signature="s", **NATIVE)),
        PartStop(2),
        PartStart(3, ToolCall("t", "run", "fr", kind="custom")),
        args(3, "ee"),
        PartStop(3),
        PartStart(4, Refusal("No")),
        PartStop(4),
    )
    assert [words(block) for block in found] == ["ab", '{"x":1}', "h", '{"input":"free"}', "No"]


@pytest.mark.pitfall(36)
@pytest.mark.parametrize(
    ("head", "pieces", "told"),
    [
        ("", ["null"], '{"input":null}'),
        ("nu", ["ll"], '{"input":null}'),
        ("", ["7"], '{"input":7}'),
        ("", ['["a', '","b"]'], '{"input":["a","b"]}'),
        ("", [" ", '{"x"', ":1}"], ' {"x":1}'),
        ('{"x"', [":1}"], '{"x":1}'),
        ("", ['{"cut": "of'], '{"cut": "of'),
        ("", ["or"], '{"_raw":"or"}'),
    ],
)
def test_arguments_that_are_no_object_are_told_as_one(head, pieces, told):
    """Anthropic's client hands a program whatever stands there as ``input``."""
    (found,) = blocks(
        PartStart(0, ToolCall("t", "run", head)), *(args(0, p) for p in pieces), PartStop(0)
    )
    assert words(found) == told


def test_citations_of_this_dialect_are_told_and_others_left_out():
    own = Citation("char", raw=Raw(b'{\n"type":"char_location"}'), dialect="anthropic")
    other = Citation("url", url="u", dialect="chat")
    (found,) = blocks(
        PartStart(0, Text("")),
        Cited(0, own),
        PartDelta(0, "a"),
        Cited(0, own),
        Cited(0, other),
        PartStop(0),
    )
    said = {"type": "citations_delta", "citation": {"type": "char_location"}}
    assert found["deltas"] == [said, {"type": "text_delta", "text": "a"}, said]
    held = blocks(
        PartStart(0, ToolCall("t", "f")),
        PartStart(1, Text("")),
        Cited(1, own),
        PartStop(1),
        PartStop(0),
    )
    assert held[1]["deltas"] == [said]


def test_blocks_of_this_dialect_stay_on_one_line():
    (found,) = blocks(
        PartStart(0, Opaque("anthropic", "x", Raw(b'{\n  "type": "x",\n "a": 1.0}'))), PartStop(0)
    )
    assert found == {"type": "x", "a": 1.0, "deltas": []}


@pytest.mark.req("R-XLATE-035", "R-XLATE-039")
@pytest.mark.pitfall(125, 126)
def test_usage_is_told_when_it_is_known():
    early, *_, late, _ = payloads(
        UsageNote(Usage(output=1)),
        Start(usage=Usage(input=50, cache_read=20), service_tier="priority"),
        *text(0, "a"),
        UsageNote(Usage(output=7, reasoning=3)),
        STOP,
        End(),
    )
    assert early["message"]["usage"] == {
        "input_tokens": 30,
        "cache_read_input_tokens": 20,
        "output_tokens": 0,
        "service_tier": "priority",
    }
    assert late["usage"] == {
        "input_tokens": 30,
        "cache_read_input_tokens": 20,
        "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 3},
    }


@pytest.mark.req("R-XLATE-037")
@pytest.mark.parametrize(
    ("finish", "delta"),
    [
        (Finish("length"), {"stop_reason": "max_tokens", "stop_sequence": None}),
        (
            Finish("stop_sequence", stop_sequence="X"),
            {"stop_reason": "stop_sequence", "stop_sequence": "X"},
        ),
        (
            Finish("refusal", details=Raw(b'{"type":"refusal"}')),
            {
                "stop_reason": "refusal",
                "stop_sequence": None,
                "stop_details": {"type": "refusal"},
            },
        ),
    ],
)
def test_why_it_ended(finish, delta):
    assert payloads(Start(), Finished(finish), End())[-2]["delta"] == delta


def test_what_only_this_dialect_says_about_the_message_is_told_at_its_end():
    ext = {"anthropic": {"container": Raw(b'{"id":"c"}'), "context_management": Raw(b"{}")}}
    told = payloads(Start(), Finished(Finish("stop"), ext=ext), End())[-2]
    assert told["delta"]["container"] == {"id": "c"}
    assert told["context_management"] == {}


def test_calls_and_refusals_tell_why_it_ended():
    assert (
        payloads(Start(), PartStart(0, ToolCall("t", "f")), PartStop(0), STOP, End())[-2]["delta"][
            "stop_reason"
        ]
        == "tool_use"
    )
    told = payloads(
        Start(), PartStart(0, Refusal("")), PartDelta(0, "No"), PartStop(0), STOP, End()
    )
    assert told[-2]["delta"]["stop_details"]["explanation"] == "No"


@pytest.mark.pitfall(13)
@pytest.mark.req("R-XLATE-039")
def test_a_failure_is_one_error_event_and_nothing_after_it():
    error = UpstreamError("overloaded", "busy", code="upstream_overloaded")
    found = payloads(Start(), *text(0, "a")[:2], Failure(error), PartStop(0), STOP, End(), Ping())
    assert [payload["type"] for payload in found][-1] == "error"
    assert found[-1]["error"]["type"] == "overloaded_error"
    assert found[-1]["error"]["message"] == "busy"
    first = payloads(Failure(CallerError("invalid_request", "x")))
    assert [payload["type"] for payload in first] == ["error"]


@pytest.mark.pitfall(137)
def test_an_end_that_is_a_failure_is_told_as_one():
    found = payloads(Start(), Finished(Finish("error")), End())
    assert [payload["type"] for payload in found] == ["message_start", "error"]


@pytest.mark.pitfall(15)
def test_a_sign_of_life_is_a_ping_and_so_is_the_heartbeat():
    assert send(Ping()) == b'event: ping\ndata: {"type":"ping"}\n\n' == ANTHROPIC.heartbeat


def test_other_choices_and_what_nobody_opened_are_not_told():
    citation = Citation("char", raw=Raw(b"{}"), dialect="anthropic")
    assert (
        send(
            LogprobNote(b"{}"),
            PartStart(0, Text(""), choice=1),
            PartDelta(0, "x", choice=1),
            Cited(0, citation, choice=1),
            PartStop(0, choice=1),
            Finished(Finish("length"), choice=1),
            PartDelta(5, "x"),
            Cited(5, citation),
            PartStop(5),
        )
        == b""
    )


def test_parts_that_never_stopped_are_closed_at_the_end():
    found = blocks(
        PartStart(0, Text("")), PartDelta(0, "a"), PartStart(1, Text("")), PartDelta(1, "b")
    )
    assert [words(block) for block in found] == ["a", "b"]


def test_deltas_that_do_not_fit_their_part_say_nothing():
    (found,) = blocks(PartStart(0, Text("a")), args(0, "{}"), PartDelta(0, "b"), PartStop(0))
    assert words(found) == "ab"


@pytest.mark.pitfall(26)
def test_half_a_character_is_replaced():
    (found,) = blocks(*text(0, "a\ud83d"))
    assert words(found) == "a\ufffd"


@pytest.mark.pitfall(24)
def test_what_was_written_reads_as_it_was_meant():
    written = send(Start(id="msg_1", model="m"), *text(0, "a"), STOP, End())
    events = ANTHROPIC.stream_reader(Target("a", "m"), Undo()).feed(written)
    assert events[0].id == "msg_1"
    assert isinstance(events[-1], End)


def test_a_foreign_thought_without_words_tells_its_state_once():
    """Its block has no deltas: what is in the start is all of it."""
    thought = Thinking(encrypted="e", redacted=True, family="responses")
    context = Context("c" * 32, 1, "m", envelope=Envelope({1: b"k" * 32}))
    writer = ANTHROPIC.stream_writer(context)
    events = (Start(), PartStart(0, thought), PartStop(0), Finished(Finish("stop")), End())
    told = b"".join(writer.send(event) for event in events)
    assert told.count(b"redacted_thinking") == 1
    assert b"signature_delta" not in told
