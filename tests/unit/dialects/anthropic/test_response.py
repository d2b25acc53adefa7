"""Whole replies: read, written, tapped, and told as a stream."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from dragoman.core.errors import UpstreamError
from dragoman.core.fold import check, fold
from dragoman.core.parts import (
    Inline,
    Media,
    Opaque,
    Refusal,
    SearchResult,
    Text,
    Thinking,
    ToolCall,
    Url,
)
from dragoman.core.response import Choice, Finish, Response
from dragoman.core.usage import Usage
from dragoman.dialects.anthropic import ANTHROPIC
from dragoman.dialects.base import Context, Target, Undo

TARGET = Target("anthropic", "sent")
CONTEXT = Context(call_id="0199-00ff" + "a" * 24, created=1, model="sent")
NATIVE = {"family": "anthropic", "format": "anthropic-claude-v1"}


def reply(*content, **members) -> bytes:
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": list(content),
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 5},
    }
    return json.dumps({**body, **members}).encode()


def read(*content, undo=None, **members) -> Response:
    return ANTHROPIC.read_response(reply(*content, **members), TARGET, undo or Undo())


def write(*parts, finish=None, **members):
    choice = Choice(tuple(parts), finish or Finish("stop"))
    response = Response(**{"id": "", "model": "", "choices": (choice,), **members})
    return ANTHROPIC.write_response(response, CONTEXT)


def body(*args, **members):
    return json.loads(write(*args, **members).body)


# --------------------------------------------------------------------------- reading


@pytest.mark.pitfall(27, 92, 94)
def test_a_reply_is_its_parts_in_their_order():
    found = read(
        {"type": "thinking", "thinking": "", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {
            "type": "text",
            "text": "Hi",
            "citations": [{"type": "char_location", "start_char_index": 1}],
        },
        {"type": "tool_use", "id": "t", "name": "f", "input": {"b": 1, "a": 2}, "caller": {}},
        {"type": "server_tool_use", "id": "s", "name": "n", "input": {}},
    )
    thinking, redacted, text, call, opaque = found.choices[0].parts
    assert thinking == Thinking("", signature="s", **NATIVE)
    assert redacted == Thinking(redacted=True, encrypted="d", **NATIVE)
    assert (text.text, text.citations[0].start) == ("Hi", 1)
    assert call == ToolCall("t", "f", '{"b":1,"a":2}', ext={"anthropic": {"caller": Raw(b"{}")}})
    assert isinstance(opaque, Opaque)
    assert (found.id, found.model) == ("msg_1", "claude")


@pytest.mark.parametrize(
    ("citation", "kind", "start", "unit"),
    [
        ({"type": "char_location", "document_index": 0, "start_char_index": 4}, "char", 4, "char"),
        (
            {"type": "page_location", "document_index": 0, "start_page_number": 4},
            "page",
            4,
            "page",
        ),
        (
            {"type": "content_block_location", "document_index": 0, "start_block_index": 4},
            "block",
            4,
            "block",
        ),
        (
            {"type": "search_result_location", "source": "u", "start_block_index": 4},
            "search",
            4,
            "block",
        ),
        ({"type": "web_search_result_location", "url": "u", "title": "t"}, "url", None, "char"),
        ({"type": 5}, "url", None, "char"),
    ],
)
def test_citations_are_understood_and_keep_their_own_spelling(citation, kind, start, unit):
    text = read({"type": "text", "text": "x", "citations": [citation]}).choices[0].parts[0]
    (found,) = text.citations
    assert (found.kind, found.start, found.unit, found.dialect) == (kind, start, unit, "anthropic")
    assert json.loads(bytes(found.raw)) == citation


@pytest.mark.pitfall(22, 138, 139)
@pytest.mark.parametrize(
    ("reason", "meant"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop_sequence"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "context_overflow"),
        ("refusal", "refusal"),
        ("pause_turn", "pause"),
        ("compaction", "unknown"),
        (None, "unknown"),
        ("tool_use", "stop"),
    ],
)
def test_why_it_ended(reason, meant):
    finish = read(stop_reason=reason, stop_sequence="X").choices[0].finish
    assert (finish.reason, finish.raw, finish.stop_sequence) == (meant, reason, "X")


@pytest.mark.pitfall(46, 65)
def test_calls_of_the_caller_decide_whether_it_is_to_run_any():
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    hosted = {"type": "server_tool_use", "id": "t", "name": "f", "input": {}}
    assert read(call, stop_reason="tool_use").choices[0].finish.reason == "tool_calls"
    assert read(call, stop_reason="end_turn").choices[0].finish.reason == "tool_calls"
    assert read(call, stop_reason="max_tokens").choices[0].finish.reason == "length"
    assert read(hosted, stop_reason="tool_use").choices[0].finish.reason == "stop"


@pytest.mark.pitfall(162)
def test_the_details_of_a_refusal_are_kept():
    details = {"type": "refusal", "explanation": "No.", "recommended_model": "x"}
    finish = read(stop_reason="refusal", stop_details=details).choices[0].finish
    assert finish.explanation == "No."
    assert json.loads(bytes(finish.details)) == details
    odd = read(stop_reason="refusal", stop_details=[1]).choices[0].finish
    assert (odd.explanation, bytes(odd.details)) == (None, b"[1]")


@pytest.mark.pitfall(125)
def test_all_input_is_counted_the_cache_included():
    usage = {
        "input_tokens": 10,
        "cache_read_input_tokens": 20,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_1h_input_tokens": 7, "ephemeral_5m_input_tokens": 23},
        "output_tokens": 40,
        "output_tokens_details": {"thinking_tokens": 15},
        "server_tool_use": {"web_search_requests": 2},
        "service_tier": "standard",
    }
    found = read(usage=usage)
    assert found.usage == Usage(
        input=60,
        cache_read=20,
        cache_write=30,
        cache_write_1h=7,
        output=40,
        reasoning=15,
        web_searches=2,
    )
    assert found.service_tier == "default"
    assert read(usage=None).usage is None


@pytest.mark.pitfall(127)
def test_runs_that_compacted_the_context_are_added_and_those_of_other_models_not():
    usage = {
        "input_tokens": 600,
        "output_tokens": 100,
        "cache_read_input_tokens": 0,
        "iterations": [
            {
                "type": "compaction",
                "input_tokens": 5000,
                "output_tokens": 50,
                "cache_read_input_tokens": 3,
            },
            {"type": "message", "input_tokens": 600, "output_tokens": 100},
            {"type": "advisor_message", "input_tokens": 9000, "output_tokens": 900},
        ],
    }
    found = read(usage=usage).usage
    assert (found.input, found.output, found.cache_read, found.cache_write) == (5603, 150, 3, None)


def test_absurd_counts_are_unknown():
    found = read(usage={"input_tokens": -5, "output_tokens": "many"}).usage
    assert (found.input, found.output) == (None, None)


@pytest.mark.pitfall(57, 64, 67)
def test_what_the_writer_changed_is_changed_back():
    undo = Undo({"a_1": "ä"}, "json_response", frozenset({"run", "a_2"}))
    found = read(
        {"type": "tool_use", "id": "1", "name": "a_1", "input": {}},
        {"type": "tool_use", "id": "2", "name": "run", "input": {"input": "free text"}},
        {"type": "tool_use", "id": "3", "name": "run", "input": {"other": 1}},
        {"type": "tool_use", "id": "4", "name": "json_response", "input": {"a": 1}},
        undo=undo,
        stop_reason="tool_use",
    ).choices[0]
    assert found.parts == (
        ToolCall("1", "ä", "{}"),
        ToolCall("2", "run", "free text", kind="custom"),
        ToolCall("3", "run", '{"other":1}', kind="custom"),
        Text('{"a":1}'),
    )
    alone = read(
        {"type": "tool_use", "id": "4", "name": "json_response", "input": {"a": 1}},
        undo=undo,
        stop_reason="tool_use",
    ).choices[0]
    assert (alone.parts, alone.finish.reason) == ((Text('{"a":1}'),), "stop")


def test_members_of_the_message_that_only_this_dialect_has_are_kept():
    found = read(container={"id": "c"}, context_management=None)
    assert found.choices[0].ext == {"anthropic": {"container": Raw(b'{"id": "c"}')}}


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"content":[5]}',
        b'{"content":' + b"[" * 100_000,
        b'{"content":NaN}',
    ],
)
def test_a_reply_that_is_none_is_an_error_of_the_provider(given):
    for reader in (
        lambda: ANTHROPIC.read_response(given, TARGET, Undo()),
        lambda: ANTHROPIC.response_frames(given),
    ):
        with pytest.raises(UpstreamError) as caught:
            reader()
        assert (caught.value.status, caught.value.code) == (502, "upstream_invalid_reply")


def test_a_block_without_its_words_is_an_error_of_the_provider():
    with pytest.raises(UpstreamError):
        read({"type": "text"})


@pytest.mark.pitfall(140)
def test_an_error_with_status_200_is_an_error():
    given = b'{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}'
    for reader in (
        lambda: ANTHROPIC.read_response(given, TARGET, Undo()),
        lambda: ANTHROPIC.tap_response(given, TARGET, CONTEXT),
        lambda: ANTHROPIC.response_frames(given),
    ):
        with pytest.raises(UpstreamError) as caught:
            reader()
        assert (caught.value.kind, caught.value.status) == ("rate_limit", 429)


@pytest.mark.pitfall(26)
def test_half_a_character_kills_no_reply():
    given = reply({"type": "text", "text": "X"}).replace(b'"X"', b'"a\\ud83d"')
    assert ANTHROPIC.read_response(given, TARGET, Undo()).choices[0].parts == (Text("a\ufffd"),)
    tapped = ANTHROPIC.tap_response(given, TARGET, CONTEXT)
    assert (tapped.body, tapped.usage.input) == (given, 3)


# --------------------------------------------------------------------------- writing


@pytest.mark.req("R-XLATE-020")
def test_a_message_has_all_its_members():
    assert body(Text("Hi"), id="chatcmpl-1", model="gpt") == {
        "id": "chatcmpl-1",
        "type": "message",
        "role": "assistant",
        "model": "gpt",
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }


@pytest.mark.req("R-XLATE-020", "R-XLATE-021")
def test_ids_that_nobody_gave_hang_on_the_call_and_the_model_is_the_one_sent():
    found = body(ToolCall("", "", "{}"), ToolCall("", "g", "{}"))
    assert found["id"] == "msg_" + CONTEXT.call_id.replace("-", "")[:32]
    assert found["model"] == "sent"
    one, two = found["content"]
    assert one["id"].startswith("toolu_")
    assert one["id"] != two["id"]
    assert (one["name"], two["name"]) == ("tool", "g")
    assert found == body(ToolCall("", "", "{}"), ToolCall("", "g", "{}"))


@pytest.mark.req("R-XLATE-021", "R-XLATE-024")
def test_an_answer_of_nothing_is_an_empty_text():
    assert body()["content"] == [{"type": "text", "text": ""}]
    none = ANTHROPIC.write_response(Response("", "", ()), CONTEXT)
    found = json.loads(none.body)
    assert found["content"] == [{"type": "text", "text": ""}]
    assert found["stop_reason"] == "end_turn"


@pytest.mark.req("R-XLATE-022")
@pytest.mark.pitfall(34, 35, 36)
@pytest.mark.parametrize(
    ("arguments", "sent", "lost"),
    [
        ("", {}, 0),
        ('{"a": 1}', {"a": 1}, 0),
        ("[1]", {"input": [1]}, 1),
        ('{"a', {"_raw": '{"a'}, 1),
        ("\ud83d", {"_raw": "\ufffd"}, 1),
    ],
)
def test_the_input_of_a_call_is_an_object(arguments, sent, lost):
    written = write(ToolCall("t", "f", arguments))
    assert json.loads(written.body)["content"][0]["input"] == sent
    assert len(written.losses) == lost


@pytest.mark.req("R-XLATE-023")
@pytest.mark.pitfall(46)
@pytest.mark.parametrize(
    ("reason", "parts", "sent"),
    [
        ("stop", (), "end_turn"),
        ("unknown", (), "end_turn"),
        ("length", (), "max_tokens"),
        ("length", (ToolCall("t", "f", "{}"),), "max_tokens"),
        ("tool_calls", (ToolCall("t", "f", "{}"),), "tool_use"),
        ("stop", (ToolCall("t", "f", "{}"),), "tool_use"),
        ("tool_calls", (), "end_turn"),
        ("stop_sequence", (), "stop_sequence"),
        ("context_overflow", (), "model_context_window_exceeded"),
        ("content_filter", (), "refusal"),
        ("refusal", (), "refusal"),
        ("pause", (), "pause_turn"),
        ("stop", (Refusal("No."),), "refusal"),
    ],
)
def test_why_it_ended_in_anthropics_words(reason, parts, sent):
    assert body(*parts, finish=Finish(reason))["stop_reason"] == sent


@pytest.mark.pitfall(137)
@pytest.mark.parametrize("reason", ["malformed_tool_call", "error"])
def test_an_end_that_is_a_failure_is_no_answer(reason):
    with pytest.raises(UpstreamError) as caught:
        write(Text("half"), finish=Finish(reason))
    assert (caught.value.status, caught.value.code) == (502, f"upstream_{reason}")


def test_a_refusal_is_text_and_explains_itself():
    found = body(Refusal("I can't."), finish=Finish("stop"))
    assert found["content"] == [{"type": "text", "text": "I can't."}]
    assert found["stop_details"] == {
        "type": "refusal",
        "category": None,
        "explanation": "I can't.",
    }
    own = Finish("refusal", stop_sequence="X", details=Raw(b'{"type":"refusal","x":1}'))
    assert body(finish=own)["stop_details"] == {"type": "refusal", "x": 1}
    assert body(finish=own)["stop_sequence"] == "X"
    told = body(finish=Finish("content_filter", explanation="Why."))
    assert told["stop_details"]["explanation"] == "Why."


@pytest.mark.pitfall(125)
def test_usage_leaves_the_cache_out():
    usage = Usage(
        input=60,
        cache_read=20,
        cache_write=30,
        cache_write_1h=7,
        output=40,
        reasoning=15,
        web_searches=1,
    )
    assert body(usage=usage, service_tier="default")["usage"] == {
        "input_tokens": 10,
        "cache_creation_input_tokens": 30,
        "cache_read_input_tokens": 20,
        "cache_creation": {"ephemeral_5m_input_tokens": 23, "ephemeral_1h_input_tokens": 7},
        "output_tokens": 40,
        "output_tokens_details": {"thinking_tokens": 15},
        "server_tool_use": {"web_search_requests": 1},
        "service_tier": "standard",
    }
    assert body(usage=Usage(input=1, cache_read=5))["usage"]["input_tokens"] == 0


def test_thinking_is_signed_or_says_that_it_is_not():
    own = Thinking("hm", signature="s", **NATIVE)
    found = body(own, Thinking("plain"), Thinking(redacted=True, encrypted="d", **NATIVE))
    assert found["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "thinking", "thinking": "plain", "signature": ""},
        {"type": "redacted_thinking", "data": "d"},
    ]


def test_what_anthropic_cannot_say_is_told_as_lost():
    written = write(
        Text("a"),
        Media("image", Inline("", "image/png")),
        Media("audio", Url("x:"), transcript="said"),
        Opaque("chat", "x", Raw(b"{}")),
        Opaque("anthropic", "y", Raw(b'{"type":"y"}')),
        SearchResult("s", "t", ()),
    )
    kinds = [block["type"] for block in json.loads(written.body)["content"]]
    assert kinds == ["text", "text", "y"]
    assert [loss.path for loss in written.losses] == ["content[1]", "content[3]", "content[5]"]


def test_of_several_answers_only_the_first_can_be_told():
    choices = tuple(Choice((Text(str(n)),), Finish("stop"), index=n) for n in range(2))
    written = ANTHROPIC.write_response(Response("", "", choices), CONTEXT)
    assert json.loads(written.body)["content"] == [{"type": "text", "text": "0"}]
    assert [loss.path for loss in written.losses] == ["choices[1]"]


def test_a_free_text_call_is_wrapped():
    found = body(ToolCall("t", "run", "free", kind="custom"))
    assert found["content"][0]["input"] == {"input": "free"}


# --------------------------------------------------------------------------- tapped


def test_a_reply_of_the_same_dialect_keeps_its_bytes_and_tells_what_it_says():
    given = reply(
        {"type": "tool_use", "id": "t", "name": "f", "input": {}}, stop_reason="tool_use", odd=1.0
    )
    tapped = ANTHROPIC.tap_response(given, TARGET, CONTEXT)
    assert tapped.body is given
    assert (tapped.usage, tapped.id) == (Usage(input=3, output=5), "msg_1")
    assert tapped.finish.reason == "tool_calls"


@pytest.mark.pitfall(133)
def test_a_reply_without_a_model_gets_the_one_that_was_sent():
    given = b'{"type":"message","content":[],"x":1.0}'
    tapped = ANTHROPIC.tap_response(given, TARGET, CONTEXT)
    assert tapped.body == b'{"type":"message","content":[],"x":1.0,"model":"sent"}'


@pytest.mark.pitfall(11)
@pytest.mark.parametrize("given", [b"", b"<html>", b"[]", b'{"choices":[]}', b'{"content":5}'])
def test_a_body_that_is_no_message_is_not_passed_on(given):
    with pytest.raises(UpstreamError) as caught:
        ANTHROPIC.tap_response(given, TARGET, CONTEXT)
    assert caught.value.status == 502


# --------------------------------------------------------------------------- as a stream


@pytest.mark.pitfall(11)
def test_a_whole_reply_can_be_told_as_the_stream_that_says_the_same():
    given = reply(
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "text", "text": "Hi", "citations": [{"type": "char_location"}]},
        {"type": "text", "text": "", "citations": None},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": [1]}, "caller": {"x": 1}},
        {"type": "server_tool_use", "id": "s", "name": "n", "input": {"q": 1}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"u": 1}]},
        stop_reason="tool_use",
        stop_details=None,
        container={"id": "c"},
        context_management={"applied_edits": []},
    )
    pretty = json.dumps(json.loads(given), indent=2).encode()
    for one in (given, pretty):
        frames = ANTHROPIC.response_frames(one)
        assert frames.startswith(b"event: message_start\ndata: ")
        reader = ANTHROPIC.stream_reader(TARGET, Undo())
        events = reader.feed(frames) + reader.close()
        check(events)
        whole = ANTHROPIC.read_response(given, TARGET, Undo())
        folded = fold(events)
        assert folded.usage == whole.usage
        assert folded.choices[0].parts[:4] == whole.choices[0].parts[:4]
        assert folded.choices[0].finish == whole.choices[0].finish
        relay = ANTHROPIC.relay(TARGET, CONTEXT)
        assert relay.feed(frames) == frames
        assert relay.close() == b""
        assert relay.facts.finished


def test_a_whole_reply_without_usage_has_one_in_its_stream():
    frames = ANTHROPIC.response_frames(b'{"content":[{"type":"text"},{"type":"odd"}]}')
    assert b'"usage":{"input_tokens":0,"output_tokens":0}' in frames
    assert frames.endswith(b'data: {"type":"message_stop"}\n\n')
