"""Laws of the chat dialect's answers: any cut, any bytes, and back again."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from dragoman.core.errors import UpstreamError
from dragoman.core.events import Failure
from dragoman.core.fold import check, fold
from dragoman.core.parts import (
    Citation,
    Inline,
    Media,
    Opaque,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    Url,
)
from dragoman.core.provider import Quirks
from dragoman.core.response import Choice, Finish, Response
from dragoman.core.usage import Usage, in_tier
from dragoman.dialects.base import Context, Target, Undo
from dragoman.dialects.chat import CHAT
from laws import pieces, read_whole, streamed
from recorded import exchanges
from sampling import examples

CONTEXT = Context(call_id="0192", created=1700000000, model="m", include_usage=True)

# --------------------------------------------------------------------------- streams to cut


def frame(*choices, **members):
    return (
        b"data: "
        + json.dumps({"id": "c1", "model": "m", "choices": list(choices), **members}).encode()
        + b"\n\n"
    )


def choice(delta, finish=None, index=0):
    return {"index": index, "delta": delta, "finish_reason": finish}


def tool(**members):
    return choice({"tool_calls": [members]})


HAND_WRITTEN = [
    frame(choice({"role": "assistant", "content": ""}))
    + ": ping ü\n\n".encode()
    + b'data: {"id":"c1","choices":[{"index":0,"delta":{"content":"gr\xc3\xbc\xc3\x9fe \xf0\x9f\x8c\x8d"}}]}\r\n\r\n'
    + frame(choice({"reasoning": "hm", "content": "x"}))
    + frame(tool(index=0, id="a", function={"name": "f", "arguments": '{"a"'}))
    + frame(tool(function={"arguments": ":1}"}))
    + frame(choice({}, "stop"))
    + frame(usage={"prompt_tokens": 1, "completion_tokens": 2})
    + b"data: [DONE]\n\n",
    (
        b'data:{"id":"c","choices":[{"index":0,"delta":{"content":"\\ud83c"}}]}\r\r'
        b'data:{"id":"c","choices":[{"index":0,"delta":{"content":"\\udf0d"},"finish_reason":"stop"}]}'
    ),
    b'\xef\xbb\xbf: x\ndata: {"error":{"message":"no","code":429}}\n\n',
    json.dumps({"id": "c", "choices": [choice(None)]}).encode(),
    b"<html>gone</html>",
]


def read_all(data, cuts=()):
    reader = CHAT.stream_reader(Target("p", "m"), Undo())
    return read_whole(reader, data, cuts)


def relay_all(data, cuts=(), flavour="plain", **more):
    relay = CHAT.relay(Target("p", "m", Quirks(flavour=flavour)), Context("0192", 1, "m", **more))
    sent = b"".join(relay.feed(piece) for piece in pieces(data, cuts)) + relay.close()
    return sent, relay.facts


def told(events):
    """Events as values that can be compared, errors by what they say."""
    shown = [event for event in events if not isinstance(event, Failure)]
    failures = [
        (e.error.kind, e.error.code, e.error.message) for e in events if isinstance(e, Failure)
    ]
    return shown, failures


def stated(facts):
    error = facts.error and (facts.error.kind, facts.error.code, facts.error.message)
    return (facts.content, facts.finished, facts.finish, facts.usage, facts.id, error)


@pytest.mark.pitfall(1, 2, 5)
@given(st.sampled_from(HAND_WRITTEN), st.lists(st.integers(0, 10_000), max_size=12))
def test_any_cut_gives_the_same_events_and_the_same_relayed_bytes(data, cuts):
    assert told(read_all(data, cuts)) == told(read_all(data))
    sent, facts = relay_all(data, cuts)
    whole, whole_facts = relay_all(data)
    assert sent == whole
    assert stated(facts) == stated(whole_facts)


@pytest.mark.parametrize("number", range(len(HAND_WRITTEN)))
def test_every_single_byte_may_come_alone(number):
    data = HAND_WRITTEN[number]
    cuts = range(len(data))
    assert told(read_all(data, cuts)) == told(read_all(data))
    assert relay_all(data, cuts)[0] == relay_all(data)[0]


# --------------------------------------------------------------------------- any bytes

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 500)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = [
    "id", "model", "created", "choices", "usage", "error", "x_groq", "service_tier", "index", "delta", "message",
    "finish_reason", "logprobs", "content", "reasoning", "reasoning_details", "tool_calls", "function",
    "function_call", "custom", "name", "arguments", "input", "annotations", "images", "audio", "type", "text",
    "thinking", "prompt_tokens", "prompt_tokens_details", "cost", "extra_content", "google", "url_citation", "data",
]  # fmt: skip
WORDS = st.sampled_from(
    [
        "",
        "stop",
        "error",
        "tool_calls",
        "url_citation",
        "thinking",
        "text",
        "reasoning.text",
        "reasoning.encrypted",
        "x",
        "{}",
    ]
)
ODD = st.recursive(
    JSON | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6)
    ),
    max_leaves=25,
)
"""JSON of a chunk's members in every wrong place."""


