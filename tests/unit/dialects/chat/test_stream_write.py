"""Writing events as chunks for a chat client."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from msgspec import Raw

from dragoman.core.errors import UpstreamError
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
from dragoman.core.fold import unfold
from dragoman.core.parts import (
    Citation,
    FileRef,
    Inline,
    Media,
    Opaque,
    Refusal,
    SearchResult,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
    raw,
)
from dragoman.core.request import Request
from dragoman.core.response import Choice, Finish, Response
from dragoman.core.usage import Usage
from dragoman.dialects.base import Context
from dragoman.dialects.chat.stream_write import stream_writer

STOP = Finished(Finish("stop", "end_turn"))
LEGACY = Request(model="m", messages=(), legacy_functions=True)


def context(**more):
    return Context(call_id="0192-ab", created=1700000000, model="sent", **more)


def payloads(data):
    frames = data.decode().split("\n\n")
    assert frames.pop() == ""
    assert all(frame.startswith("data: ") for frame in frames)
    return [frame[6:] if frame == "data: [DONE]" else json.loads(frame[6:]) for frame in frames]


def write(*events, **more):
    writer = stream_writer(context(**more))
    return payloads(b"".join(writer.send(event) for event in events))


def answer(*parts, finish=STOP.finish, usage=None, **more):
    """Chunks of a whole answer, told as a stream."""
    response = Response("id1", "m-1", (Choice(parts, finish),), usage, created=5)
    return write(*unfold(response), **more)


def deltas(chunks):
    found = [choice["delta"] for chunk in chunks[:-1] for choice in chunk.get("choices", [])]
    assert found.pop(0) == {"role": "assistant", "content": ""}
    assert found.pop() == {}
    return found


@pytest.mark.pitfall(24)
@pytest.mark.req("R-STRM-001", "R-STRM-002")
def test_a_plain_answer_has_the_order_that_openai_keeps():
    base = {"id": "id1", "object": "chat.completion.chunk", "created": 5, "model": "m-1"}

    def chunk(delta, finish=None):
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {**base, "choices": [choice]}

    assert answer(Text("Hello")) == [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hello"}),
        chunk({}, "stop"),
        "[DONE]",
    ]


def test_what_the_provider_does_not_say_is_made_once_from_the_call():
    chunks = write(Start(), PartStart(0, Text("")), PartDelta(0, "a"), PartStop(0), STOP, End())
    for chunk in chunks[:-1]:
        assert (chunk["id"], chunk["model"]) == ("chatcmpl-0192ab", "sent")
        assert chunk["created"] == 1700000000


@pytest.mark.pitfall(134)
@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("msg_01X", "chatcmpl-01X"),
        ("resp_1", "chatcmpl-1"),
        ("chatcmpl-9", "chatcmpl-9"),
        ("gen-1", "gen-1"),
    ],
)
def test_ids_of_other_dialects_get_chats_prefix(given, told):
    assert write(Start(given), STOP, End())[0]["id"] == told


def test_tier_and_fingerprint_stand_in_every_chunk():
    chunks = write(Start("i", service_tier="flex", system_fingerprint="fp"), STOP, End())
    assert all((c["service_tier"], c["system_fingerprint"]) == ("flex", "fp") for c in chunks[:-1])


@pytest.mark.pitfall(21, 157)
def test_usage_comes_last_without_choices_and_only_if_asked_for():
    usage = Usage(input=10, cache_read=4, cache_write=1, output=5, reasoning=2)
    asked = answer(Text("a"), usage=usage, include_usage=True)
    assert [chunk["usage"] for chunk in asked[:-2]] == [None] * 3
    assert asked[-2]["choices"] == []
    assert asked[-2]["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    assert not any("usage" in chunk for chunk in answer(Text("a"), usage=usage)[:-1])


def test_unknown_usage_is_not_made_up():
    assert [chunk["choices"] for chunk in answer(Text("a"), include_usage=True)[:-1]] != []
    assert answer(Text("a"), include_usage=True)[-2]["choices"][0]["finish_reason"] == "stop"


def test_usage_of_the_start_is_completed_by_later_notes():
    early, late = Usage(input=10, output=1), Usage(output=7, audio_output=1)
    chunks = write(Start("i", usage=early), UsageNote(late), STOP, End(), include_usage=True)
    assert chunks[-2]["usage"]["prompt_tokens"] == 10
    assert chunks[-2]["usage"]["completion_tokens"] == 7
    assert chunks[-2]["usage"]["completion_tokens_details"] == {"audio_tokens": 1}


def test_cost_is_a_plain_number_beside_the_tokens():
    def price(usage):
        assert usage.output == 5
        return Decimal("1.5E-7")

    priced = stream_writer(context(include_usage=True, cost=price))
    for event in unfold(Response("i", "m", (Choice((), STOP.finish),), Usage(input=1, output=5))):
        last = priced.send(event)
    assert b'"cost":0.00000015}' in last
    known = answer(usage=Usage(input=1, cost=Decimal("0.10")), include_usage=True, cost=price)
    assert known[-2]["usage"]["cost"] == 0.1


# --------------------------------------------------------------------------- tools


@pytest.mark.pitfall(156)
def test_a_calls_id_type_and_name_are_said_once():
    chunks = write(
        Start("i"),
        PartStart(0, ToolCall("x", "f")),
        PartDelta(0, '{"a"', "arguments"),
        PartDelta(0, "", "arguments"),
        PartDelta(0, ":1}", "arguments"),
        PartStop(0),
        Finished(Finish("tool_calls")),
        End(),
    )
    function = {"name": "f", "arguments": ""}
    assert deltas(chunks) == [
        {"tool_calls": [{"index": 0, "id": "x", "type": "function", "function": function}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]},
    ]
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.pitfall(34)
def test_a_call_without_arguments_says_an_empty_object_unless_it_was_cut():
    told = deltas(
        answer(ToolCall("x", "f"), ToolCall("y", "g", "{}"), finish=Finish("tool_calls"))
    )
    assert told[-1] == {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}
    assert len(told) == 4
    assert len(deltas(answer(ToolCall("x", "f"), finish=Finish("length")))) == 1


def test_interleaved_calls_are_told_as_they_come():
    chunks = write(
        Start("i"),
        PartStart(0, ToolCall("x", "f")),
        PartStart(1, ToolCall("y", "g")),
        PartDelta(1, "{}", "arguments"),
        PartDelta(0, "{}", "arguments"),
        PartStop(0),
        PartStop(1),
        Finished(Finish("tool_calls")),
        End(),
    )
    assert [delta["tool_calls"][0]["index"] for delta in deltas(chunks)] == [0, 1, 1, 0]


@pytest.mark.pitfall(46)
@pytest.mark.parametrize(
    ("parts", "reason", "told"),
    [
        ((ToolCall("x", "f", "{}"),), "stop", "tool_calls"),
        ((Text("a"),), "tool_calls", "stop"),
        ((ToolCall("x", "f", "{"),), "length", "length"),
        ((), "context_overflow", "length"),
        ((), "stop_sequence", "stop"),
        ((), "pause", "stop"),
        ((), "content_filter", "content_filter"),
        ((), "refusal", "content_filter"),
    ],
)
def test_finish_reasons_are_chats_own_and_agree_with_the_calls(parts, reason, told):
    chunks = answer(*parts, finish=Finish(reason))
    assert chunks[-2]["choices"][0]["finish_reason"] == told


@pytest.mark.pitfall(22)
def test_an_unknown_finish_is_a_stop_that_keeps_the_providers_word():
    choice = answer(finish=Finish("unknown", "odd"))[-2]["choices"][0]
    assert (choice["finish_reason"], choice["native_finish_reason"]) == ("stop", "odd")


def test_custom_calls_and_signatures_have_their_place():
    chunks = write(
        Start("i"),
        PartStart(0, ToolCall("x", "sh", kind="custom")),
        PartDelta(0, "ls", "arguments"),
        PartStop(0),
        PartStart(1, ToolCall("y", "f", "{}", signature="s")),
        PartDelta(1, "t", "signature"),
        PartStop(1),
        Finished(Finish("tool_calls")),
        End(),
    )
    custom = {"name": "sh", "input": ""}
    signed = {"google": {"thought_signature": "s"}}
    assert deltas(chunks) == [
        {"tool_calls": [{"index": 0, "id": "x", "type": "custom", "custom": custom}]},
        {"tool_calls": [{"index": 0, "custom": {"input": "ls"}}]},
        {
            "tool_calls": [
                {
                    "index": 1,
                    "id": "y",
                    "type": "function",
                    "function": {"name": "f", "arguments": "{}"},
                    "extra_content": signed,
                }
            ]
        },
        {"tool_calls": [{"index": 1, "extra_content": {"google": {"thought_signature": "t"}}}]},
    ]


@pytest.mark.pitfall(68)
def test_a_caller_of_functions_gets_a_function_call():
    chunks = answer(ToolCall("x", "f", "{}"), finish=Finish("tool_calls"), request=LEGACY)
    assert deltas(chunks) == [
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": "{}"}},
    ]
    assert chunks[-2]["choices"][0]["finish_reason"] == "function_call"
    two = answer(ToolCall("x", "f", "{}"), ToolCall("y", "g", "{}"), request=LEGACY)
    assert "tool_calls" in deltas(two)[2]


# --------------------------------------------------------------------------- reasoning


@pytest.mark.pitfall(181)
def test_thinking_without_state_is_reasoning_content_alone():
    assert deltas(answer(Thinking("hm", family="chat"), Text("a"))) == [
        {"reasoning_content": "hm"},
        {"content": "a"},
    ]


@pytest.mark.pitfall(92, 94, 97)
def test_signed_thinking_comes_with_its_state_in_openrouters_shape():
    told = deltas(
        answer(
            Thinking("hm", signature="s1", family="anthropic"),
            Thinking("", signature="s2", family="anthropic"),
            Thinking(encrypted="e", redacted=True, family="anthropic"),
        )
    )
    common = {"format": "anthropic-claude-v1"}
    text = {"type": "reasoning.text", **common}
    assert told == [
        {
            "reasoning_content": "hm",
            "reasoning_details": [{**text, "text": "hm", "index": 0}],
        },
        {"reasoning_details": [{**text, "signature": "s1", "index": 0}]},
        {"reasoning_details": [{**text, "signature": "s2", "index": 1}]},
        {
            "reasoning_details": [
                {"type": "reasoning.encrypted", "data": "e", **common, "index": 2}
            ]
        },
    ]


def test_a_summary_shares_its_index_with_the_state_behind_it():
    form = "openai-responses-v1"
    told = deltas(
        answer(
            Thinking("sum", summary=True, format=form, family="responses"),
            Thinking(encrypted="e", redacted=True, id="rs", format=form, family="responses"),
        )
    )
    details = [entry for delta in told for entry in delta["reasoning_details"]]
    assert [(entry["type"], entry["index"]) for entry in details] == [
        ("reasoning.summary", 0),
        ("reasoning.encrypted", 0),
    ]


def test_encrypted_state_may_follow_its_summary_in_one_part():
    chunks = write(
        Start("i"),
        PartStart(0, Thinking("s", summary=True, encrypted="e", id="rs", family="responses")),
        PartDelta(0, "f", "encrypted"),
        PartStop(0),
        STOP,
        End(),
    )
    told = [
        entry["data"]
        for delta in deltas(chunks)
        for entry in delta["reasoning_details"]
        if "data" in entry
    ]
    assert told == ["f", "e"]


# --------------------------------------------------------------------------- other words


def test_refusals_have_their_own_member():
    assert deltas(answer(Refusal("no"))) == [{"refusal": "no"}]


@pytest.mark.pitfall(138)
def test_a_refusal_that_is_a_stop_reason_stands_beside_the_finish():
    finish = Finish("refusal", "refusal", explanation="policy")
    chunks = answer(finish=finish)
    assert deltas(chunks) == []
    last = chunks[-2]["choices"][0]
    assert last["finish_reason"] == "content_filter"
    assert last["stop_details"] == {"type": "refusal", "explanation": "policy"}
    assert deltas(answer(Refusal("no"), finish=finish)) == [{"refusal": "no"}]


@pytest.mark.pitfall(85)
def test_citations_are_annotations_with_places_in_the_whole_content():
    own = Citation("url", url="u1", title="t", start=1, end=3)
    placeless = Citation("search", url="u2", cited_text="quote")
    page = Citation("page", document=0, start=1, end=2, unit="page")
    writer = stream_writer(context())
    chunks = payloads(
        b"".join(
            writer.send(event)
            for event in [
                Start("i"),
                PartStart(0, Text("ab")),
                PartStop(0),
                PartStart(1, Text("", (own,))),
                PartDelta(1, "cde"),
                Cited(1, placeless),
                Cited(1, page),
                PartStop(1),
                STOP,
                End(),
            ]
        )
    )
    cited = [d["annotations"][0]["url_citation"] for d in deltas(chunks) if "annotations" in d]
    assert cited == [
        {"url": "u1", "title": "t", "start_index": 1, "end_index": 3},
        {"url": "u2", "title": "", "start_index": 2, "end_index": 5},
    ]
    # OpenAI's client refuses a second list of entries that have no index.
    assert [d["annotations"][0]["index"] for d in deltas(chunks) if "annotations" in d] == [0, 1]
    assert [loss.path for loss in writer.losses] == ["choices.delta.citation"]


def test_citations_of_a_chat_provider_come_back_as_they_were():
    spelled = raw({"type": "url_citation", "url_citation": {"url": "u", "extra": 1}})
    text = Text("a", (Citation("url", url="u", raw=spelled, dialect="chat"),))
    assert deltas(answer(text))[1] == {
        "annotations": [{"type": "url_citation", "url_citation": {"url": "u", "extra": 1}}]
    }


def test_annotations_of_a_chat_providers_own_come_back_at_the_end():
    ext = {"chat": {"annotations": raw([{"type": "file"}])}}
    chunks = write(Start("i"), Finished(STOP.finish, ext=ext), End())
    assert deltas(chunks) == [{"annotations": [{"type": "file"}]}]


def test_log_probabilities_stand_beside_an_empty_delta():
    chunks = write(Start("i"), LogprobNote(b'{"content":[]}'), STOP, End())
    assert chunks[1]["choices"][0]["logprobs"] == {"content": []}
    assert chunks[1]["choices"][0]["delta"] == {}


def test_images_and_a_chat_providers_sound_are_told():
    sound = Opaque("chat", "audio", Raw(b'{"id":"a"}'))
    pictures = (Media("image", Inline("AA", "image/png")), Media("image", Url("u")))
    assert deltas(answer(*pictures, sound)) == [
        {"images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]},
        {"images": [{"type": "image_url", "image_url": {"url": "u"}}]},
        {"audio": {"id": "a"}},
    ]


@pytest.mark.parametrize(
    "part",
    [
        Media("audio", Inline("AA", "audio/wav")),
        Media("image", FileRef("f", "anthropic")),
        Opaque("anthropic", "server_tool_use", Raw(b"{}")),
        SearchResult("s", "t", ()),
        ToolResult("x"),
    ],
)
def test_what_chat_cannot_say_is_a_loss_and_no_chunk(part):
    writer = stream_writer(context())
    sent = [writer.send(event) for event in (Start("i"), PartStart(0, part), PartStop(0))]
    assert deltas([*payloads(b"".join(sent)), {"choices": [{"delta": {}}]}, "[DONE]"]) == []
    assert [loss.action for loss in writer.losses] == ["dropped"]
    assert writer.send(PartDelta(0, "x")) == b""


def test_what_a_finish_says_beyond_chats_words_is_a_loss():
    for finish, path in [
        (Finish("pause"), "choices[0].finish_reason"),
        (Finish("stop_sequence", stop_sequence="END"), "choices[0].stop_sequence"),
    ]:
        writer = stream_writer(context())
        writer.send(Finished(finish))
        assert [loss.path for loss in writer.losses] == [path]


def test_opaque_fields_of_a_text_are_nothing_to_a_chat_client():
    writer = stream_writer(context())
    writer.send(PartStart(0, Text("")))
    assert writer.send(PartDelta(0, "s", "signature")) == b""


def test_several_choices_have_each_their_role_and_finish():
    two = tuple(Choice((Text(text),), STOP.finish, index) for index, text in enumerate("ab"))
    chunks = write(*unfold(Response("i", "m", two)))
    told = [(c["index"], c["delta"]) for chunk in chunks[:-1] for c in chunk["choices"]]
    role = {"role": "assistant", "content": ""}
    assert told == [
        (0, role),
        (0, {"content": "a"}),
        (0, {}),
        (1, role),
        (1, {"content": "b"}),
        (1, {}),
    ]


# --------------------------------------------------------------------------- ends


@pytest.mark.pitfall(13)
@pytest.mark.req("R-STRM-005", "R-ADD-024")
def test_a_failure_is_one_error_frame_and_done_and_nothing_after_it():
    error = UpstreamError(
        "overloaded", "busy", code="upstream_overloaded", provider="p", retryable=True
    )
    writer = stream_writer(context())
    events = [Start("i"), PartStart(0, Text("")), PartDelta(0, "a"), Failure(error)]
    chunks = payloads(b"".join(writer.send(event) for event in events))
    assert chunks[-1] == "[DONE]"
    assert chunks[-2] == {
        "error": {
            "message": "busy",
            "type": "server_error",
            "param": None,
            "code": "upstream_overloaded",
            "dragoman": {
                "type": "infra_error",
                "call_id": "0192-ab",
                "partial_content": True,
                "retryable": True,
                "provider": "p",
            },
        }
    }
    assert not any(c["finish_reason"] for chunk in chunks[:-2] for c in chunk["choices"])
    assert [writer.send(event) for event in (PartDelta(0, "b"), STOP, End(), Failure(error))] == [
        b""
    ] * 4


def test_a_failure_before_anything_was_said_is_not_called_partial():
    chunks = write(Failure(UpstreamError("upstream", "gone")))
    assert "partial_content" not in chunks[0]["error"]["dragoman"]


@pytest.mark.pitfall(137)
@pytest.mark.parametrize(
    ("reason", "code"),
    [("malformed_tool_call", "upstream_malformed_tool_call"), ("error", "provider_error")],
)
def test_a_finish_that_is_a_failure_is_never_a_normal_end(reason, code):
    chunks = write(Start("i"), Finished(Finish(reason)), End())
    assert chunks[-2]["error"]["code"] == code
    assert chunks[-1] == "[DONE]"


@pytest.mark.pitfall(15)
def test_a_ping_is_a_comment():
    assert stream_writer(context()).send(Ping()) == b": ping\n\n"


def test_text_is_written_without_escapes_that_nobody_needs():
    writer = stream_writer(context())
    writer.send(PartStart(0, Text("")))
    assert '"content":"é🌍 \\"x\\"\\n"'.encode() in writer.send(PartDelta(0, 'é🌍 "x"\n'))
