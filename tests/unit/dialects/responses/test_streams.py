"""Streams: what providers do to them, what clients need of them, and what is passed on."""

from __future__ import annotations

import json

import pytest

from dragoman.core.envelope import Envelope
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
from dragoman.core.fold import check, fold
from dragoman.core.parts import Citation, Opaque, Refusal, Text, Thinking, ToolCall, raw
from dragoman.core.response import Finish
from dragoman.core.usage import Usage
from dragoman.dialects.base import Context, Target, Undo
from dragoman.dialects.responses import RESPONSES

TARGET = Target("openai", "m")
CONTEXT = Context("c" * 32, 7, "m", envelope=Envelope({1: b"k" * 32}), request_id="req_1")
DONE = {"id": "resp_1", "status": "completed", "model": "gpt", "output": []}
CREATED = {"type": "response.created", "response": {"id": "resp_1", "model": "gpt"}}
COMPLETED = {"type": "response.completed", "response": DONE}


def sse(*events: dict, named: bool = True) -> bytes:
    pieces = []
    for event in events:
        name = f"event: {event['type']}\n" if named else ""
        pieces.append(f"{name}data: {json.dumps(event)}\n\n")
    return "".join(pieces).encode()


def read(data: bytes) -> list:
    reader = RESPONSES.stream_reader(TARGET, Undo())
    events = reader.feed(data) + reader.close()
    check(events)
    return events


def folded(*events: dict, end=COMPLETED):
    return fold(read(sse(CREATED, *events, end)))


def parts(*events: dict, end=COMPLETED) -> tuple:
    return folded(*events, end=end).choices[0].parts


def added(index: int, **item) -> dict:
    return {"type": "response.output_item.added", "output_index": index, "item": item}


def done(index: int, **item) -> dict:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def delta(kind: str, words: str, index: int = 0, **more) -> dict:
    return {"type": f"response.{kind}.delta", "output_index": index, "delta": words, **more}


CALL = {"type": "function_call", "id": "fc", "call_id": "c", "name": "f"}
WORDS = ("function_call_arguments",)


# --------------------------------------------------------------------------- reading


def test_an_ordinary_stream():
    assert read(
        sse(
            CREATED,
            added(0, type="message", id="msg", role="assistant", content=[]),
            delta("output_text", "Hel", content_index=0),
            delta("output_text", "lo", content_index=0),
            done(0, type="message", id="msg", content=[{"type": "output_text", "text": "Hello"}]),
            {
                "type": "response.completed",
                "response": {**DONE, "usage": {"input_tokens": 1, "output_tokens": 2}},
            },
        )
    ) == [
        Start(id="resp_1", model="gpt"),
        PartStart(0, Text("")),
        PartDelta(0, "Hel"),
        PartDelta(0, "lo"),
        PartStop(0),
        UsageNote(Usage(input=1, output=2)),
        Finished(Finish("stop", "completed")),
        End(),
    ]


@pytest.mark.pitfall(6)
def test_names_of_events_may_be_missing_and_done_is_no_event():
    stream = (CREATED, delta("output_text", "Hi"), COMPLETED)
    unnamed = sse(*stream, named=False) + b"data: [DONE]\n\n"
    assert read(unnamed) == read(sse(*stream))


@pytest.mark.pitfall(43)
@pytest.mark.parametrize(
    "events",
    [
        [
            added(0, **CALL, arguments=""),
            {
                "type": "response.function_call_arguments.done",
                "output_index": 0,
                "arguments": '{"a":1}',
            },
            done(0, **CALL, arguments='{"a":1}'),
        ],
        [added(0, **CALL, arguments=""), done(0, **CALL, arguments='{"a":1}')],
        [done(0, **CALL, arguments='{"a":1}')],
        [
            added(0, **CALL, arguments=""),
            delta("function_call_arguments", '{"a"'),
            delta("function_call_arguments", ":1}"),
            {
                "type": "response.function_call_arguments.done",
                "output_index": 0,
                "arguments": '{"a":1}',
            },
            done(0, **CALL, arguments='{"a":1}'),
        ],
    ],
)
def test_arguments_are_told_once_wherever_they_stand(events):
    response = folded(*events)
    assert response.choices[0].parts == (ToolCall("c", "f", '{"a":1}', item_id="fc"),)
    assert response.choices[0].finish.reason == "tool_calls"


