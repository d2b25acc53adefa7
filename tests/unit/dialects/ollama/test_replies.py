"""Whole replies and streams of both of Ollama's shapes, in both directions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

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
from dragoman.core.fold import check, fold, unfold
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
from dragoman.core.response import Choice, Finish, Response
from dragoman.core.usage import Usage
from dragoman.dialects.base import Context, Target, Undo
from dragoman.dialects.chat import CHAT
from dragoman.dialects.ollama import GENERATE, OLLAMA
from dragoman.dialects.translate import Translation

TARGET = Target("ollama", "llama3")
CONTEXT = Context("c" * 32, 1_700_000_000, "llama3", request_id="r1", trace_id="t1")
WHEN = "2026-01-01T00:00:00.123456789Z"
HEAD = {"model": "llama3", "created_at": WHEN}
BOTH = pytest.mark.parametrize("dialect", [OLLAMA, GENERATE], ids=lambda one: one.family)


def line(dialect: Any, text: str = "", /, *, done: bool = False, **more: Any) -> dict[str, Any]:
    thinking = {"thinking": more.pop("thinking")} if "thinking" in more else {}
    if dialect is GENERATE:
        return {**HEAD, "response": text, **thinking, "done": done, **more}
    calls = {"tool_calls": more.pop("tool_calls")} if "tool_calls" in more else {}
    message = {"role": "assistant", "content": text, **thinking, **calls}
    return {**HEAD, "message": message, "done": done, **more}


def bytes_of(*lines: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in lines)


def read(dialect: Any, *lines: Any, undo: Undo | None = None) -> list[Any]:
    reader = dialect.stream_reader(TARGET, undo or Undo())
    data = lines[0] if lines and isinstance(lines[0], bytes) else bytes_of(*lines)
    events = reader.feed(data) + reader.close()
    check(events)
    assert reader.feed(b"{}\n") == []
    assert reader.close() == []
    return events


def whole(dialect: Any, reply: dict[str, Any], undo: Undo | None = None) -> Response:
    return dialect.read_response(json.dumps(reply).encode(), TARGET, undo or Undo())


# --------------------------------------------------------------------------- reading

LAST = {"done_reason": "stop", "prompt_eval_count": 9, "eval_count": 5, "total_duration": 7}


@BOTH
def test_a_whole_reply_and_its_stream_say_the_same(dialect):
    said = [
        line(dialect, thinking="h"),
        line(dialect, thinking="m"),
        line(dialect, "a"),
        line(dialect, "b"),
    ]
    reply = whole(dialect, line(dialect, "ab", done=True, thinking="hm", **LAST))
    assert fold(read(dialect, *said, line(dialect, done=True, **LAST))) == reply
    assert reply.choices[0].parts == (Thinking("hm", family="ollama"), Text("ab"))
    assert reply.choices[0].finish == Finish("stop", raw="stop")
    assert reply.choices[0].ext == {"ollama": {"total_duration": Raw(b"7")}}
    assert reply.usage == Usage(input=9, output=5)
    assert reply.created == 1_767_225_600
    assert reply.model == "llama3"


@pytest.mark.pitfall(37)
@pytest.mark.pitfall(45)
@pytest.mark.pitfall(29)
def test_calls_come_whole_and_their_end_says_stop():
    first = {"function": {"name": "f", "arguments": {"a": 1}}}
    second = {"id": "call_x", "function": {"index": 1, "name": "g", "arguments": {}}}
    said = line(OLLAMA, "hm", tool_calls=[first])
    events = read(OLLAMA, said, line(OLLAMA, tool_calls=[second]), line(OLLAMA, done=True, **LAST))
    reply = fold(events)
    text, one, two = reply.choices[0].parts
    assert (text, one.name, one.arguments) == (Text("hm"), "f", '{"a":1}')
    assert two == ToolCall("call_x", "g", "{}")
    assert one.id.startswith("call_")
    assert reply.choices[0].finish == Finish("tool_calls", raw="stop")
    together = whole(OLLAMA, line(OLLAMA, "hm", done=True, tool_calls=[first, second], **LAST))
    assert together == reply


@pytest.mark.pitfall(31)
def test_made_ids_are_the_same_for_one_reply_and_others_for_the_next():
    calls = [{"function": {"name": "f", "arguments": {}}}] * 2
    reply = line(OLLAMA, done=True, tool_calls=calls, **LAST)
    one, two = (part.id for part in whole(OLLAMA, reply).choices[0].parts)
    assert one != two
    assert [part.id for part in whole(OLLAMA, reply).choices[0].parts] == [one, two]
    later = {**reply, "created_at": "2026-01-01T00:00:01Z"}
    assert {part.id for part in whole(OLLAMA, later).choices[0].parts}.isdisjoint({one, two})


@pytest.mark.pitfall(45)
@pytest.mark.pitfall(22)
@pytest.mark.parametrize(
    ("said", "calls", "finish"),
    [
        ("length", True, Finish("length", raw="length")),
        ("length", False, Finish("length", raw="length")),
        (None, False, Finish("stop")),
        ("load", False, Finish("stop", raw="load")),
        ("eos", False, Finish("unknown", raw="eos")),
        ("eos", True, Finish("tool_calls", raw="eos")),
    ],
)
def test_why_an_answer_ended(said, calls, finish):
    made = {"tool_calls": [{"function": {"name": "f", "arguments": {}}}]} if calls else {}
    reply = line(OLLAMA, "x", done=True, done_reason=said, **made)
    assert whole(OLLAMA, reply).choices[0].finish == finish
    assert fold(read(OLLAMA, reply)).choices[0].finish == finish
    body = json.dumps(reply).encode()
    assert OLLAMA.tap_response(body, TARGET, CONTEXT).finish == finish


@pytest.mark.pitfall(129)
@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        ({"prompt_eval_count": 3, "eval_count": 4}, Usage(input=3, output=4)),
        ({"eval_count": 4}, Usage(output=4)),
        ({"prompt_eval_count": 0}, Usage(input=0)),
        ({}, Usage()),
        ({"prompt_eval_count": -1, "eval_count": "many"}, Usage()),
        ({"eval_count": 10**15}, Usage()),
    ],
)
def test_counts_that_are_missing_are_unknown_and_absurd_ones_too(counts, usage):
    assert whole(OLLAMA, line(OLLAMA, "x", done=True, **counts)).usage == usage


@pytest.mark.pitfall(129)
def test_unknown_counts_are_zero_where_a_client_requires_numbers():
    asked = Context("c" * 32, 1, "m", include_usage=True)
    way = Translation(OLLAMA.stream_reader(TARGET, Undo()), CHAT.stream_writer(asked))
    told = way.feed(bytes_of(line(OLLAMA, "a"), line(OLLAMA, done=True))) + way.close()
    assert b'"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}' in told
    assert way.facts.usage == Usage()


@pytest.mark.pitfall(67)
def test_a_wrapped_tools_input_is_its_text_again():
    undo = Undo(custom_tools=frozenset({"sql"}))
    calls = [
        {"function": {"name": "sql", "arguments": {"input": "SELECT 1"}}},
        {"function": {"name": "sql", "arguments": {"other": 1}}},
        {"function": {"name": "f", "arguments": '{"a":1}'}},
        {"function": {"name": "f"}},
    ]
    reply = whole(OLLAMA, line(OLLAMA, done=True, tool_calls=calls), undo)
    found = [(part.kind, part.arguments) for part in reply.choices[0].parts]
    assert found == [
        ("custom", "SELECT 1"),
        ("custom", '{"other":1}'),
        ("function", '{"a":1}'),
        ("function", "{}"),
    ]
    assert fold(read(OLLAMA, line(OLLAMA, done=True, tool_calls=calls), undo=undo)) == reply


def test_log_probabilities_have_openais_shape():
    tokens = [
        {"token": "a", "logprob": -0.5, "top_logprobs": [{"token": "b", "logprob": -1}]},
        {"token": "c", "logprob": 0, "bytes": [99]},
    ]
    reply = whole(OLLAMA, line(OLLAMA, "ac", done=True, logprobs=tokens))
    content = json.loads(bytes(reply.choices[0].logprobs))["content"]
    assert content[0]["bytes"] is None
    assert content[0]["top_logprobs"] == [{"token": "b", "logprob": -1.0, "bytes": None}]
    assert content[1] == {"token": "c", "logprob": 0.0, "bytes": [99], "top_logprobs": []}
    streamed = [line(OLLAMA, "a", logprobs=tokens[:1]), line(OLLAMA, "c", logprobs=tokens[1:])]
    folded = fold(read(OLLAMA, *streamed, line(OLLAMA, done=True, logprobs=[])))
    assert json.loads(bytes(folded.choices[0].logprobs))["content"] == content
    assert whole(OLLAMA, line(OLLAMA, "x", done=True, logprobs="odd")).choices[0].logprobs is None


@pytest.mark.pitfall(23)
def test_what_a_server_leaves_out_is_filled_by_what_was_sent():
    reply = whole(OLLAMA, {"message": {"content": "x"}, "done": True, "created_at": "yesterday"})
    assert (reply.model, reply.created) == ("llama3", None)
    assert read(OLLAMA, b'{"message":{},"done":true}\n')[0] == Start(model="llama3")
    assert whole(OLLAMA, {"response": "x", "done": True}).choices[0].parts == (Text("x"),)


@pytest.mark.pitfall(26)
def test_halves_of_characters_kill_nothing():
    broken = b'{"message":{"content":"a\\ud83d"},"done":false}\n{"message":{},"done":true}\n'
    assert fold(read(OLLAMA, broken)).choices[0].parts == (Text("a\ufffd"),)
    body = b'{"message":{"content":"\\ud83d"},"done":true}'
    assert OLLAMA.read_response(body, TARGET, Undo()).choices[0].parts == (Text("\ufffd"),)
    told = OLLAMA.tap_response(body, TARGET, CONTEXT).body
    assert json.loads(told)["model"] == "llama3"
    assert OLLAMA.response_frames(body).endswith(b"\n")


# --------------------------------------------------------------------------- errors in a 200


@pytest.mark.pitfall(13)
@pytest.mark.pitfall(140)
@BOTH
def test_an_error_inside_an_answer_is_one(dialect):
    body = b'{"error":"llama runner has terminated"}'
    for read_whole in (
        lambda: dialect.read_response(body, TARGET, Undo()),
        lambda: dialect.tap_response(body, TARGET, CONTEXT),
        lambda: dialect.response_frames(body),
    ):
        with pytest.raises(UpstreamError) as caught:
            read_whole()
        assert (caught.value.kind, caught.value.status) == ("server", 500)
    events = read(dialect, bytes_of(line(dialect, "a")) + body + b"\n")
    assert events[-1].error.message == "llama runner has terminated"
    relay = dialect.relay(TARGET, CONTEXT)
    said = bytes_of(line(dialect, "a"))
    assert relay.feed(said + body + b"\n" + said) == said
    assert relay.facts.error.kind == "server"
    assert relay.feed(said) == b""
    assert relay.close() == b""


@pytest.mark.pitfall(11)
@pytest.mark.pitfall(14)
@BOTH
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"choices":[]}', b'"x"', b"\xff", b'{"message":7}']
)
def test_what_is_no_reply_is_none(dialect, body):
    with pytest.raises(UpstreamError):
        dialect.read_response(body, TARGET, Undo())
    with pytest.raises(UpstreamError):
        dialect.tap_response(body, TARGET, CONTEXT)
    assert isinstance(read(dialect, body + b"\n")[-1], Failure)
    relay = dialect.relay(TARGET, CONTEXT)
    assert relay.feed(body + b"\n") + relay.close() == b""
    assert relay.facts.error is not None


@pytest.mark.pitfall(14)
@BOTH
def test_an_answer_that_is_not_done_is_cut(dialect):
    with pytest.raises(UpstreamError) as caught:
        whole(dialect, line(dialect, "half"))
    assert caught.value.code == "upstream_truncated"
    events = read(dialect, bytes_of(line(dialect, "half")) + b'{"model":"llama3","mess')
    assert events[-1].error.code == "upstream_truncated"
    relay = dialect.relay(TARGET, CONTEXT)
    said = bytes_of(line(dialect, "half"))
    assert relay.feed(said + b'{"model":') + relay.close() == said
    assert relay.facts.error.code == "upstream_truncated"


@pytest.mark.pitfall(25)
def test_a_line_without_end_is_cut_off():
    reader = OLLAMA.stream_reader(TARGET, Undo())
    relay = OLLAMA.relay(TARGET, CONTEXT)
    piece = b"x" * (16 * 1024 * 1024)
    assert reader.feed(piece) == []
    assert reader.feed(piece) == []
    assert reader.feed(b"x")[-1].error.code == "frame_too_large"
    assert relay.feed(piece) + relay.feed(piece) + relay.feed(b"x") == b""
    assert relay.facts.error.code == "frame_too_large"


# --------------------------------------------------------------------------- the same dialect


@pytest.mark.pitfall(9)
@pytest.mark.pitfall(133)
def test_lines_pass_as_they_came_and_blank_ones_do_not():
    data = (
        b'{ "model":"other", "message":{"content":"a"}, "done":false, "new":1.0 }\n\n \r\n'
        b'{"message":{"content":"b"},"done":false}\n'
        b'{"model":"other","done":true,"done_reason":"length","eval_count":2}\n'
        b'{"model":"other","message":{"content":"late"},"done":false}\n'
    )
    relay = OLLAMA.relay(TARGET, CONTEXT)
    assert relay.feed(data).split(b"\n") == [
        b'{ "model":"other", "message":{"content":"a"}, "done":false, "new":1.0 }',
        b'{"model":"llama3","message":{"content":"b"},"done":false}',
        b'{"model":"other","done":true,"done_reason":"length","eval_count":2}',
        b"",
    ]
    facts = relay.facts
    assert (facts.finished, facts.over, facts.content, facts.error) == (True, True, True, None)
    assert facts.finish == Finish("length", raw="length")
    assert facts.usage == Usage(output=2)
    assert relay.close() == b""


@pytest.mark.pitfall(4)
def test_a_last_line_without_its_end_gets_it():
    relay = OLLAMA.relay(TARGET, CONTEXT)
    assert relay.feed(b'{"model":"m","done":true}') == b""
    assert relay.close() == b'{"model":"m","done":true}\n'
    assert relay.facts.error is None


def test_an_empty_line_of_words_is_no_content():
    relay = OLLAMA.relay(TARGET, CONTEXT)
    relay.feed(bytes_of(line(OLLAMA, "")))
    assert relay.facts.content is False
    relay.feed(bytes_of(line(OLLAMA, tool_calls=[{"function": {"name": "f", "arguments": {}}}])))
    assert relay.facts.content is True
    relay.feed(bytes_of(line(OLLAMA, done=True, done_reason="stop")))
    assert relay.facts.finish.reason == "tool_calls"


@pytest.mark.req("R-ADD-024")
@BOTH
def test_a_failure_is_one_line_and_the_last(dialect):
    relay = dialect.relay(TARGET, CONTEXT)
    told = relay.fail(UpstreamError("timeout", "too slow", provider="ollama"))
    assert told.endswith(b"\n")
    assert told.count(b"\n") == 1
    body = json.loads(told)
    assert body["error"] == "too slow"
    assert body["dragoman"]["request_id"] == "r1"
    assert body["dragoman"]["provider"] == "ollama"
    assert relay.feed(bytes_of(line(dialect, "a"))) == b""


# --------------------------------------------------------------------------- writing


def response(*parts: Any, finish: Finish | None = None, **more: Any) -> Response:
    choice = Choice(parts, finish or Finish("stop"))
    return Response("id", "gpt", (choice,), **more)


def told(dialect: Any, answer: Response) -> tuple[dict[str, Any], list[str]]:
    """What a client reads, whole; a stream says and loses the same."""
    written = dialect.write_response(answer, CONTEXT)
    writer = dialect.stream_writer(CONTEXT)
    data = b"".join(writer.send(event) for event in unfold(answer))
    assert writer.send(End()) == b""
    lines = [json.loads(each) for each in data.decode().removesuffix("\n").split("\n")]
    assert [each["done"] for each in lines] == [False] * (len(lines) - 1) + [True]
    body = json.loads(written.body)
    if dialect is OLLAMA:
        assert "".join(each["message"]["content"] for each in lines) == body["message"]["content"]
        calls = [call for each in lines for call in each["message"].get("tool_calls", ())]
        assert calls == body["message"].get("tool_calls", [])
    else:
        assert "".join(each["response"] for each in lines) == body["response"]
    assert sorted(loss.path for loss in writer.losses) == sorted(
        loss.path for loss in written.losses
    )
    for name in ("model", "created_at", "done_reason", "prompt_eval_count", "eval_count"):
        assert lines[-1].get(name) == body.get(name)
    return body, [loss.path for loss in written.losses]


@pytest.mark.pitfall(24)
@pytest.mark.pitfall(86)
@BOTH
def test_an_answer_in_ollamas_words(dialect):
    parts = (Thinking("h"), Text("a"), Refusal("no"), Thinking("m"), Text("b"))
    body, losses = told(dialect, response(*parts, usage=Usage(input=3, output=4), created=60))
    said = body if dialect is GENERATE else body["message"]
    assert said["response" if dialect is GENERATE else "content"] == "anob"
    assert said["thinking"] == "hm"
    assert body["created_at"] == "1970-01-01T00:01:00Z"
    assert (body["model"], body["done_reason"]) == ("gpt", "stop")
    assert (body["prompt_eval_count"], body["eval_count"]) == (3, 4)
    assert losses == []


@pytest.mark.pitfall(133)
@pytest.mark.pitfall(129)
def test_what_nobody_said_is_left_out_or_what_was_sent():
    body, _ = told(OLLAMA, Response("", "", ()))
    assert body == {
        "model": "llama3",
        "created_at": "2023-11-14T22:13:20Z",
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": "stop",
    }


@pytest.mark.pitfall(35)
@pytest.mark.pitfall(36)
def test_calls_have_objects_places_and_ids():
    calls = (
        ToolCall("c1", "f", '{"a": 1}'),
        ToolCall("", "", "", signature="s"),
        ToolCall("c3", "g", '{"a": [1'),
        ToolCall("c4", "h", "free", "custom"),
    )
    body, losses = told(OLLAMA, response(*calls, finish=Finish("tool_calls")))
    made = body["message"]["tool_calls"]
    assert [call["function"] for call in made] == [
        {"index": 0, "name": "f", "arguments": {"a": 1}},
        {"index": 1, "name": "tool", "arguments": {}},
        {"index": 2, "name": "g", "arguments": {"_raw": '{"a": [1'}},
        {"index": 3, "name": "h", "arguments": {"input": "free"}},
    ]
    assert [call["id"] for call in made][0::2] == ["c1", "c3"]
    assert made[1]["id"].startswith("call_")
    assert body["done_reason"] == "stop"
    assert losses == ["message.content[1].signature", "message.content[2].arguments"]


def test_a_prompts_answer_has_no_calls():
    body, losses = told(GENERATE, response(Text("a"), ToolCall("c", "f", "{}")))
    assert body["response"] == "a"
    assert losses == ["message.content[1]"]


@pytest.mark.parametrize(
    ("reason", "said", "losses"),
    [
        ("length", "length", []),
        ("context_overflow", "length", []),
        ("stop_sequence", "stop", []),
        ("unknown", "stop", []),
        ("content_filter", "stop", ["done_reason"]),
        ("refusal", "stop", ["done_reason"]),
        ("pause", "stop", ["done_reason"]),
    ],
)
def test_an_end_is_one_of_two(reason, said, losses):
    body, lost = told(OLLAMA, response(Text("a"), finish=Finish(reason)))
    assert (body["done_reason"], lost) == (said, losses)


@BOTH
@pytest.mark.parametrize("reason", ["error", "malformed_tool_call"])
def test_an_end_that_is_a_failure_is_never_done(dialect, reason):
    broken = response(Text("a"), finish=Finish(reason))
    with pytest.raises(UpstreamError):
        dialect.write_response(broken, CONTEXT)
    writer = dialect.stream_writer(CONTEXT)
    data = b"".join(writer.send(event) for event in unfold(broken))
    lines = [json.loads(each) for each in data.splitlines()]
    assert isinstance(lines[-1]["error"], str)
    assert not any(each.get("done") for each in lines)


def test_what_has_no_place_in_an_answer_is_told():
    parts = (
        Text("a", (Citation("url", url="u"),)),
        Thinking("t", signature="s", family="anthropic"),
        Thinking(encrypted="e", redacted=True),
        Media("image", Inline("AAAA", "image/png")),
        Media("audio", Inline("AAAA", "audio/wav"), transcript="heard"),
        Opaque("anthropic", "x", Raw(b"{}")),
    )
    body, losses = told(OLLAMA, response(*parts))
    assert body["message"]["content"] == "aheard"
    at = "message.content"
    assert losses == [
        f"{at}[0].citations",
        f"{at}[1].signature",
        f"{at}[2].signature",
        f"{at}[3]",
        f"{at}[5]",
    ]


@pytest.mark.pitfall(115)
def test_of_several_answers_the_first_is_told():
    several = Response(
        "id",
        "gpt",
        (Choice((Text("a"),), Finish("stop")), Choice((Text("b"),), Finish("stop"), 1)),
    )
    body, losses = told(OLLAMA, several)
    assert (body["message"]["content"], losses) == ("a", ["choices[1]"])


def test_log_probabilities_are_told_beside_the_words():
    probabilities = Raw(b'{"content":[{"token":"a","logprob":-1}],"refusal":null}')
    answer = Response("", "m", (Choice((Text("a"),), Finish("stop"), logprobs=probabilities),))
    assert told(OLLAMA, answer)[0]["logprobs"] == [{"token": "a", "logprob": -1}]
    writer = OLLAMA.stream_writer(CONTEXT)
    assert json.loads(writer.send(LogprobNote(bytes(probabilities))))["logprobs"]
    assert writer.send(LogprobNote(b'{"content":[]}')) == b""
    assert writer.send(LogprobNote(b"{")) == b""


@pytest.mark.pitfall(39)
def test_calls_that_come_interleaved_go_out_in_their_order():
    writer = OLLAMA.stream_writer(CONTEXT)
    events = [
        Start(model="gpt"),
        PartStart(0, ToolCall("c0", "f")),
        PartStart(1, ToolCall("c1", "g")),
        PartDelta(1, "{}", "arguments"),
        PartDelta(0, '{"a":', "arguments"),
        PartStop(1),
    ]
    assert b"".join(writer.send(event) for event in events) == b""
    assert writer.send(PartDelta(0, "1}", "arguments")) == b""
    calls = json.loads(writer.send(PartStop(0)))["message"]["tool_calls"]
    assert [call["function"]["name"] for call in calls] == ["f", "g"]
    assert calls[0]["function"]["arguments"] == {"a": 1}


@pytest.mark.pitfall(15)
@pytest.mark.pitfall(9)
def test_a_sign_of_life_is_not_passed_on():
    assert OLLAMA.heartbeat is None
    assert GENERATE.heartbeat is None
    writer = OLLAMA.stream_writer(CONTEXT)
    assert writer.send(Ping()) == b""
    assert writer.send(PartDelta(7, "of no part")) == b""
    assert writer.send(PartStop(7)) == b""
    assert writer.send(PartStart(0, Text("a"), choice=1)) == b""
    writer.send(PartStart(0, Text("")))
    writer.send(Cited(0, Citation("url", url="u")))
    writer.send(Cited(0, Citation("url", url="v")))
    assert [loss.path for loss in writer.losses] == ["message.content[0].citations"]


def test_late_state_of_a_thought_is_told_as_lost():
    writer = OLLAMA.stream_writer(CONTEXT)
    for event in (
        PartStart(0, Thinking("", family="anthropic")),
        PartDelta(0, "hm"),
        PartDelta(0, "sig", "signature"),
        PartStop(0),
        UsageNote(Usage(output=3)),
        Finished(Finish("stop")),
    ):
        writer.send(event)
    assert [loss.path for loss in writer.losses] == ["message.content[0].signature"]
    assert json.loads(writer.send(End()))["eval_count"] == 3


def test_half_a_character_is_replaced_on_its_way_out():
    writer = OLLAMA.stream_writer(CONTEXT)
    writer.send(PartStart(0, Text("")))
    assert json.loads(writer.send(PartDelta(0, "a\ud83d")))["message"]["content"] == "a\ufffd"
    assert OLLAMA.write_response(response(Text("\ud83d")), CONTEXT).body
    call = ToolCall("c\ud83d", "f", "{}")
    writer.send(PartStart(1, call))
    assert json.loads(writer.send(PartStop(1)))["message"]["tool_calls"][0]["id"] == "c\ufffd"


def test_a_context_of_ollamas_comes_back_to_ollama():
    reply = whole(GENERATE, line(GENERATE, "a", done=True, context=[1, 2], eval_duration=5))
    body = json.loads(GENERATE.write_response(reply, CONTEXT).body)
    assert (body["context"], body["eval_duration"]) == ([1, 2], 5)


def test_a_name_is_not_mistaken_for_a_callers_fault():
    with pytest.raises(CallerError):
        OLLAMA.read_request(b"{}")