def odd_bytes(value):
    return json.dumps(value).encode()


@given(st.lists(ODD, max_size=4))
def test_chunks_of_any_form_give_events_or_a_failure(values):
    data = b"".join(b"data: " + odd_bytes(value) + b"\n\n" for value in values)
    for bytes_ in (data, data + b"data: [DONE]\n\n"):
        events = read_all(bytes_)
        check(events)
        sent, facts = relay_all(bytes_, include_usage=True)
        assert sent.endswith(b"data: [DONE]\n\n") != (facts.error is not None)
        assert isinstance(events[-1], Failure) == (facts.error is not None)


@given(st.dictionaries(st.sampled_from(NAMES), ODD, max_size=6))
def test_choices_of_any_form_are_read_written_and_read_again(delta):
    data = frame({"index": 0, "delta": delta, "finish_reason": "stop"}) + b"data: [DONE]\n\n"
    events = read_all(data)
    check(events)
    if not isinstance(events[-1], Failure):
        writer = CHAT.stream_writer(CONTEXT)
        again = read_all(b"".join(writer.send(event) for event in events))
        check(again)
        assert len(fold(again).choices) == len(fold(events).choices)


@given(st.dictionaries(st.sampled_from(NAMES), ODD, max_size=6) | ODD)
def test_whole_replies_of_any_form_give_a_response_or_an_error_of_the_provider(value):
    message = {"id": "c", "choices": [{"index": 0, "message": value, "finish_reason": "stop"}]}
    for body in (odd_bytes(value), odd_bytes(message)):
        response = outcome(lambda body=body: CHAT.read_response(body, Target("p", "m"), Undo()))
        tapped = outcome(lambda body=body: CHAT.tap_response(body, Target("p", "m"), CONTEXT))
        assert (response is None) == (tapped is None)
        outcome(lambda body=body: CHAT.response_frames(body))
        if response is not None:
            assert (
                json.loads(CHAT.write_response(response, CONTEXT).body)["object"]
                == "chat.completion"
            )
            assert tapped.usage == response.usage


def outcome(use):
    try:
        return use()
    except UpstreamError as error:
        assert error.status >= 400  # noqa: PT017  (either outcome is right)
        return None


@given(
    st.binary(max_size=80),
    st.sampled_from([b"", b"data: ", b"data: {", b'data: {"choices":', b"{", b"<"]),
)
def test_any_bytes_give_events_or_a_failure(noise, start):
    data = start + noise
    check(read_all(data))
    sent, facts = relay_all(data)
    assert b"[DONE]" in sent or facts.error is not None
    outcome(lambda: CHAT.read_response(data, Target("p", "m"), Undo()))
    outcome(lambda: CHAT.tap_response(data, Target("p", "m"), CONTEXT))


@given(
    st.integers(200, 599),
    st.binary(max_size=60) | ODD.map(odd_bytes),
    st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "date"]), st.text(max_size=12)
    ),
)
def test_any_error_body_gives_an_error_that_can_be_told(status, body, headers):
    error = CHAT.read_error(status, headers, body)
    assert 400 <= error.status < 600
    assert error.retry_after_s is None or error.retry_after_s >= 0
    for target in (error, UpstreamError("upstream", error.message)):
        writer = CHAT.stream_writer(CONTEXT)
        last = writer.send(Failure(target))
        assert last.endswith(b"data: [DONE]\n\n")
        assert json.loads(last.split(b"\n\n")[0][6:])["error"]["message"] == error.message


# --------------------------------------------------------------------------- there and back

WORD = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
IDENT = st.text("abcdefXYZ0123_-", min_size=1, max_size=12)
FORMS = st.sampled_from(
    [
        ("anthropic-claude-v1", "anthropic"),
        ("openai-responses-v1", "responses"),
        ("xai-responses-v1", "chat"),
        (None, "chat"),
    ]
)


