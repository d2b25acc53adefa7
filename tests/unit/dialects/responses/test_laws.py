"""Laws of the dialect, on whatever hypothesis thinks of."""

from __future__ import annotations

import json
from contextlib import suppress

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

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
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
)
from dragoman.core.request import (
    CustomTool,
    FunctionTool,
    Output,
    Reasoning,
    Request,
    Sampling,
    ToolChoice,
)
from dragoman.core.response import Choice, Finish, Response
from dragoman.core.usage import Usage
from dragoman.dialects.base import Context, Target, Undo
from dragoman.dialects.responses import RESPONSES
from laws import holds_however_cut, streamed, tells_the_cut

TARGET = Target("openai", "m")
ENVELOPE = Envelope({1: b"k" * 32})
CONTEXT = Context("c" * 32, 1, "m", envelope=ENVELOPE)
NATIVE = {"family": "responses", "format": "openai-responses-v1"}

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
ids = st.text("abcXYZ019_-", min_size=1, max_size=12)
objects = st.dictionaries(words, st.none() | st.integers(-(2**70), 2**70) | words, max_size=3).map(
    lambda value: json.dumps(value, ensure_ascii=False)
)


def encoded(value) -> Raw:
    return Raw(msgspec.json.encode(value))


# --------------------------------------------------------------------------- replies

citations = st.builds(
    lambda url, title, start: Citation(
        "url",
        url=url,
        title=title,
        start=start,
        end=start + 1,
        raw=encoded(
            {
                "type": "url_citation",
                "url": url,
                "title": title,
                "start_index": start,
                "end_index": start + 1,
            }
        ),
        dialect="responses",
    ),
    words,
    words,
    st.integers(0, 99),
)
summaries = st.builds(
    lambda text, state, own: Thinking(
        text, encrypted=state, redacted=not text, id=own, summary=True, **NATIVE
    ),
    st.just("") | words,
    words,
    ids,
)
raw_thoughts = st.builds(
    lambda text, state, own: Thinking(text, encrypted=state, id=own, **NATIVE),
    words,
    st.none() | words,
    ids,
)
foreign = st.builds(Thinking, words, st.none() | words, st.none() | words, family=st.just("chat"))
opaques = st.builds(
    lambda own, query: Opaque(
        "responses",
        "web_search_call",
        encoded({"type": "web_search_call", "id": own, "action": {"query": query}}),
    ),
    ids,
    words,
)
calls = st.builds(
    lambda call, name, arguments, item: ToolCall(call, name, arguments, item_id=item),
    ids,
    ids,
    objects,
    ids,
)
customs = st.builds(
    lambda call, name, text, item: ToolCall(call, name, text, kind="custom", item_id=item),
    ids,
    ids,
    words,
    ids,
)
replied = st.one_of(
    st.builds(Text, words, st.lists(citations, max_size=2).map(tuple)),
    st.builds(Refusal, words),
    summaries,
    raw_thoughts,
    calls,
    customs,
    opaques,
)
usages = st.builds(
    lambda plain, read, write, made, thought: Usage(
        input=plain + read + write,
        cache_read=read,
        cache_write=write,
        output=made + thought,
        reasoning=thought,
        total=plain + read + write + made + thought,
    ),
    st.integers(0, 999),
    st.integers(0, 999),
    st.integers(0, 999),
    st.integers(0, 999),
    st.integers(0, 999),
)


def _response(parts: list, usage: Usage) -> Response:
    called = any(isinstance(part, ToolCall) for part in parts)
    finish = Finish("tool_calls" if called else "stop", raw="completed")
    searched = sum(isinstance(part, Opaque) for part in parts)
    if searched:
        usage = msgspec.structs.replace(usage, web_searches=searched)
    return Response(
        "resp_1", "gpt", (Choice(tuple(parts), finish),), usage, created=7, service_tier="default"
    )


responses = st.builds(_response, st.lists(replied, min_size=1, max_size=5), usages)


@given(responses)
def test_what_is_written_whole_reads_the_same(response):
    body = RESPONSES.write_response(response, CONTEXT).body
    assert RESPONSES.read_response(body, TARGET, Undo()) == response
    tapped = RESPONSES.tap_response(body, TARGET, CONTEXT)
    assert tapped.body is body
    assert (tapped.usage, tapped.id) == (response.usage, "resp_1")
    assert tapped.finish == response.choices[0].finish


def _read(data: bytes) -> Response:
    reader = RESPONSES.stream_reader(TARGET, Undo())
    events = reader.feed(data) + reader.close()
    check(events)
    return fold(events)


@given(responses)
def test_what_is_written_as_a_stream_folds_to_the_same(response):
    assert _read(streamed(RESPONSES, response, CONTEXT)) == response


@given(responses)
def test_a_stream_ends_with_what_the_whole_reply_says(response):
    last = streamed(RESPONSES, response, CONTEXT).split(b"\n\n")[-2].partition(b"data: ")[2]
    told = json.loads(last)["response"]
    assert told == json.loads(RESPONSES.write_response(response, CONTEXT).body)


