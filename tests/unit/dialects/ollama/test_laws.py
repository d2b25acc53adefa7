"""Laws of both of Ollama's dialects, on whatever hypothesis thinks of."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from dragoman.core.errors import CallerError, UpstreamError
from dragoman.core.fold import check, fold
from dragoman.core.parts import Inline, Media, Message, Text, Thinking, ToolCall, ToolResult
from dragoman.core.request import FunctionTool, Output, Reasoning, Request, Sampling
from dragoman.core.response import Choice, Finish, Response
from dragoman.core.usage import Usage
from dragoman.dialects.base import Context, Target, Undo
from dragoman.dialects.ollama import GENERATE, OLLAMA
from dragoman.dialects.ollama.embeddings import EMBEDDER
from dragoman.dialects.ollama.wire import compact
from laws import holds_however_cut, pieces, streamed, tells_the_cut
from sampling import examples

TARGET = Target("ollama", "m")
CONTEXT = Context("c" * 32, 1, "m")
PNG = "iVBORw0KGgo="

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
names = st.text("abcXYZ019_-", min_size=1, max_size=12)
scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | words
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3)
)
objects = st.dictionaries(words, json_values, max_size=3).map(
    lambda value: compact(json.dumps(value, ensure_ascii=False).encode()).decode()
)
counts = st.none() | st.integers(0, 999)

# --------------------------------------------------------------------------- replies


def _response(thinking, text, calls, usage, created) -> Response:
    parts = [Thinking(thinking, family="ollama")] if thinking else []
    parts += [Text(text)] if text else []
    finish = Finish("tool_calls" if calls else "stop", raw="stop")
    choice = Choice((*parts, *calls), finish)
    return Response("", "llama3", (choice,), usage, created)


usages = st.builds(lambda one, two: Usage(input=one, output=two), counts, counts)
calls = st.lists(st.builds(ToolCall, names, names, objects), max_size=3)
created = st.integers(0, 2**32)
said = st.just("") | words
chat_replies = st.builds(_response, said, said, calls, usages, created)
generate_replies = st.builds(_response, said, said, st.just([]), usages, created)
replies = st.tuples(st.just(OLLAMA), chat_replies) | st.tuples(st.just(GENERATE), generate_replies)


@given(replies)
def test_what_is_written_whole_reads_the_same(pair):
    dialect, response = pair
    body = dialect.write_response(response, CONTEXT).body
    assert dialect.read_response(body, TARGET, Undo()) == response
    assert dialect.tap_response(body, TARGET, CONTEXT).usage == response.usage
    assert dialect.tap_response(body, TARGET, CONTEXT).body == body


@given(replies)
def test_what_is_written_as_a_stream_folds_to_the_same(pair):
    dialect, response = pair
    reader = dialect.stream_reader(TARGET, Undo())
    events = reader.feed(streamed(dialect, response, CONTEXT)) + reader.close()
    check(events)
    assert fold(events) == response


@given(replies)
def test_a_whole_reply_is_a_stream_of_one_line(pair):
    dialect, response = pair
    body = dialect.write_response(response, CONTEXT).body
    reader = dialect.stream_reader(TARGET, Undo())
    assert fold(reader.feed(dialect.response_frames(body)) + reader.close()) == response


@pytest.mark.pitfall(1)
@pytest.mark.pitfall(5)
@given(replies, st.lists(st.integers(0, 10_000), max_size=8))
def test_however_the_bytes_are_cut_the_events_and_the_relayed_bytes_are_the_same(pair, cuts):
    dialect, response = pair
    data = streamed(dialect, response, CONTEXT)
    facts = holds_however_cut(dialect, data, cuts, TARGET, CONTEXT)
    assert facts.usage == response.usage
    assert facts.finished


@pytest.mark.pitfall(14)
@given(replies, st.integers(0, 10_000))
def test_a_cut_anywhere_before_the_end_is_told_and_only_whole_lines_pass(pair, cut):
    dialect, response = pair
    data = streamed(dialect, response, CONTEXT)
    kept = data[: cut % (len(data) - 1)]  # without its line end the last line is whole still
    passed = tells_the_cut(dialect, data, kept, TARGET, CONTEXT)
    assert data.startswith(passed)
    assert passed == b"" or passed.endswith(b"\n")


# --------------------------------------------------------------------------- requests

images = st.just(Media("image", Inline(PNG, "image/png")))
user_said = st.one_of(
    st.builds(lambda text: (Text(text),), words),
    st.builds(lambda text, image: (Text(text), image), words, images),
    st.builds(lambda image: (image,), images),
)


def _turn(text, parts, made) -> list[Message]:
    """A question, an answer with calls, and the results of these in their order."""
    turns = [Message("user", parts)]
    turns.append(Message("assistant", (Text(text), *(call for call, _ in made))))
    if made:
        results = (ToolResult(call.id, (Text(out),), name=call.name) for call, out in made)
        turns.append(Message("user", tuple(results)))
    return turns


made_calls = st.lists(
    st.tuples(st.builds(ToolCall, names, names, objects), words),
    max_size=3,
    unique_by=lambda pair: pair[0].id,
)
turns = st.lists(st.builds(_turn, words, user_said, made_calls), min_size=1, max_size=2).map(
    lambda several: tuple(message for turn in several for message in turn)
)
schemas = st.none() | st.just(Raw(b'{"type":"object","properties":{}}'))
tools = st.lists(
    st.builds(FunctionTool, names, st.none() | words, st.just(Raw(b'{"type":"object"}'))),
    max_size=2,
    unique_by=lambda tool: tool.name,
).map(tuple)
samplings = st.builds(
    Sampling,
    temperature=st.none() | st.floats(0, 2),
    top_k=st.none() | st.integers(0, 99),
    min_p=st.none() | st.floats(0, 1),
    seed=st.none() | st.integers(0, 2**31),
    repetition_penalty=st.none() | st.floats(0, 2),
    stop=st.lists(words, max_size=2).map(tuple),
    logprobs=st.none() | st.booleans(),
    top_logprobs=st.none() | st.integers(1, 9),
)
outputs = st.sampled_from(
    [Output(), Output("json"), Output("json_schema", schema=Raw(b'{"type":"object"}'))]
)
thinking = st.sampled_from(
    [Reasoning(), Reasoning("enabled"), Reasoning("disabled"), Reasoning(effort="high")]
)
systems = st.lists(st.builds(Text, words), max_size=2).map(tuple)
requests = st.builds(
    Request,
    model=st.just("m"),
    messages=turns,
    stream=st.booleans(),
    system=systems,
    tools=tools,
    sampling=samplings,
    output=outputs,
    reasoning=thinking,
    max_tokens=st.none() | st.integers(1, 999),
    include_usage=st.just(True),  # noqa: FBT003  # a strategy, not a switch
    ext=st.none()
    | st.just({"ollama": {"keep_alive": Raw(b"-1"), "options.num_ctx": Raw(b"4096")}}),
)


@settings(max_examples=examples(60))
@given(requests)
def test_what_is_written_as_a_request_reads_the_same(request):
    out = OLLAMA.write_request(request, TARGET)
    assert OLLAMA.read_request(out.body) == request
    assert out.losses == ()
    assert OLLAMA.write_request(request, TARGET) == out


@settings(max_examples=examples(60))
@given(requests, user_said)
def test_what_is_written_as_a_prompt_reads_the_same(request, parts):
    system = request.system[:1]
    asked = Request(
        "m",
        (Message("user", parts),),
        request.stream,
        system,
        sampling=request.sampling,
        output=request.output,
        reasoning=request.reasoning,
        max_tokens=request.max_tokens,
        include_usage=True,
        ext=request.ext,
    )
    out = GENERATE.write_request(asked, TARGET)
    assert GENERATE.read_request(out.body) == asked
    assert out.losses == ()


# --------------------------------------------------------------------------- any bytes at all

member_names = st.sampled_from(
    [
        "model",
        "messages",
        "prompt",
        "role",
        "content",
        "images",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "options",
        "stop",
        "think",
        "format",
        "tools",
        "message",
        "response",
        "done",
        "error",
        "logprobs",
        "eval_count",
        "created_at",
        "done_reason",
        "input",
        "stream",
        "id",
    ]
)
shaped = st.recursive(
    scalars | st.sampled_from(["user", "assistant", "tool", "system", "stop"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(member_names, inner, max_size=5),
    max_leaves=12,
).map(lambda value: json.dumps(value).encode())
anything = st.binary(max_size=60) | shaped


@pytest.mark.parametrize("dialect", [OLLAMA, GENERATE], ids=lambda one: one.family)
@given(anything)
def test_any_bytes_give_a_request_or_the_callers_error(dialect, data):
    with contextlib.suppress(CallerError):
        dialect.read_request(data)


@given(anything, st.lists(st.integers(0, 99), max_size=3))
def test_any_bytes_give_events_a_reply_or_the_providers_error(data, cuts):
    for read in (OLLAMA.read_response, EMBEDDER.read_response):
        with contextlib.suppress(UpstreamError):
            read(data, TARGET, *([Undo()] if read is OLLAMA.read_response else []))
    try:
        OLLAMA.tap_response(data, TARGET, CONTEXT)
        OLLAMA.response_frames(data)
    except UpstreamError:
        pass
    reader = OLLAMA.stream_reader(TARGET, Undo())
    relay = OLLAMA.relay(TARGET, CONTEXT)
    for piece in pieces(data, cuts):
        reader.feed(piece)
        relay.feed(piece)
    reader.close()
    relay.close()
    assert OLLAMA.read_error(500, {}, data).message


@given(anything)
def test_any_bytes_give_an_embedding_request_or_the_callers_error(data):
    with contextlib.suppress(CallerError):
        EMBEDDER.read_request(data)
