"""Laws of the dialect, on whatever hypothesis thinks of."""

from __future__ import annotations

import json

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from dragoman.core.capability import Capability
from dragoman.core.envelope import Envelope, open_thoughts
from dragoman.core.errors import CallerError, UpstreamError
from dragoman.core.fold import check, fold
from dragoman.core.parts import (
    CacheMark,
    Citation,
    FileRef,
    Inline,
    Media,
    Message,
    Opaque,
    SearchResult,
    Text,
    TextDoc,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
)
from dragoman.core.request import (
    FunctionTool,
    Output,
    Reasoning,
    Request,
    Sampling,
    ToolChoice,
)
from dragoman.core.response import Choice, Finish, Response
from dragoman.core.usage import Usage
from dragoman.dialects.anthropic import ANTHROPIC, read_count, read_count_request
from dragoman.dialects.anthropic.wire import compact
from dragoman.dialects.base import Context, Target, Undo
from laws import holds_however_cut, pieces, streamed, tells_the_cut
from sampling import examples

CAPABLE = Capability(thinking="both", mid_system=True)
TARGET = Target("anthropic", "m", capability=CAPABLE)
ENVELOPE = Envelope({1: b"k" * 32})
CONTEXT = Context("c" * 32, 1, "m", envelope=ENVELOPE)
NATIVE = {"family": "anthropic", "format": "anthropic-claude-v1"}

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
said = words.filter(lambda text: text.strip())
ids = st.text("abcXYZ019_-", min_size=1, max_size=12)
names = ids
scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | words
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3)
)
objects = st.dictionaries(words, json_values, max_size=3).map(
    lambda value: compact(json.dumps(value, ensure_ascii=False).encode())
)
marks = st.none() | st.sampled_from([CacheMark(), CacheMark("5m")])

# --------------------------------------------------------------------------- replies

citations = st.builds(
    lambda text, start: Citation(
        "char",
        cited_text=text,
        start=start,
        raw=Raw(
            msgspec.json.encode(
                {"type": "char_location", "cited_text": text, "start_char_index": start}
            )
        ),
        dialect="anthropic",
    ),
    words,
    st.integers(0, 99),
)
thoughts = st.builds(
    lambda text, sign: Thinking(text, signature=sign, **NATIVE), st.just("") | words, words
)
redacted = st.builds(lambda data: Thinking(redacted=True, encrypted=data, **NATIVE), words)
foreign = st.builds(Thinking, words, st.none() | words, st.none() | words, family=st.just("chat"))
opaques = st.builds(
    lambda value: Opaque(
        "anthropic",
        "web_search_tool_result",
        Raw(b'{"type":"web_search_tool_result","content":%s}' % value.encode()),
    ),
    objects,
)
replied = st.one_of(
    st.builds(Text, words, st.lists(citations, max_size=2).map(tuple)),
    thoughts,
    redacted,
    st.builds(ToolCall, ids, names, objects),
    opaques,
)
usages = st.builds(
    lambda plain, read, write, output: Usage(
        input=plain + (read or 0) + (write or 0), cache_read=read, cache_write=write, output=output
    ),
    st.integers(0, 999),
    st.none() | st.integers(0, 999),
    st.none() | st.integers(0, 999),
    st.integers(0, 999),
)


def _response(parts: list, usage: Usage) -> Response:
    calls = any(isinstance(part, ToolCall) for part in parts)
    finish = Finish("tool_calls", raw="tool_use") if calls else Finish("stop", raw="end_turn")
    return Response("msg_1", "claude", (Choice(tuple(parts), finish),), usage)


responses = st.builds(_response, st.lists(replied, min_size=1, max_size=5), usages)


@given(responses)
def test_what_is_written_whole_reads_the_same(response):
    body = ANTHROPIC.write_response(response, CONTEXT).body
    assert ANTHROPIC.read_response(body, TARGET, Undo()) == response
    assert ANTHROPIC.tap_response(body, TARGET, CONTEXT).usage == response.usage


@given(responses)
def test_what_is_written_as_a_stream_folds_to_the_same(response):
    reader = ANTHROPIC.stream_reader(TARGET, Undo())
    events = reader.feed(streamed(ANTHROPIC, response, CONTEXT)) + reader.close()
    check(events)
    assert fold(events) == response


@given(responses)
def test_a_whole_reply_told_as_a_stream_folds_to_the_same(response):
    body = ANTHROPIC.write_response(response, CONTEXT).body
    reader = ANTHROPIC.stream_reader(TARGET, Undo())
    assert fold(reader.feed(ANTHROPIC.response_frames(body)) + reader.close()) == response


@given(responses, st.lists(st.integers(0, 10_000), max_size=8))
def test_however_the_bytes_are_cut_the_events_and_the_relayed_bytes_are_the_same(response, cuts):
    data = streamed(ANTHROPIC, response, CONTEXT)
    facts = holds_however_cut(ANTHROPIC, data, cuts, TARGET, CONTEXT)
    assert facts.usage == response.usage