@given(responses)
def test_a_whole_reply_told_as_a_stream_folds_to_the_same(response):
    body = RESPONSES.write_response(response, CONTEXT).body
    assert _read(RESPONSES.response_frames(body)) == response


@given(responses, st.lists(st.integers(0, 20_000), max_size=8))
def test_however_the_bytes_are_cut_the_events_and_the_relayed_bytes_are_the_same(response, cuts):
    data = streamed(RESPONSES, response, CONTEXT)
    facts = holds_however_cut(RESPONSES, data, cuts, TARGET, CONTEXT)
    assert facts.usage == response.usage
    assert facts.finish == response.choices[0].finish


@given(responses, st.integers(0, 20_000))
def test_a_cut_anywhere_before_the_end_is_told_and_only_whole_frames_pass(response, cut):
    data = streamed(RESPONSES, response, CONTEXT)
    last = data.rindex(b"event: response.completed")
    kept = data[: cut % last]
    tells_the_cut(RESPONSES, data, kept, TARGET, CONTEXT)


@given(st.lists(foreign, min_size=1, max_size=3), st.booleans())
def test_foreign_thoughts_come_back_to_whom_they_belong(parts, in_pieces):
    response = _response([*parts, Text("So.")], Usage(1, output=1))
    if in_pieces:
        last = streamed(RESPONSES, response, CONTEXT).split(b"\n\n")[-2].partition(b"data: ")[2]
        items = json.loads(last)["response"]["output"]
    else:
        items = json.loads(RESPONSES.write_response(response, CONTEXT).body)["output"]
    replay = {"model": "m", "input": items}
    request = RESPONSES.read_request(json.dumps(replay).encode())
    opened, losses = open_thoughts(request, ENVELOPE)
    assert losses == ()
    found = [part for m in opened.messages for part in m.parts if isinstance(part, Thinking)]
    for one, two in zip(parts, found, strict=True):
        assert (one.text, one.signature, one.encrypted) == (two.text, two.signature, two.encrypted)
        assert two.family == "chat"


# --------------------------------------------------------------------------- requests

texts = st.builds(Text, words, cache=st.none() | st.just(CacheMark("30m")))
pictures = st.builds(
    Media,
    st.just("image"),
    st.just(Inline("iVBORw0KGgo=", "image/png"))
    | st.builds(Url, st.just("https://example.com/i"))
    | st.builds(FileRef, ids, st.just("responses")),
    detail=st.sampled_from(["auto", "low", "high"]),
)
papers = st.builds(
    Media,
    st.just("document"),
    st.just(Inline("JVBERi0xLjQ=", "application/pdf")),
    filename=words,
)
user = st.builds(
    Message,
    st.just("user"),
    st.lists(texts | pictures | papers, min_size=1, max_size=3).map(tuple),
)
mid_system = st.builds(
    Message,
    st.just("system"),
    st.tuples(st.builds(Text, words)),
    role_name=st.sampled_from(["developer", "system"]),
)


@st.composite
def exchanges(draw) -> list[Message]:
    """A turn of the assistant's, its calls, and their results."""
    number = draw(st.integers(0, 2))
    thought = draw(st.none() | st.builds(_native, st.just("") | words, words))
    made = [
        ToolCall(f"call_{draw(ids)}_{n}", draw(ids), draw(objects), draw(st.just("function")))
        for n in range(number)
    ]
    said = draw(st.lists(st.builds(Text, words) | st.builds(Refusal, words), max_size=2))
    parts = [*([thought] if thought else []), *said, *made]
    if not said and not made:
        parts = [Text("Hm.")]
    results = tuple(
        ToolResult(call.id, tuple(draw(st.lists(texts | pictures, max_size=2))), name=call.name)
        for call in made
    )
    answered = [Message("user", results)] if results else []
    return [Message("assistant", tuple(parts)), *answered]


def _native(text: str, state: str) -> Thinking:
    return Thinking(text, encrypted=state, redacted=not text, summary=True, **NATIVE)


@st.composite
def conversations(draw) -> tuple[Message, ...]:
    turns: list[Message] = [draw(user)]
    for _ in range(draw(st.integers(0, 2))):
        turns += draw(exchanges())
        turns.append(draw(user | mid_system))
    return tuple(turns)


function_tools = st.builds(
    FunctionTool,
    ids,
    st.none() | words,
    st.just(Raw(b'{"type":"object","properties":{}}')),
    st.booleans(),
)
custom_tools = st.builds(
    CustomTool,
    ids.map(lambda name: f"c{name}"),
    st.none() | words,
    st.none()
    | st.just(Raw(b'{"type":"grammar","grammar":{"syntax":"lark","definition":"start: A"}}')),
)
tools = st.lists(function_tools | custom_tools, max_size=3, unique_by=lambda tool: tool.name)
outputs = st.one_of(
    st.builds(Output, verbosity=st.none() | st.just("low")),
    st.builds(
        Output,
        st.just("json_schema"),
        st.just(Raw(b'{"type":"object"}')),
        words,
        st.none() | words,
        st.none() | st.booleans(),
    ),
)


