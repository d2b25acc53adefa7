"""A chat provider's stream for a chat client: frames as they came, mended where they must be."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from dragoman.core.errors import UpstreamError
from dragoman.core.provider import Quirks
from dragoman.core.response import Finish
from dragoman.core.usage import Usage
from dragoman.dialects.base import Context, Target
from dragoman.dialects.chat import CHAT
from dragoman.dialects.chat.relay import open_relay

DONE = b"data: [DONE]\n\n"


def chunk(delta=None, finish=None, **members):
    base = {"id": "c1", "object": "chat.completion.chunk", "created": 17, "model": "m"}
    if delta is not None:
        base["choices"] = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return b"data: " + json.dumps({**base, **members}).encode() + b"\n\n"


ROLE = chunk({"role": "assistant", "content": ""})
STOP = chunk({}, "stop")
USAGE = chunk(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 4})


def relay(flavour="openai", **more):
    context = Context(call_id="0192", created=17, model="m", **more)
    return open_relay(Target("p", "m", Quirks(flavour=flavour)), context)


def play(*frames, flavour="openai", size=None, **more):
    """What the client gets, and the relay."""
    found = relay(flavour, **more)
    data = b"".join(frames)
    size = size or max(1, len(data))
    sent = b"".join(found.feed(data[at : at + size]) for at in range(0, len(data), size))
    sent += found.close()
    return sent, found


def payloads(sent):
    return [json.loads(frame[6:]) for frame in sent.split(b"\n\n") if frame.startswith(b"data: {")]


@pytest.mark.req("R-STRM-003", "R-XLATE-040")
@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_frames_go_through_as_their_own_bytes_however_they_were_cut(size):
    odd = b'data:{"id" : "c1","choices":[{"index":0,"delta":{"content":"\\u00e9\xc3\xa9"},"x":1}], "new": 1.0}\r\n\r\n'
    frames = [b": hello\n\n", b": a\ndata: " + ROLE[6:], odd, STOP, DONE]
    sent, found = play(*frames, size=size)
    assert sent == b"".join(frames)
    assert found.facts.error is None


def test_the_facts_tell_what_the_stream_has_said():
    found = relay()
    found.feed(ROLE)
    assert (found.facts.content, found.facts.id, found.facts.finished) == (False, "c1", False)
    found.feed(chunk({"content": "a"}))
    assert found.facts.content
    found.feed(STOP)
    assert (found.facts.finished, found.facts.finish) == (True, Finish("stop", "stop"))
    assert found.feed(USAGE) == b""
    assert found.facts.usage == Usage(input=3, output=4)
    assert found.feed(DONE) == DONE


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning": "a"},
        {"reasoning_content": "a"},
        {"refusal": "a"},
        {"tool_calls": [{"index": 0, "id": "x", "type": "function", "function": {"name": "f"}}]},
        {"function_call": {"name": "f"}},
        {"audio": {"id": "a"}},
        {"images": [{}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]},
    ],
)
def test_everything_that_is_said_counts_as_content(delta):
    found = relay()
    assert found.feed(chunk(delta)) == chunk(delta)
    assert found.facts.content


@pytest.mark.pitfall(45, 46)
def test_the_finish_in_the_facts_agrees_with_the_calls():
    tool = {
        "index": 0,
        "id": "x",
        "type": "function",
        "function": {"name": "f", "arguments": "{}"},
    }
    _, found = play(ROLE, chunk({"tool_calls": [tool]}), STOP, DONE)
    assert found.facts.finish == Finish("tool_calls", "stop")
    _, legacy = play(ROLE, chunk({"function_call": {"name": "f"}}, "stop"), DONE)
    assert legacy.facts.finish.reason == "tool_calls"


# --------------------------------------------------------------------------- usage


@pytest.mark.pitfall(21)
@pytest.mark.parametrize("choices", [{"choices": []}, {"choices": None}, {}])
def test_usage_that_the_client_did_not_ask_for_is_dropped(choices):
    usage = chunk(usage={"prompt_tokens": 3}, **choices)
    sent, found = play(ROLE, STOP, usage, DONE)
    assert sent == ROLE + STOP + DONE
    assert found.facts.usage == Usage(input=3)


def test_comments_before_a_dropped_frame_go_on_alone():
    sent, _ = play(ROLE, STOP, b": a\n: b\n" + USAGE, b": c\r\n" + USAGE, DONE)
    assert sent == ROLE + STOP + b": a\n: b\n\n" + b": c\n\n" + DONE


def test_usage_that_was_asked_for_goes_through():
    sent, _ = play(ROLE, STOP, USAGE, DONE, include_usage=True)
    assert sent == ROLE + STOP + USAGE + DONE


def test_a_frame_with_choices_is_never_dropped_and_azures_first_one_neither():
    mistral = chunk({"content": "x"}, "stop", usage={"prompt_tokens": 3})
    azure = chunk(id="", choices=[], prompt_filter_results=[])
    null = chunk(choices=[], usage=None)
    sent, found = play(azure, null, ROLE, mistral, DONE)
    assert sent == azure + null + ROLE + mistral + DONE
    assert found.facts.usage == Usage(input=3)
    assert found.facts.id == "c1"


@pytest.mark.pitfall(20, 157)
def test_missing_choices_are_added_where_the_usage_was_asked_for():
    sent, _ = play(ROLE, STOP, chunk(usage={"prompt_tokens": 3}), DONE, include_usage=True)
    assert payloads(sent)[2] == {**payloads(USAGE)[0], "usage": {"prompt_tokens": 3}}
    sent, _ = play(chunk(other=1), ROLE, STOP, DONE)
    assert payloads(sent)[0]["choices"] == []


@pytest.mark.pitfall(130)
def test_groqs_own_usage_is_read_and_its_frame_left_alone():
    frame = chunk({}, "stop", x_groq={"id": "r", "usage": {"prompt_tokens": 5}})
    first = chunk({"role": "assistant", "content": ""}, x_groq={"id": "r"})
    sent, found = play(first, frame, DONE, flavour="groq")
    assert sent == first + frame + DONE
    assert found.facts.usage == Usage(input=5)


def test_cost_is_added_to_the_usage_that_was_asked_for():
    def price(usage):
        assert usage == Usage(input=3, output=4)
        return Decimal("0.00000012")

    sent, _ = play(ROLE, STOP, USAGE, DONE, include_usage=True, cost=price)
    assert b'"usage":{"prompt_tokens":3,"completion_tokens":4,"cost":0.00000012}' in sent
    assert payloads(sent)[2]["choices"] == []
    sent, _ = play(ROLE, STOP, USAGE, DONE, include_usage=True, cost=lambda _: None)
    assert sent == ROLE + STOP + USAGE + DONE


def test_cost_joins_usage_on_the_finish_chunk_but_not_one_that_the_provider_said():
    finish = chunk({}, "stop", usage={"prompt_tokens": 3})
    sent, _ = play(ROLE, finish, DONE, include_usage=True, cost=lambda _: Decimal(1))
    assert payloads(sent)[1]["usage"] == {"prompt_tokens": 3, "cost": 1}
    own = chunk({}, "stop", usage={"prompt_tokens": 3, "cost": 2})
    sent, _ = play(ROLE, own, DONE, include_usage=True, cost=lambda _: Decimal(1))
    assert sent == ROLE + own + DONE


# --------------------------------------------------------------------------- repairs


@pytest.mark.pitfall(6)
def test_a_missing_done_is_added_once_after_a_finish():
    assert play(ROLE, STOP)[0] == ROLE + STOP + DONE
    assert play(ROLE, STOP, DONE, DONE, chunk({"content": "late"}))[0] == ROLE + STOP + DONE


@pytest.mark.pitfall(4)
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_last_frame_without_its_blank_line_gets_one(end):
    assert play(ROLE, STOP.rstrip(b"\n") + end)[0] == ROLE + STOP + DONE
    assert play(ROLE, STOP, DONE.rstrip(b"\n") + end)[0] == ROLE + STOP + DONE


@pytest.mark.pitfall(40, 41)
def test_missing_index_and_type_are_added_to_the_first_fragment_and_index_to_later_ones():
    first = chunk(
        {"tool_calls": [{"id": "x", "function": {"name": "f", "arguments": "{"}, "k": 1.0}]}
    )
    later = chunk({"tool_calls": [{"function": {"arguments": "}"}}]})
    sent, _ = play(ROLE, first, later, chunk({}, "tool_calls"), DONE)
    calls = [p["choices"][0]["delta"]["tool_calls"][0] for p in payloads(sent)[1:3]]
    assert calls == [
        {
            "index": 0,
            "type": "function",
            "id": "x",
            "function": {"name": "f", "arguments": "{"},
            "k": 1.0,
        },
        {"index": 0, "function": {"arguments": "}"}},
    ]
    assert b'"k":1.0' in sent


def test_later_fragments_without_type_are_openais_own_way():
    first = {"index": 0, "id": "x", "type": "function", "function": {"name": "f", "arguments": ""}}
    later = {"index": 0, "function": {"arguments": "{}"}}
    frames = [ROLE, chunk({"tool_calls": [first]}), chunk({"tool_calls": [later]}), STOP, DONE]
    assert play(*frames)[0] == b"".join(frames)


def test_a_null_type_is_a_missing_one_and_empty_fragments_are_left_alone():
    call = {"index": 0, "id": "x", "type": None, "function": {"name": "f"}}
    sent, _ = play(ROLE, chunk({"tool_calls": [call]}), STOP, DONE)
    assert payloads(sent)[1]["choices"][0]["delta"]["tool_calls"][0]["type"] == "function"
    empty = chunk({"tool_calls": [{"index": 0}]})
    assert play(ROLE, empty, STOP, DONE)[0] == ROLE + empty + STOP + DONE


@pytest.mark.pitfall(40)
def test_calls_that_share_an_index_are_numbered_apart_except_for_openai():
    def call(call_id):
        return {
            "index": 0,
            "id": call_id,
            "type": "function",
            "function": {"name": "f", "arguments": ""},
        }

    more = {"index": 0, "function": {"arguments": "{}"}}
    frames = [
        ROLE,
        *(chunk({"tool_calls": [piece]}) for piece in (call("x"), call("y"), more)),
        STOP,
        DONE,
    ]
    sent, _ = play(*frames, flavour="plain")
    told = [p["choices"][0]["delta"]["tool_calls"][0]["index"] for p in payloads(sent)[1:4]]
    assert told == [0, 1, 1]
    assert play(*frames)[0] == b"".join(frames)


@pytest.mark.pitfall(37)
def test_arguments_that_are_an_object_become_text_with_their_own_bytes():
    wire = b'{"index":0,"id":"x","type":"function","function":{"arguments":{"n": 1.0},"name":"f"}}'
    frame = (
        b'data: {"id":"c1","choices":[{"index":0,"finish_reason":null,"delta":{"tool_calls":['
        + wire
        + b"]}}]}\n\n"
    )
    sent, _ = play(ROLE, frame, STOP, DONE, flavour="mistral")
    function = payloads(sent)[1]["choices"][0]["delta"]["tool_calls"][0]["function"]
    assert function == {"arguments": '{"n": 1.0}', "name": "f"}


def test_mistrals_content_lists_become_text_and_reasoning():
    def content(*chunks):
        return chunk({"content": list(chunks)})

    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    plain = {"type": "thinking", "thinking": "ok"}
    text = {"type": "text", "text": "so"}
    sent, found = play(
        content(thinking), content(thinking, plain, text), content(), STOP, DONE, flavour="mistral"
    )
    assert [p["choices"][0]["delta"] for p in payloads(sent)[:3]] == [
        {"content": None, "reasoning_content": "hm"},
        {"content": "so", "reasoning_content": "hmok"},
        {"content": ""},
    ]
    assert found.facts.content


def test_content_that_is_an_object_becomes_its_text():
    sent, _ = play(chunk({"content": {"a": 1}}), STOP, DONE, flavour="plain")
    assert payloads(sent)[0]["choices"][0]["delta"] == {"content": '{"a": 1}'}


def test_a_missing_finish_reason_is_null_for_every_provider_but_openai():
    frame = chunk(choices=[{"index": 0, "delta": {"content": "a"}, "n": 1.0}])
    sent, _ = play(ROLE, frame, STOP, DONE, flavour="plain")
    assert payloads(sent)[1]["choices"] == [
        {"index": 0, "delta": {"content": "a"}, "n": 1.0, "finish_reason": None}
    ]
    assert play(ROLE, frame, STOP, DONE)[0] == ROLE + frame + STOP + DONE


def test_a_mended_frame_keeps_the_comments_before_it():
    sent, _ = play(b": a\n" + chunk(other=1), ROLE, STOP, DONE)
    assert sent.startswith(b": a\n\ndata: {")


def test_what_no_repair_knows_goes_through_as_it_came():
    odd = chunk(choices=[{"index": 0, "delta": {"content": 5, "tool_calls": ["x"]}}, "odd"])
    sent, _ = play(ROLE, odd, STOP, DONE)
    assert sent == ROLE + odd + STOP + DONE
    wordless = chunk(choices=[{"index": "0", "delta": None, "finish_reason": None}])
    assert payloads(play(wordless, STOP, DONE)[0])[0] == payloads(wordless)[0]


@pytest.mark.pitfall(26)
def test_a_frame_with_half_a_character_passes_as_its_own_bytes():
    torn = b'data: {"id":"c1","choices":[{"index":0,"delta":{"content":"\\ud83c"}}]}\n\n'
    sent, found = play(ROLE, torn, STOP, DONE, flavour="plain")
    assert sent == ROLE + torn + STOP + DONE
    assert found.facts.content


def test_lines_that_are_no_data_say_nothing_to_a_chat_client():
    assert (
        play(b"retry: 100\n\n", b"\n\n", b"event: x\n\n", ROLE, STOP, DONE)[0]
        == ROLE + STOP + DONE
    )


# --------------------------------------------------------------------------- failures


@pytest.mark.pitfall(13, 14)
def test_the_end_without_a_finish_is_an_error_and_not_a_done():
    sent, found = play(ROLE, chunk({"content": "a"}))
    assert sent == ROLE + chunk({"content": "a"})
    assert (found.facts.error.code, found.facts.error.status) == ("upstream_truncated", 502)
    assert found.feed(STOP) == b""
    assert found.close() == b""


def test_several_choices_are_finished_when_all_of_them_are():
    def one(index, finish=None):
        return chunk(
            choices=[{"index": index, "delta": {"content": "a"}, "finish_reason": finish}]
        )

    sent, found = play(one(0), one(1), one(0, "stop"))
    assert found.facts.error.code == "upstream_truncated"
    assert DONE not in sent
    _, found = play(one(0, "length"), one(1), one(1, "stop"))
    assert found.facts.finished
    assert found.facts.finish.reason == "length"


@pytest.mark.parametrize("body", [b"", b"\n\n", b": x\n\n", DONE])
def test_a_stream_that_says_nothing_is_an_error(body):
    sent, found = play(body)
    assert DONE not in sent
    assert found.facts.error.code == "upstream_truncated"


def test_half_a_frame_is_never_sent():
    sent, found = play(ROLE, chunk({"content": "abc"})[:-20])
    assert sent == ROLE
    assert found.facts.error.code == "upstream_truncated"


@pytest.mark.pitfall(140)
@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (chunk({}, "error", error={"message": "m", "code": 429}), "rate_limit"),
        (
            b'event: error\ndata: {"error":{"message":"m","status_code":400}}\n\n',
            "invalid_request",
        ),
        (chunk(x_groq={"error": "m"}), "upstream"),
        (chunk({}, "error"), "upstream"),
        (chunk({}, "insufficient_system_resource"), "overloaded"),
        (b"data: junk\n\n", "upstream"),
    ],
)
def test_an_error_in_the_stream_is_withheld_and_told_to_whoever_drives_it(frame, kind):
    sent, found = play(ROLE, frame, STOP, DONE)
    assert sent == ROLE
    assert found.facts.error.kind == kind


def test_done_without_a_finish_reason_is_a_regular_end():
    sent, found = play(ROLE, chunk({"content": "a"}), DONE)
    assert sent == ROLE + chunk({"content": "a"}) + DONE
    assert found.facts.finish == Finish("unknown", None)
    assert found.facts.finished


@pytest.mark.req("R-STRM-005", "R-ADD-024")
def test_fail_writes_one_error_frame_and_done():
    found = relay()
    found.feed(ROLE + chunk({"content": "a"}) + b'data: {"half')
    sent = found.fail(UpstreamError("timeout", "too slow", code="stream_timeout"))
    assert sent.endswith(b"\n\n" + DONE)
    error = payloads(sent)[0]["error"]
    assert (error["message"], error["code"], error["type"]) == (
        "too slow",
        "stream_timeout",
        "server_error",
    )
    assert error["dragoman"]["partial_content"] is True
    assert error["dragoman"]["call_id"] == "0192"
    assert found.fail(UpstreamError("timeout", "again")) == b""
    assert found.feed(STOP) == b""


def test_nothing_is_partial_before_the_first_content():
    error = payloads(relay().fail(UpstreamError("upstream", "gone")))[0]["error"]
    assert "partial_content" not in error["dragoman"]


def test_a_frame_that_never_ends_is_an_error():
    found = relay()
    found._frames._limit = 50
    assert found.feed(b"data: " + b"x" * 100) == b""
    assert found.facts.error.code == "frame_too_large"


# --------------------------------------------------------------------------- whole bodies

WHOLE = {
    "id": "c1",
    "object": "chat.completion",
    "created": 17,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "hi", "tool_calls": None},
            "finish_reason": "stop",
            "logprobs": None,
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    "odd": 1.0,
}


@pytest.mark.pitfall(11)
@pytest.mark.parametrize("size", [1, 1000])
def test_a_whole_reply_in_place_of_a_stream_is_told_as_chunks(size):
    sent, found = play(b"\n" + json.dumps(WHOLE).encode(), size=size, include_usage=True)
    first, finish, usage = payloads(sent)
    assert first["object"] == "chat.completion.chunk"
    assert first["choices"][0]["delta"]["content"] == "hi"
    assert first["choices"][0]["finish_reason"] is None
    assert finish["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert (usage["choices"], usage["usage"]) == ([], WHOLE["usage"])
    assert b'"odd":1.0' in sent
    assert sent.endswith(DONE)
    assert found.facts.finished


@pytest.mark.pitfall(11)
def test_the_calls_of_a_whole_reply_are_numbered():
    call = {"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call, {**call, "id": "y"}]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    frames = CHAT.response_frames(json.dumps({**WHOLE, "choices": [choice]}).encode())
    calls = payloads(frames)[0]["choices"][0]["delta"]["tool_calls"]
    assert [(call["index"], call["id"]) for call in calls] == [(0, "x"), (1, "y")]


@pytest.mark.pitfall(11, 140)
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<html>bad gateway</html>", "upstream_malformed"),
        (b'{"error":{"message":"m","code":"insufficient_quota"}}', "insufficient_quota"),
        (b'{"id":"c1","choices":[{"message":"odd"}]}', "upstream_malformed"),
    ],
)
def test_a_page_or_an_error_in_place_of_a_stream_is_an_error(body, code):
    sent, found = play(body)
    assert sent == b""
    assert found.facts.error.code == code


def test_a_whole_reply_without_usage_has_no_usage_chunk():
    body = {name: value for name, value in WHOLE.items() if name != "usage"}
    assert len(payloads(CHAT.response_frames(json.dumps(body).encode()))) == 2


def test_a_whole_body_without_end_is_an_error(monkeypatch):
    monkeypatch.setattr("dragoman.dialects.chat.relay.LIMIT", 10)
    found = relay()
    assert found.feed(b'{"id":"0123456789"') == b""
    assert found.facts.error.code == "upstream_malformed"


@pytest.mark.pitfall(37)
def test_beside_arguments_that_are_an_object_others_stay_as_they_are():
    calls = [
        {"index": 0, "id": "x", "type": "function", "function": {"name": "f", "arguments": {}}},
        {"index": 1, "id": "y", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]
    sent, _ = play(ROLE, chunk({"tool_calls": calls}), STOP, DONE)
    told = payloads(sent)[1]["choices"][0]["delta"]["tool_calls"]
    assert [call["function"]["arguments"] for call in told] == ["{}", "{}"]


def pair(*choices):
    return chunk(choices=[{"index": at, **choice} for at, choice in enumerate(choices)])


def test_two_choices_of_one_chunk_go_through_and_both_have_to_finish():
    words = pair(
        {"delta": {"content": "a"}, "finish_reason": "stop"},
        {"delta": {"content": "b"}, "finish_reason": None},
    )
    found = relay()
    assert found.feed(words) == words
    assert not found.facts.finished
    last = pair(
        {"delta": {}, "finish_reason": None},
        {"delta": {}, "finish_reason": "length"},
    )
    assert found.feed(last) == last
    assert (found.facts.finished, found.facts.finish) == (True, Finish("stop", "stop"))


def test_the_one_of_two_choices_that_lacks_a_finish_reason_gets_it():
    half = pair({"delta": {"content": "a"}, "finish_reason": None}, {"delta": {"content": "b"}})
    (mended,) = payloads(relay("groq").feed(half))
    assert [choice["finish_reason"] for choice in mended["choices"]] == [None, None]
    assert relay("openai").feed(half) == half


@pytest.mark.pitfall(140)
def test_a_failure_in_the_second_of_two_choices_is_one():
    found = relay()
    failed = pair({"delta": {"content": "a"}}, {"delta": {}, "error": {"message": "no"}})
    assert found.feed(failed) == b""
    assert found.facts.error is not None


def test_reasoning_is_not_taken_for_apart_where_no_total_says_so():
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "reasoning_tokens": 2}
    _, found = play(ROLE, STOP, chunk(choices=[], usage=usage), DONE)
    assert found.facts.usage == Usage(input=3, output=4, reasoning=2)