@st.composite
def thinkings(draw):
    form, family = draw(FORMS)
    if form is None:
        return Thinking(draw(WORD), family=family)
    common = {"format": form, "family": family}
    kind = draw(st.sampled_from(["text", "signed", "silent", "redacted", "summary", "sealed"]))
    match kind:
        case "text":
            return Thinking(draw(WORD), **common)
        case "signed":
            return Thinking(draw(WORD), signature=draw(IDENT), **common)
        case "silent":
            return Thinking(signature=draw(IDENT), **common)
        case "redacted":
            return Thinking(
                encrypted=draw(IDENT), redacted=True, id=draw(st.none() | IDENT), **common
            )
        case "summary":
            return Thinking(draw(WORD), summary=True, **common)
        case _:
            return Thinking(
                draw(WORD), encrypted=draw(IDENT), summary=True, id=draw(IDENT), **common
            )


ARGUMENTS = st.dictionaries(WORD, st.integers() | WORD, min_size=1, max_size=3).map(json.dumps)
CALL = st.builds(ToolCall, IDENT, IDENT, ARGUMENTS, st.just("function"), st.none() | IDENT)
CUSTOM = st.builds(ToolCall, IDENT, IDENT, WORD, st.just("custom"))
CITED = WORD.map(
    lambda url: Citation(
        "url",
        url=url,
        title="t",
        start=0,
        end=1,
        raw=Raw(
            json.dumps(
                {
                    "type": "url_citation",
                    "url_citation": {"url": url, "title": "t", "start_index": 0, "end_index": 1},
                }
            ).encode()
        ),
        dialect="chat",
    )
)
TEXT = st.builds(Text, WORD, st.lists(CITED, max_size=2).map(tuple))
IMAGE = st.builds(
    Media,
    st.just("image"),
    st.builds(Url, IDENT) | st.builds(Inline, st.just("AAAA"), st.just("image/png")),
)
AUDIO = st.just(Opaque("chat", "audio", Raw(b'{"id":"a","transcript":"t"}')))
COUNT = st.none() | st.integers(0, 1000)


@st.composite
def choices(draw, index):
    """A choice in the order in which a chat message can say it."""
    thinking = draw(st.lists(thinkings(), max_size=2))
    if len(thinking) == 2 and (thinking[0].format is None or thinking[1].format is None):
        thinking = thinking[:1]  # blocks without a format have no borders on this wire
    calls = draw(st.lists(CALL | CUSTOM, max_size=2, unique_by=lambda call: call.id))
    parts = (
        *thinking,
        *draw(st.lists(TEXT, max_size=1)),
        *draw(st.lists(st.builds(Refusal, WORD), max_size=1)),
        *calls,
        *draw(st.lists(IMAGE, max_size=2)),
        *draw(st.lists(AUDIO, max_size=1)),
    )
    said = draw(st.sampled_from(["length", "content_filter"]))
    word = "tool_calls" if calls else said
    return Choice(
        parts,
        Finish(word, word),
        index,
        draw(st.none() | st.just(Raw(b'{"content":[{"token":"a"}]}'))),
    )


@st.composite
def responses(draw):
    several = draw(st.integers(1, 2))
    found = [draw(choices(index)) for index in range(several)]
    given_, output = draw(st.integers(0, 1000)), draw(st.integers(0, 1000))
    usage = Usage(
        input=given_,
        output=output,
        total=given_ + output,
        cache_read=draw(COUNT),
        cache_write=draw(COUNT),
        reasoning=draw(COUNT),
    )
    if usage.reasoning and usage.total == given_ + output + usage.reasoning:
        usage = replace(usage, reasoning=None)
    return Response(
        "c1", "m", tuple(found), usage, 5, draw(st.none() | IDENT), draw(st.none() | IDENT)
    )


@settings(max_examples=examples(150))
@given(responses())
def test_what_chat_can_say_is_read_as_it_was_written(response):
    body = CHAT.write_response(response, CONTEXT)
    assert body.losses == ()
    assert CHAT.read_response(body.body, Target("p", "m"), Undo()) == response