@given(responses, st.integers(0, 10_000))
def test_a_cut_anywhere_before_the_end_is_told_and_only_whole_frames_pass(response, cut):
    data = streamed(ANTHROPIC, response, CONTEXT)
    kept = data[: cut % (len(data) - len(b'data: {"type":"message_stop"}\n\n'))]
    tells_the_cut(ANTHROPIC, data, kept, TARGET, CONTEXT)


@given(st.lists(foreign, min_size=1, max_size=3))
def test_foreign_thoughts_come_back_to_whom_they_belong(parts):
    body = ANTHROPIC.write_response(_response(parts, Usage(1, output=1)), CONTEXT).body
    blocks = json.loads(body)["content"]
    replay = {
        "model": "m",
        "max_tokens": 1,
        "messages": [{"role": "assistant", "content": blocks}],
    }
    request = ANTHROPIC.read_request(json.dumps(replay).encode())
    found = open_thoughts(request, ENVELOPE)[0].messages[0].parts
    for one, two in zip(parts, found, strict=True):
        assert (one.text, one.signature, one.encrypted) == (two.text, two.signature, two.encrypted)


# --------------------------------------------------------------------------- requests

media = st.one_of(
    st.builds(Media, st.just("image"), st.just(Inline("iVBORw0KGgo=", "image/png")), cache=marks),
    st.builds(
        Media, st.just("image"), st.builds(Url, words.map(lambda path: f"https://x/{path}"))
    ),
    st.builds(Media, st.just("document"), st.builds(FileRef, ids, st.just("anthropic"))),
    st.builds(
        Media,
        st.just("document"),
        st.builds(TextDoc, words),
        title=st.none() | words,
        context=st.none() | words,
        citations_enabled=st.none() | st.booleans(),
    ),
)
texts = st.builds(Text, said, cache=marks)
asked = st.lists(
    texts | media | st.builds(SearchResult, words, words, st.lists(texts, max_size=2).map(tuple)),
    min_size=1,
    max_size=3,
)


@st.composite
def conversations(draw):
    """Turns that alternate, every call answered in the next one."""
    messages = [Message("user", tuple(draw(asked)))]
    for turn in range(draw(st.integers(0, 2))):
        parts = draw(st.lists(thoughts | redacted | texts | opaques, max_size=2))
        calls = [
            ToolCall(f"t{turn}_{number}", draw(names), draw(objects), cache=draw(marks))
            for number in range(draw(st.integers(0, 2)))
        ]
        if not (parts or calls):
            parts = [draw(texts)]
        messages.append(Message("assistant", (*parts, *calls)))
        results = [
            ToolResult(
                call.id,
                tuple(draw(st.lists(texts | media, max_size=2))),
                is_error=draw(st.booleans()),
                cache=draw(marks),
            )
            for call in calls
        ]
        messages.append(Message("user", (*results, *draw(asked))))
    return tuple(messages)


schemas = st.just(Raw(b'{"type":"object","properties":{"a":{"type":"string"}}}'))
tools = st.lists(
    st.builds(
        FunctionTool,
        names,
        st.none() | words,
        schemas,
        st.none() | st.just(value=True),
        marks,
    ).map(lambda tool: msgspec.structs.replace(tool, schema=_closed(strict=tool.strict))),
    unique_by=lambda tool: tool.name,
    min_size=1,
    max_size=3,
)


def _closed(*, strict: bool | None) -> Raw:
    rest = b',"additionalProperties":false' if strict else b""
    return Raw(b'{"type":"object","properties":{"a":{"type":"string"}}%s}' % rest)


@st.composite
def requests(draw):
    """Requests that Anthropic can say without any loss."""
    offered = tuple(draw(tools))
    choice = draw(
        st.sampled_from(
            [None, ToolChoice("auto"), ToolChoice("none"), ToolChoice("named", (offered[0].name,))]
        )
    )
    thinks = draw(
        st.sampled_from(
            [
                Reasoning(),
                Reasoning("disabled"),
                Reasoning("adaptive", effort="high", visibility="hidden"),
            ]
        )
    )
    calm = thinks.mode != "adaptive"
    return Request(
        "m",
        draw(conversations()),
        stream=draw(st.booleans()),
        system=tuple(draw(st.lists(texts, max_size=2))),
        tools=offered,
        tool_choice=choice,
        sampling=Sampling(
            temperature=draw(st.none() | st.floats(0, 1)) if calm else None,
            top_k=draw(st.none() | st.integers(1, 99)) if calm else None,
            stop=tuple(draw(st.lists(said, max_size=2))),
        ),
        output=draw(
            st.sampled_from(
                [
                    Output(),
                    Output(
                        "json_schema",
                        Raw(b'{"type":"object","properties":{},"additionalProperties":false}'),
                    ),
                ]
            )
        ),
        reasoning=thinks,
        max_tokens=draw(st.integers(0, 9999)),
        service_tier=draw(st.sampled_from([None, "auto", "default"])),
        end_user=draw(st.none() | words),
        include_usage=True,
        ext=draw(st.sampled_from([None, {"anthropic": {"container": Raw(b'"c"')}}])),
    )