@pytest.mark.pitfall(43)
def test_what_only_the_last_event_says_is_told_then():
    item = {"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}
    end = {
        "type": "response.completed",
        "response": {**DONE, "output": [item, {**CALL, "arguments": "{}"}]},
    }
    assert parts(end=end) == (Text("Hi"), ToolCall("c", "f", "{}", item_id="fc"))


def test_a_last_event_without_output_takes_nothing_back():
    item = {"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}
    assert parts(added(0, type="message"), delta("output_text", "Hi"), done(0, **item)) == (
        Text("Hi"),
    )


@pytest.mark.pitfall(39)
def test_calls_may_come_interleaved():
    two = {**CALL, "id": "fc2", "call_id": "d"}
    assert parts(
        added(0, **CALL, arguments=""),
        added(1, **two, arguments=""),
        delta("function_call_arguments", "{", 0),
        delta("function_call_arguments", "[", 1),
        delta("function_call_arguments", "}", 0),
        delta("function_call_arguments", "]", 1),
        done(0, **CALL, arguments="{}"),
        done(1, **two, arguments="[]"),
    ) == (ToolCall("c", "f", "{}", item_id="fc"), ToolCall("d", "f", "[]", item_id="fc2"))


@pytest.mark.parametrize("index", [0, None])
def test_items_may_share_an_index_or_have_none(index):
    thought = {"type": "reasoning", "id": "rs", "summary": []}
    words = {"type": "message", "id": "msg", "content": [{"type": "output_text", "text": "Hi"}]}
    call = {**CALL, "arguments": "{}"}
    end = {**COMPLETED, "response": {**DONE, "output": [thought, words, call]}}
    told = parts(
        added(index, **thought),
        delta("reasoning_text", "Hm", index),
        done(index, **thought),
        added(index, type="message", id="msg"),
        delta("output_text", "Hi", index),
        done(index, **words),
        added(index, **CALL, arguments=""),
        done(index, **call),
        end=end,
    )
    assert [type(part) for part in told] == [Thinking, Text, ToolCall]
    assert told[1] == Text("Hi")


def test_reasoning_its_paragraphs_and_its_state():
    item = {"type": "reasoning", "id": "rs", "summary": []}
    (thought,) = parts(
        added(0, **item),
        delta("reasoning_summary_text", "One", summary_index=0),
        delta("reasoning_summary_text", "Two", summary_index=1),
        done(0, **item, encrypted_content="e"),
    )
    assert thought == Thinking(
        "One\n\nTwo",
        encrypted="e",
        id="rs",
        format="openai-responses-v1",
        family="responses",
        summary=True,
    )
    (bare,) = parts(added(0, **item), done(0, **item, encrypted_content="e"))
    assert (bare.text, bare.encrypted) == ("", "e")
    assert parts(added(0, **item), done(0, **item)) == ()
    (spoken,) = parts(added(0, **item), delta("reasoning_text", "Raw"), done(0, **item))
    assert (spoken.text, spoken.summary) == ("Raw", False)


def test_refusals_citations_and_log_probabilities():
    note = {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 1}
    token = {"token": "H", "logprob": -1.0}
    events = read(
        sse(
            CREATED,
            added(0, type="message"),
            {
                "type": "response.output_text.annotation.added",
                "output_index": 0,
                "content_index": 0,
                "annotation": note,
            },
            delta("output_text", "Hi", content_index=0, logprobs=[token]),
            delta("refusal", "No", content_index=1),
            done(
                0,
                type="message",
                content=[
                    {"type": "output_text", "text": "Hi", "annotations": [note]},
                    {"type": "refusal", "refusal": "No"},
                ],
            ),
            COMPLETED,
        )
    )
    assert sum(isinstance(event, Cited) for event in events) == 1
    assert sum(isinstance(event, LogprobNote) for event in events) == 1
    said, refused = fold(events).choices[0].parts
    assert (said.text, said.citations[0].url) == ("Hi", "u")
    assert refused == Refusal("No")


def test_items_of_other_kinds_come_whole_at_their_end():
    call = {"type": "web_search_call", "id": "ws"}
    (found,) = parts(
        added(0, **call, status="in_progress"),
        {"type": "response.web_search_call.searching", "output_index": 0},
        done(0, **call, status="completed"),
    )
    assert isinstance(found, Opaque)
    assert json.loads(bytes(found.payload))["status"] == "completed"


@pytest.mark.pitfall(14, 13)
@pytest.mark.parametrize("named", [True, False])
def test_a_stream_without_its_last_event_was_cut(named):
    events = read(sse(CREATED, delta("output_text", "Hi"), named=named))
    assert isinstance(events[-1], Failure)
    assert events[-1].error.code == "upstream_truncated"


FLAT = {"type": "error", "code": "rate_limit_exceeded", "message": "Slow down", "param": None}
NESTED = {
    "type": "error",
    "error": {"type": "rate_limit", "code": "rate_limit_exceeded", "message": "Slow down"},
}
FAILED = {
    "type": "response.failed",
    "response": {
        "status": "failed",
        "error": {"code": "rate_limit_exceeded", "message": "Slow down"},
    },
}


@pytest.mark.pitfall(164, 13)
@pytest.mark.parametrize("error", [FLAT, NESTED, FAILED], ids=["flat", "nested", "failed"])
def test_errors_in_a_stream_of_every_shape(error):
    events = read(sse(CREATED, error))
    assert isinstance(events[-1], Failure)
    told = events[-1].error
    assert isinstance(told, UpstreamError)
    assert (told.kind, told.status, told.message) == ("rate_limit", 429, "Slow down")
    relay = RESPONSES.relay(TARGET, CONTEXT)
    passed = relay.feed(sse(CREATED, error)) + relay.close()
    assert passed == sse(CREATED)
    assert relay.facts.error.kind == "rate_limit"
    assert not relay.facts.content


@pytest.mark.pitfall(26)
def test_a_character_that_is_cut_in_half_is_put_together():
    halves = sse(CREATED) + b"".join(
        b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","output_index":0,"delta":"%b"}\n\n'
        % half
        for half in (b"a\\ud83d", b"\\ude00b")
    )
    events = read(halves + sse(COMPLETED))
    assert fold(events).choices[0].parts == (Text("a😀b"),)


def test_a_sign_of_life_is_passed_on():
    assert Ping() in read(sse(CREATED, {"type": "keepalive"}, COMPLETED))


# --------------------------------------------------------------------------- writing


def wire(*events) -> list[dict]:
    writer = RESPONSES.stream_writer(CONTEXT)
    frames = b"".join(writer.send(event) for event in events).decode().split("\n\n")
    told = []
    for frame in frames:
        if not frame or frame.startswith(":"):
            continue
        name, data = frame.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        told.append(event)
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    return told


def kinds(told: list[dict]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in told]


STOP = (Finished(Finish("stop")), End())


@pytest.mark.pitfall(146, 7)
def test_the_grammar_of_a_text():
    told = wire(
        Start("resp_1", "gpt", 5),
        PartStart(0, Text("")),
        PartDelta(0, "Hel"),
        PartDelta(0, "lo"),
        PartStop(0),
        UsageNote(Usage(input=1, output=2)),
        *STOP,
    )
    assert kinds(told) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert told[4]["logprobs"] == []
    assert told[6]["text"] == "Hello"
    assert told[2]["item"]["status"] == "in_progress"
    assert told[8]["item"]["status"] == "completed"
    assert told[-1]["response"]["output"] == [told[8]["item"]]
    assert told[-1]["response"]["usage"]["total_tokens"] == 3
    assert {event["item_id"] for event in told[3:8]} == {told[2]["item"]["id"]}


@pytest.mark.pitfall(39, 159)
def test_interleaved_calls_are_told_one_after_the_other():
    told = wire(
        Start(),
        PartStart(0, ToolCall("a", "f")),
        PartStart(1, ToolCall("b", "g")),
        PartDelta(1, "[1", "arguments"),
        PartDelta(0, "{}", "arguments"),
        PartDelta(1, "]", "arguments"),
        PartStop(1),
        PartStop(0),
        *STOP,
    )
    assert [event["output_index"] for event in told if "item" in event] == [0, 0, 1, 1]
    first, second = told[-1]["response"]["output"]
    assert (first["call_id"], first["arguments"]) == ("a", "{}")
    assert (second["call_id"], second["arguments"]) == ("b", "[1]")


@pytest.mark.pitfall(34)
def test_a_call_without_a_word_has_an_empty_object():
    told = wire(Start(), PartStart(0, ToolCall("a", "f")), PartStop(0), *STOP)
    assert kinds(told)[2:5] == [
        "output_item.added",
        "function_call_arguments.done",
        "output_item.done",
    ]
    assert told[3]["arguments"] == told[4]["item"]["arguments"] == "{}"


def test_free_text_calls_have_their_own_events():
    call = ToolCall("a", "g", kind="custom")
    told = wire(Start(), PartStart(0, call), PartDelta(0, "x", "arguments"), PartStop(0), *STOP)
    assert kinds(told)[3:5] == ["custom_tool_call_input.delta", "custom_tool_call_input.done"]
    assert told[-1]["response"]["output"][0]["input"] == "x"


@pytest.mark.pitfall(96, 102)
def test_reasoning_has_its_state_at_its_end():
    told = wire(
        Start(),
        PartStart(0, Thinking(family="anthropic", summary=True)),
        PartStart(1, Text("")),
        PartDelta(0, "Hm"),
        PartDelta(1, "So"),
        PartDelta(0, "sig", "signature"),
        PartStop(0),
        PartStop(1),
        *STOP,
    )
    assert kinds(told)[2:8] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
    ]
    assert "encrypted_content" not in told[2]["item"]
    assert told[7]["item"]["encrypted_content"].startswith("drg1.")
    assert [item["type"] for item in told[-1]["response"]["output"]] == ["reasoning", "message"]


def test_neighbouring_texts_share_a_message_and_nothing_opens_for_silence():
    told = wire(
        Start(),
        PartStart(0, Text("")),
        PartStop(0),
        PartStart(1, Text("One")),
        PartStop(1),
        PartStart(2, Refusal("No")),
        PartStop(2),
        PartStart(3, Thinking()),
        PartStop(3),
        *STOP,
    )
    (item,) = told[-1]["response"]["output"]
    assert [part["type"] for part in item["content"]] == ["output_text", "refusal"]


def test_citations_and_log_probabilities():
    told = wire(
        Start(),
        PartStart(0, Text("")),
        PartDelta(0, "abc"),
        Cited(0, Citation("url", url="u")),
        LogprobNote(b'{"content":[{"token":"abc"}]}'),
        PartStop(0),
        *STOP,
    )
    note = next(event for event in told if event["type"].endswith("annotation.added"))
    assert note["annotation"]["end_index"] == 3
    (part,) = told[-1]["response"]["output"][0]["content"]
    assert part["annotations"] == [note["annotation"]]
    assert part["logprobs"] == [{"token": "abc"}]


def test_an_answer_that_was_cut_is_incomplete():
    told = wire(Start(), PartStart(0, Text("a")), PartStop(0), Finished(Finish("length")), End())
    assert told[-1]["type"] == "response.incomplete"
    assert told[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert told[-2]["item"]["status"] == "incomplete"


@pytest.mark.pitfall(13)
def test_a_failure_is_told_twice_and_nothing_says_completion():
    error = UpstreamError("overloaded", "Too busy.", code="upstream_overloaded")
    told = wire(Start("resp_1"), PartStart(0, Text("a")), Failure(error), *STOP)
    assert kinds(told)[-2:] == ["error", "failed"]
    assert told[-2]["message"] == told[-2]["error"]["message"] == "Too busy."
    assert told[-2]["code"] == "upstream_overloaded"
    assert told[-2]["error"]["dragoman"]["request_id"] == "req_1"
    assert told[-1]["response"]["status"] == "failed"
    assert told[-1]["response"]["id"] == "resp_1"
    assert told[-1]["response"]["error"] == {"code": "server_error", "message": "Too busy."}


@pytest.mark.pitfall(137)
def test_a_broken_end_is_a_failure():
    told = wire(Start(), Finished(Finish("malformed_tool_call")), End())
    assert kinds(told)[-2:] == ["error", "failed"]


@pytest.mark.pitfall(15)
def test_a_sign_of_life_is_a_comment():
    writer = RESPONSES.stream_writer(CONTEXT)
    assert writer.send(Ping()) == RESPONSES.heartbeat == b": ping\n\n"


def test_what_cannot_be_said_is_noted():
    writer = RESPONSES.stream_writer(CONTEXT)
    for event in (
        Start(),
        PartStart(0, Opaque("anthropic", "x", raw({}))),
        PartStop(0),
        Finished(Finish("stop"), 1),
        Finished(Finish("pause")),
    ):
        writer.send(event)
    assert [loss.path for loss in writer.losses] == ["content[0]", "choices[1]", "status"]


# --------------------------------------------------------------------------- the same dialect


def relayed(*pieces: bytes):
    relay = RESPONSES.relay(TARGET, CONTEXT)
    passed = b"".join(relay.feed(piece) for piece in pieces)
    return passed + relay.close(), relay


WHOLE = (CREATED, added(0, **CALL, arguments=""), done(0, **CALL, arguments="{}"), COMPLETED)


def test_frames_pass_as_they_came_and_are_read_on_the_way():
    data = b": hello\n\n" + sse(*WHOLE)
    passed, relay = relayed(data)
    assert passed == data
    facts = relay.facts
    assert (facts.id, facts.finished, facts.over, facts.error) == ("resp_1", True, True, None)
    assert facts.finish == Finish("tool_calls", "completed")


@pytest.mark.pitfall(7, 6)
def test_events_without_a_name_get_one_and_done_is_not_passed_on():
    passed, relay = relayed(sse(*WHOLE, named=False) + b"data: [DONE]\n\n")
    assert passed == sse(*WHOLE)
    assert relay.facts.finished


@pytest.mark.pitfall(4)
def test_a_last_frame_without_its_blank_line_gets_it():
    data = sse(*WHOLE)
    assert relayed(data[:-1])[0] == data


@pytest.mark.pitfall(14)
def test_half_a_frame_is_not_passed_on():
    data = sse(*WHOLE)
    passed, relay = relayed(data[:-20])
    assert data.startswith(passed.removesuffix(b"\n\n"))
    assert relay.facts.error.code == "upstream_truncated"


def test_a_failure_goes_on_with_the_numbers_and_the_id_that_the_client_knows():
    begun = [{**CREATED, "sequence_number": 0}, {**added(0, type="message"), "sequence_number": 1}]
    relay = RESPONSES.relay(TARGET, CONTEXT)
    relay.feed(sse(*begun))
    frames = relay.fail(UpstreamError("upstream", "Gone.")).decode().split("\n\n")
    error, failed = (json.loads(frame.split("data: ")[1]) for frame in frames if frame)
    assert (error["sequence_number"], failed["sequence_number"]) == (2, 3)
    assert failed["response"]["id"] == "resp_1"
    assert failed["response"]["status"] == "failed"


@pytest.mark.pitfall(164)
def test_nothing_counts_as_content_before_the_first_word():
    relay = RESPONSES.relay(TARGET, CONTEXT)
    relay.feed(
        sse(CREATED, {"type": "response.in_progress", "response": {}}, added(0, type="message"))
    )
    assert not relay.facts.content
    relay.feed(sse(delta("output_text", "H")))
    assert relay.facts.content


def test_a_response_without_a_model_gets_the_one_that_was_sent():
    created = {"type": "response.created", "response": {"id": "resp_1"}}
    passed, _ = relayed(sse(created))
    told = json.loads(passed.split(b"data: ")[1])
    assert told["response"] == {"id": "resp_1", "model": "m"}
    assert passed.count(b"event: ") == 1


@pytest.mark.parametrize("junk", [b"data: {\n\n", b"data: 7\n\n", b"\xff\n\n", b"<html>"])
def test_what_is_no_stream_is_the_providers_error(junk):
    _, relay = relayed(junk)
    assert isinstance(relay.facts.error, UpstreamError)


@pytest.mark.pitfall(152)
def test_a_search_for_tools_that_the_caller_runs_is_called_as_such():
    asked = RESPONSES.read_request(
        b'{"model":"m","input":"x","tools":[{"type":"tool_search","execution":"client"}]}'
    )
    context = Context("c" * 32, 7, "m", request=asked)
    writer = RESPONSES.stream_writer(context)
    call = ToolCall("a", "tool_search")
    frames = b"".join(
        writer.send(event)
        for event in (
            Start(),
            PartStart(0, call),
            PartDelta(0, '{"q"', "arguments"),
            PartDelta(0, ":1}", "arguments"),
            PartStop(0),
            *STOP,
        )
    )
    events = [json.loads(frame.split(b"data: ")[1]) for frame in frames.split(b"\n\n") if frame]
    (item,) = events[-1]["response"]["output"]
    assert (item["type"], item["call_id"], item["execution"]) == (
        "tool_search_call",
        "a",
        "client",
    )
    assert item["arguments"] == {"q": 1}
    assert [event.get("item") for event in events[2:4]] == [item, item]