@settings(max_examples=examples(150))
@given(responses(), st.lists(st.integers(0, 5000), max_size=6))
def test_a_stream_of_what_chat_can_say_folds_to_the_same_answer(response, cuts):
    data = streamed(CHAT, response, CONTEXT)
    events = read_all(data, cuts)
    check(events)
    assert fold(events) == response
    sent, facts = relay_all(data, cuts, include_usage=True)
    assert sent == data
    assert facts.usage == in_tier(response.usage, response.service_tier)


@settings(max_examples=examples(100))
@given(responses())
def test_a_whole_reply_told_as_chunks_folds_to_the_same_answer(response):
    body = CHAT.write_response(response, CONTEXT).body
    assert fold(read_all(CHAT.response_frames(body))) == response


def test_citations_are_of_the_white_space_before_a_refusal():
    annotation = {"type": "url_citation", "url_citation": {"url": "https://a.example"}}
    message = {"content": " ", "refusal": "no", "annotations": [annotation]}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = json.dumps({"id": "c1", "model": "m", "created": 5, "choices": [choice]}).encode()
    whole = CHAT.read_response(body, Target("p", "m"), Undo())
    assert whole.choices[0].parts[0].citations
    assert fold(read_all(CHAT.response_frames(body))) == whole


# --------------------------------------------------------------------------- recordings


def recorded(streamed):
    name = "response_sse_text" if streamed else "response_json"
    return [
        record
        for record in exchanges("openai_chat")
        if record["status"] == 200 and record.get(name) is not None
    ]


BROKEN = (
    "test_groq/test_tool_use_failed_error_streaming.yaml#0",
    "test_groq/test_tool_use_failed_error_streaming_with_text.yaml#0",
    "test_openai/test_text_response.yaml#0",
)


def test_recorded_streams_give_the_same_events_however_they_are_cut():
    seen = 0
    for record in recorded(streamed=True):
        data = record["response_sse_text"].encode()
        events = read_all(data)
        check(events)
        assert told(read_all(data, range(0, len(data), 61))) == told(events), record["id"]
        failed = isinstance(events[-1], Failure)
        assert failed == any(name in record["id"] for name in BROKEN), record["id"]
        seen += not failed
    assert seen > 100


def test_recorded_streams_of_openai_pass_byte_by_byte():
    seen = 0
    for record in recorded(streamed=True):
        if record["provider"] not in ("openai", "azure") or any(
            name in record["id"] for name in BROKEN
        ):
            continue
        data = record["response_sse_text"].encode()
        sent, facts = relay_all(data, range(0, len(data), 97), "openai", include_usage=True)
        assert facts.finished, record["id"]
        assert sent.startswith(data.rstrip(b"\n")), record["id"]
        seen += 1
    assert seen > 100


def test_recorded_streams_written_anew_say_the_same():
    for record in recorded(streamed=True):
        events = read_all(record["response_sse_text"].encode())
        if isinstance(events[-1], Failure):
            continue
        writer = CHAT.stream_writer(CONTEXT)
        again = fold(read_all(b"".join(writer.send(event) for event in events)))
        assert meaning(again) == meaning(fold(events)), record["id"]


def test_recorded_replies_are_read_written_and_read_again():
    seen = 0
    for record in recorded(streamed=False):
        body = json.dumps(record["response_json"]).encode()
        response = outcome(lambda body=body: CHAT.read_response(body, Target("p", "m"), Undo()))
        if response is None:
            continue
        again = CHAT.read_response(
            CHAT.write_response(response, CONTEXT).body, Target("p", "m"), Undo()
        )
        assert meaning(again) == meaning(response), record["id"]
        frames = CHAT.response_frames(body)
        assert meaning(fold(read_all(frames))) == meaning(response), record["id"]
        openai = Target("p", "m", Quirks(flavour="openai"))
        if record["provider"] in ("openai", "azure"):
            assert CHAT.tap_response(body, openai, CONTEXT).body == body, record["id"]
        seen += 1
    assert seen > 100


def meaning(response):
    """What an answer says, apart from what a writer has to make up where nothing was said."""
    found = []
    for one in response.choices:
        parts = [
            replace(part, arguments=part.arguments.strip() or "{}")
            if isinstance(part, ToolCall)
            and part.kind == "function"
            and one.finish.reason != "length"
            else part
            for part in one.parts
        ]
        reason = "stop" if one.finish.reason == "unknown" else one.finish.reason
        found.append((one.index, parts, reason))
    usage = response.usage and (
        response.usage.input or 0,
        response.usage.output or 0,
        response.usage.reasoning,
    )
    return found, usage