def _marked(node: object) -> int:
    if isinstance(node, dict):
        return ("cache_control" in node) + sum(_marked(item) for item in node.values())
    return sum(_marked(item) for item in node) if isinstance(node, list) else 0


@settings(max_examples=examples(60))
@given(requests())
def test_what_anthropic_can_say_is_written_and_read_unchanged(request):
    written = ANTHROPIC.write_request(request, TARGET)
    losses = {loss.reason for loss in written.losses}
    assert losses <= {"at_most_four"}
    assert _marked(json.loads(written.body)) <= 4
    if not losses:
        assert ANTHROPIC.read_request(written.body) == request


# --------------------------------------------------------------------------- any bytes

TOKENS = [
    b"event: ",
    b"data: ",
    b"\n\n",
    b"\r\n",
    b":",
    b'{"type":',
    b'"message_start","message":{"id":"a"}}',
    b'"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
    b'"content_block_start","index":1,"content_block":{"type":"tool_use","name":"f"}}',
    b'"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\\ud83d"}}',
    b'"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{"}}',
    b'"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"x"}}',
    b'"content_block_stop","index":0}',
    b'"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":-1}}',
    b'"message_stop"}',
    b'"error","error":{"type":"api_error","message":"x"}}',
    b'"ping"}',
    b"[DONE]",
    b"\xff",
    b"NaN",
]
frames = st.lists(st.sampled_from(TOKENS[6:]), max_size=8).map(
    lambda bodies: b"".join(b'data: {"type":' + body + b"\n\n" for body in bodies)
)
bytes_of_any_kind = (
    st.binary(max_size=60) | frames | st.lists(st.sampled_from(TOKENS)).map(b"".join)
)


@settings(max_examples=examples(150))
@given(bytes_of_any_kind, st.lists(st.integers(0, 500), max_size=3))
def test_any_bytes_give_events_or_one_failure(data, cuts):
    reader = ANTHROPIC.stream_reader(TARGET, Undo({}, "f", frozenset({"f"})))
    writer = ANTHROPIC.stream_writer(CONTEXT)
    events = [event for piece in pieces(data, cuts) for event in reader.feed(piece)]
    events += reader.close()
    check(events)
    assert b"".join(writer.send(event) for event in events).endswith(b"\n\n")


@settings(max_examples=examples(200))
@given(bytes_of_any_kind, st.lists(st.integers(0, 500), max_size=3))
def test_any_bytes_pass_a_relay_as_frames_or_as_one_error(data, cuts):
    relay = ANTHROPIC.relay(TARGET, CONTEXT)
    for piece in pieces(data, cuts):
        relay.feed(piece)
    relay.close()
    assert relay.facts.finished or isinstance(relay.facts.error, UpstreamError)


MEMBERS = (
    "model",
    "max_tokens",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "metadata",
    "stop_sequences",
    "content",
    "usage",
    "stop_details",
    "error",
    "type",
)

bodies = st.binary(max_size=60) | st.builds(
    lambda value: json.dumps(value).encode(),
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(MEMBERS, json_values)
        | {
            "messages": json_values
            | st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": json_values}))
        },
    ),
)


def _raised(attempt) -> Exception | None:
    """What an attempt raises that it may raise; anything else fails the test."""
    try:
        attempt()
    except (CallerError, UpstreamError) as error:
        return error
    return None


@settings(max_examples=examples(150))
@given(bodies)
def test_any_body_is_a_request_or_the_callers_error(body):
    for read in (ANTHROPIC.read_request, read_count_request):
        error = _raised(lambda read=read: ANTHROPIC.write_request(read(body), TARGET))
        assert error is None or (isinstance(error, CallerError) and 400 <= error.status < 500)


@settings(max_examples=examples(150))
@given(bodies, st.integers(100, 599))
def test_any_body_is_a_reply_or_the_providers_error(body, status):
    assert isinstance(ANTHROPIC.read_error(status, {}, body), UpstreamError)
    for read in (
        lambda: ANTHROPIC.read_response(body, TARGET, Undo()),
        lambda: ANTHROPIC.tap_response(body, TARGET, CONTEXT),
        lambda: ANTHROPIC.response_frames(body),
        lambda: read_count(body),
    ):
        error = _raised(read)
        assert error is None or (isinstance(error, UpstreamError) and error.status >= 400)
