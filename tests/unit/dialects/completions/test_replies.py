"""Legacy completions, whole and streamed, in both directions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from dragoman.core.errors import UpstreamError
from dragoman.core.events import (
    Cited,
    End,
    Failure,
    LogprobNote,
    PartDelta,
    PartStart,
    PartStop,
    Ping,
    Start,
)
from dragoman.core.fold import check, fold, unfold
from dragoman.core.parts import Citation, Inline, Media, Refusal, Text, Thinking, ToolCall
from dragoman.core.response import Choice, Finish, Response
from dragoman.core.usage import Usage
from dragoman.dialects.base import Context, Target, Undo
from dragoman.dialects.registry import DIALECTS

COMPLETIONS = DIALECTS["completions"]
TARGET = Target("openai", "m")
CONTEXT = Context("c" * 32, 1_700_000_000, "m", request_id="r1")
ASKED = Context("c" * 32, 1_700_000_000, "m", include_usage=True)


def choice(text: str, finish: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish, **more}


def reply(*choices: dict[str, Any], **more: Any) -> dict[str, Any]:
    head = {"id": "cmpl-1", "object": "text_completion", "created": 5, "model": "gpt"}
    return {**head, "choices": list(choices), **more}


def sse(*chunks: Any) -> bytes:
    said = [chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode() for chunk in chunks]
    return b"".join(b"data: " + each + b"\n\n" for each in said)


def read(data: bytes) -> list[Any]:
    reader = COMPLETIONS.stream_reader(TARGET, Undo())
    events = reader.feed(data) + reader.close()
    check(events)
    assert reader.feed(data) == []
    assert reader.close() == []
    return events


def whole(body: dict[str, Any]) -> Response:
    return COMPLETIONS.read_response(json.dumps(body).encode(), TARGET, Undo())


USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


# --------------------------------------------------------------------------- reading


@pytest.mark.pitfall(6)
@pytest.mark.pitfall(20)
def test_a_whole_reply_and_its_stream_say_the_same():
    expected = whole(reply(choice("ab", "stop"), choice("c", "length", 1), usage=USAGE))
    chunks = [
        reply(choice("a")),
        reply(choice("c", index=1)),
        reply(choice("b")),
        reply(choice("", "stop")),
        reply(choice("", "length", 1)),
        reply(usage=USAGE),
    ]
    assert fold(read(sse(*chunks, b"[DONE]") + sse(reply(choice("late"))))) == expected
    assert fold(read(sse(*chunks))) == expected
    assert expected.usage == Usage(input=3, output=4, total=7)
    assert [one.finish.reason for one in expected.choices] == ["stop", "length"]


@pytest.mark.pitfall(22)
@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        ("length", "length"),
        ("odd", "unknown"),
        (None, "unknown"),
    ],
)
def test_why_a_text_ended(said, reason):
    assert whole(reply(choice("a", said))).choices[0].finish == Finish(reason, raw=said)


@pytest.mark.parametrize("reason", ["error", "insufficient_system_resource"])
def test_an_end_that_is_a_failure_is_one(reason):
    with pytest.raises(UpstreamError):
        whole(reply(choice("a", reason)))
    assert isinstance(read(sse(reply(choice("a")), reply(choice("", reason))))[-1], Failure)
    relay = COMPLETIONS.relay(TARGET, CONTEXT)
    relay.feed(sse(reply(choice("a")), reply(choice("", reason))))
    assert relay.facts.error.code == "upstream_error"


def test_log_probabilities_have_the_chat_familys_shape_inside():
    columns = {
        "tokens": ["a", "b", "c"],
        "token_logprobs": [None, -0.5],
        "top_logprobs": [None, {"b": -0.5, "x": -2}],
        "text_offset": [0, 1, 2],
    }
    found = whole(reply(choice("abc", "stop", logprobs=columns))).choices[0].logprobs
    content = json.loads(bytes(found))["content"]
    assert [(one["token"], one["logprob"]) for one in content] == [("a", 0), ("b", -0.5), ("c", 0)]
    assert [top["token"] for top in content[1]["top_logprobs"]] == ["b", "x"]
    assert whole(reply(choice("a", "stop", logprobs={}))).choices[0].logprobs is None
    assert whole(reply(choice("a", "stop", logprobs=7))).choices[0].logprobs is None
    events = read(sse(reply(choice("abc", logprobs=columns)), reply(choice("", "stop"))))
    assert fold(events).choices[0].logprobs == found


@pytest.mark.pitfall(23)
@pytest.mark.pitfall(26)
def test_what_a_server_leaves_out_or_breaks_is_lived_with():
    bare = whole({"choices": [{"text": "a"}]})
    assert (bare.id, bare.model, bare.created) == ("", "m", None)
    assert whole({"choices": []}).choices == (Choice((), Finish("unknown")),)
    body = b'{"choices":[{"text":"\\ud83d","finish_reason":"stop"}]}'
    assert COMPLETIONS.read_response(body, TARGET, Undo()).choices[0].parts == (Text("\ufffd"),)
    events = read(b": comment\n\n" + sse(body) + b"data: [DONE]")
    assert fold(events).choices[0].parts == (Text("\ufffd"),)


@pytest.mark.pitfall(11)
@pytest.mark.pitfall(140)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"error":{"message":"no","code":"model_not_found"}}',
        b"\xff",
    ],
)
def test_what_is_no_completion_is_none(body):
    for attempt in (
        lambda: COMPLETIONS.read_response(body, TARGET, Undo()),
        lambda: COMPLETIONS.tap_response(body, TARGET, CONTEXT),
        lambda: COMPLETIONS.response_frames(body),
    ):
        with pytest.raises(UpstreamError):
            attempt()
    if body:
        assert isinstance(read(sse(body))[-1], Failure)
        relay = COMPLETIONS.relay(TARGET, CONTEXT)
        assert relay.feed(sse(body)) == b""
        assert relay.facts.error is not None


def test_an_error_inside_a_stream_is_openais():
    body = b'{"error":{"message":"gone","type":"server_error","code":"model_not_found"}}'
    error = read(sse(reply(choice("a")), body))[-1].error
    assert (error.message, error.kind) == ("gone", "not_found")


def test_usage_alone_is_no_whole_reply():
    for attempt in (
        COMPLETIONS.response_frames,
        lambda b: COMPLETIONS.tap_response(b, TARGET, CONTEXT),
    ):
        with pytest.raises(UpstreamError):
            attempt(json.dumps({"id": "x", "usage": USAGE}).encode())


# --------------------------------------------------------------------------- the same dialect


@pytest.mark.pitfall(21)
@pytest.mark.pitfall(6)
def test_frames_pass_as_they_came_and_usage_only_to_whom_asked():
    first = sse(b'{ "id":"1", "model":"x", "choices":[{"text":"a","index":0}], "new":1.0 }')
    last = sse(reply(choice("", "stop")))
    used = sse(reply(usage=USAGE))
    done = sse(b"[DONE]")
    relay = COMPLETIONS.relay(TARGET, CONTEXT)
    assert relay.feed(first + last + used + done + first) == first + last + done
    assert relay.facts.usage == Usage(input=3, output=4, total=7)
    assert relay.facts.finish == Finish("stop", raw="stop")
    assert (relay.facts.id, relay.facts.finished, relay.close()) == ("1", True, b"")
    asked = COMPLETIONS.relay(TARGET, ASKED)
    assert asked.feed(b": hi\n\n" + first + last + used) == b": hi\n\n" + first + last + used
    assert asked.close() == done


@pytest.mark.pitfall(20)
@pytest.mark.pitfall(133)
def test_what_a_client_needs_is_mended():
    relay = COMPLETIONS.relay(TARGET, ASKED)
    told = relay.feed(sse({"choices": [choice("a", "stop")]}, {"model": "x", "usage": USAGE}))
    chunks = [json.loads(each[6:]) for each in told.decode().strip().split("\n\n")]
    assert (chunks[0]["model"], chunks[1]["choices"]) == ("m", [])
    odd = b'{"choices":[{"text":"\\ud83d"}]}'
    assert relay.feed(sse(odd)) == sse(odd)
    body = json.dumps({"choices": [choice("a", "stop")]}).encode()
    assert json.loads(COMPLETIONS.tap_response(body, TARGET, CONTEXT).body)["model"] == "m"


@pytest.mark.pitfall(4)
@pytest.mark.pitfall(14)
def test_the_end_of_the_bytes():
    last = sse(reply(choice("a", "stop")))
    for cut in (1, 2):
        relay = COMPLETIONS.relay(TARGET, CONTEXT)
        assert relay.feed(last[:-cut]) + relay.close() == last + b"data: [DONE]\n\n"
    half = COMPLETIONS.relay(TARGET, CONTEXT)
    assert half.feed(last[:-20]) + half.close() == b""
    assert half.facts.error.code == "upstream_truncated"
    early = COMPLETIONS.relay(TARGET, CONTEXT)
    said = sse(reply(choice("a")))
    assert early.feed(said + b"data: [DONE]\n\n") == said
    assert early.facts.error.code == "upstream_truncated"


def test_a_failure_is_the_last_thing_said():
    relay = COMPLETIONS.relay(TARGET, CONTEXT)
    told = relay.fail(UpstreamError("timeout", "too slow"))
    assert told.endswith(b"\n\ndata: [DONE]\n\n")
    assert json.loads(told.split(b"\n\n")[0][6:])["error"]["message"] == "too slow"
    assert relay.feed(sse(reply(choice("a")))) == b""
    assert relay.close() == b""


@pytest.mark.pitfall(25)
def test_a_frame_without_end_is_cut_off():
    piece = b"x" * (16 * 1024 * 1024)
    reader = COMPLETIONS.stream_reader(TARGET, Undo())
    assert reader.feed(piece) + reader.feed(piece) == []
    assert reader.feed(b"x")[-1].error.code == "frame_too_large"
    relay = COMPLETIONS.relay(TARGET, CONTEXT)
    assert relay.feed(piece) + relay.feed(piece) + relay.feed(b"x") == b""
    assert relay.facts.error.code == "frame_too_large"


# --------------------------------------------------------------------------- writing


def response(*parts: Any, finish: str = "stop", **more: Any) -> Response:
    return Response("", "", (Choice(parts, Finish(finish), **more),), Usage(input=3, output=4))


def streamed(
    answer: Response, context: Context = CONTEXT
) -> tuple[list[dict[str, Any]], list[str]]:
    writer = COMPLETIONS.stream_writer(context)
    data = b"".join(writer.send(event) for event in unfold(answer))
    assert data.endswith(b"data: [DONE]\n\n")
    assert writer.send(End()) == b""
    frames = data.decode().strip().split("\n\n")[:-1]
    return [json.loads(each[6:]) for each in frames], [loss.path for loss in writer.losses]


@pytest.mark.pitfall(21)
@pytest.mark.pitfall(24)
def test_an_answer_in_its_words():
    answer = response(Thinking("hm"), Text("a"), Refusal("no"), ToolCall("c", "f", "{}"))
    written = COMPLETIONS.write_response(answer, CONTEXT)
    body = json.loads(written.body)
    assert body["choices"] == [choice("ano", "stop")]
    assert body["id"] == "cmpl-" + "c" * 29
    assert (body["object"], body["created"], body["model"]) == (
        "text_completion",
        1_700_000_000,
        "m",
    )
    assert body["usage"] == USAGE
    lost = ["choices[0].content[0]", "choices[0].content[3]"]
    assert [loss.path for loss in written.losses] == lost
    chunks, told = streamed(answer)
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "ano"
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert told == lost
    assert all("usage" not in chunk for chunk in chunks)
    asked, _ = streamed(answer, ASKED)
    assert asked[-1]["choices"] == []
    assert asked[-1]["usage"] == USAGE
    assert all(chunk["usage"] is None for chunk in asked[:-1])
    assert len({chunk["id"] for chunk in asked}) == 1


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("length", "length"),
        ("context_overflow", "length"),
        ("content_filter", "content_filter"),
        ("refusal", "content_filter"),
        ("tool_calls", "stop"),
        ("unknown", "stop"),
    ],
)
def test_an_end_is_one_that_clients_know(reason, said):
    chunks, _ = streamed(response(Text("a"), finish=reason))
    assert chunks[-1]["choices"][0]["finish_reason"] == said
    body = json.loads(COMPLETIONS.write_response(response(finish=reason), CONTEXT).body)
    assert body["choices"] == [choice("", said)]


def test_a_broken_end_is_an_error():
    broken = response(Text("a"), finish="error")
    with pytest.raises(UpstreamError):
        COMPLETIONS.write_response(broken, CONTEXT)
    writer = COMPLETIONS.stream_writer(CONTEXT)
    data = b"".join(writer.send(event) for event in unfold(broken))
    assert b'"error"' in data
    assert b'"finish_reason":"' not in data
    assert data.endswith(b"data: [DONE]\n\n")


def test_log_probabilities_stand_side_by_side_again():
    told = {
        "content": [
            {"token": "ab", "logprob": -1.0, "top_logprobs": [{"token": "x", "logprob": -2.0}]},
            {"token": "c", "logprob": -0.5, "top_logprobs": []},
        ]
    }
    answer = response(Text("abc"), logprobs=Raw(json.dumps(told).encode()))
    expected = {
        "tokens": ["ab", "c"],
        "token_logprobs": [-1.0, -0.5],
        "top_logprobs": [{"x": -2.0}, {}],
        "text_offset": [0, 2],
    }
    body = json.loads(COMPLETIONS.write_response(answer, CONTEXT).body)
    assert body["choices"][0]["logprobs"] == expected
    writer = COMPLETIONS.stream_writer(CONTEXT)
    for at in (0, 2):
        note = LogprobNote(json.dumps({"content": told["content"][:1]}).encode())
        chunk = json.loads(writer.send(note)[6:])
        assert chunk["choices"][0]["logprobs"]["text_offset"] == [at]
    assert writer.send(LogprobNote(b"{}")) == b""
    assert writer.send(LogprobNote(b"{")) == b""


@pytest.mark.pitfall(15)
def test_the_rest_of_what_may_come():
    writer = COMPLETIONS.stream_writer(CONTEXT)
    assert writer.send(Start(id="x", model="y")) == b""
    assert writer.send(Ping()) == COMPLETIONS.heartbeat == b": ping\n\n"
    assert b'"text":"opened"' in writer.send(PartStart(0, Text("opened")))
    assert b"a\xef\xbf\xbd" in writer.send(PartDelta(0, "a\ud83d"))
    assert writer.send(Cited(0, Citation("url", url="u"))) == b""
    assert writer.send(PartStop(0)) == b""
    heard = Media("audio", Inline("AA==", "audio/wav"), transcript="heard")
    assert b'"text":"heard"' in writer.send(PartStart(1, heard))
    assert writer.send(PartDelta(1, "of no text")) == b""
    assert b'"error"' in writer.send(Failure(UpstreamError("server", "x")))
    assert writer.send(End()) == b""