def _request(messages, system, offered, choice, parallel, output, effort, limit, knob) -> Request:
    return Request(
        model="m",
        messages=messages,
        system=system,
        tools=tuple(offered),
        tool_choice=choice if offered else None,
        parallel_tools=parallel if offered else None,
        sampling=Sampling(temperature=knob, top_p=knob),
        output=output,
        reasoning=Reasoning(effort=effort, visibility="summary" if effort else None),
        max_tokens=limit,
        metadata={"a": "b"} if knob else None,
        end_user="u" if knob else None,
        include_usage=True,
    )


requests = st.builds(
    _request,
    conversations(),
    st.just(()) | st.tuples(st.builds(Text, words)),
    tools,
    st.none() | st.sampled_from([ToolChoice("auto"), ToolChoice("none"), ToolChoice("required")]),
    st.none() | st.booleans(),
    outputs,
    st.none() | st.sampled_from(["low", "high"]),
    st.none() | st.integers(16, 999),
    st.none() | st.floats(0, 1),
)


@given(requests)
def test_what_is_written_as_a_request_reads_the_same_and_is_written_the_same_again(request):
    sent = RESPONSES.write_request(request, TARGET)
    assert sent.losses == ()
    assert RESPONSES.read_request(sent.body) == request
    assert RESPONSES.write_request(request, TARGET) == sent


# --------------------------------------------------------------------------- whatever comes


@given(st.binary(max_size=80))
def test_any_bytes_into_any_reader_give_events_or_an_error_of_ours(data):
    for junk in (data, b"data: " + data + b"\n\n", b"event: response.completed\ndata: " + data):
        reader = RESPONSES.stream_reader(TARGET, Undo())
        check(reader.feed(junk) + reader.close())
        relay = RESPONSES.relay(TARGET, CONTEXT)
        relay.feed(junk)
        relay.close()
        assert relay.facts.error is not None
        with suppress(CallerError):
            RESPONSES.read_request(junk)
        with suppress(UpstreamError):
            RESPONSES.read_response(junk, TARGET, Undo())
        with suppress(UpstreamError):
            RESPONSES.tap_response(junk, TARGET, CONTEXT)
        with suppress(UpstreamError):
            RESPONSES.response_frames(junk)
        assert isinstance(RESPONSES.read_error(500, {}, junk), UpstreamError)


kinds = st.sampled_from(
    [
        "response.created",
        "response.output_item.added",
        "response.output_item.done",
        "response.content_part.added",
        "response.content_part.done",
        "response.output_text.delta",
        "response.output_text.done",
        "response.output_text.annotation.added",
        "response.refusal.delta",
        "response.reasoning_summary_text.delta",
        "response.reasoning_text.delta",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.custom_tool_call_input.delta",
        "response.completed",
        "response.failed",
        "error",
    ]
)
items = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(
            ["message", "reasoning", "function_call", "custom_tool_call", "x"]
        ),
        "id": words | st.none(),
        "content": st.none()
        | st.lists(st.fixed_dictionaries({"type": words, "text": words}), max_size=2),
        "name": words | st.none() | st.integers(),
        "arguments": words | st.none() | st.dictionaries(words, words),
        "encrypted_content": words | st.none(),
    },
)
events = st.fixed_dictionaries(
    {"type": kinds},
    optional={
        "output_index": st.integers(0, 2) | st.none(),
        "content_index": st.integers(0, 2),
        "summary_index": st.integers(0, 2),
        "delta": words,
        "text": words | st.none(),
        "arguments": words,
        "annotation": st.dictionaries(words, words) | words,
        "part": st.fixed_dictionaries({"type": words}, optional={"text": words}) | words,
        "item": items | words,
        "response": st.fixed_dictionaries(
            {}, optional={"id": words, "status": words, "output": st.lists(items, max_size=2)}
        ),
    },
)


@given(st.lists(events, max_size=6))
def test_any_order_of_events_gives_a_stream_that_holds_to_its_invariants(told):
    data = b"".join(b"data: " + msgspec.json.encode(event) + b"\n\n" for event in told)
    reader = RESPONSES.stream_reader(TARGET, Undo())
    found = reader.feed(data) + reader.close()
    check(found)
    writer = RESPONSES.stream_writer(CONTEXT)
    for event in found:
        writer.send(event)


@given(responses, st.lists(words, min_size=1, max_size=3).map(tuple))
def test_a_stream_is_cut_at_a_stop_sequence_where_the_whole_answer_is(response, stops):
    body = RESPONSES.write_response(response, CONTEXT).body
    undo = Undo(stop=stops)
    reader = RESPONSES.stream_reader(TARGET, undo)
    data = RESPONSES.response_frames(body)
    events = [e for n in range(0, len(data), 50) for e in reader.feed(data[n : n + 50])]
    events += reader.close()
    check(events)
    told = fold(events)
    whole = RESPONSES.read_response(body, TARGET, undo)
    assert [_bare(part) for part in told.choices[0].parts] == [
        _bare(part) for part in whole.choices[0].parts
    ]
    assert told.choices[0].finish == whole.choices[0].finish
    assert told.usage == response.usage


def _bare(part):
    """Citations of a text that is cut stand behind its words."""
    return msgspec.structs.replace(part, citations=()) if isinstance(part, Text) else part
