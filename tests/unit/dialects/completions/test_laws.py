"""Laws of legacy completions, on whatever hypothesis thinks of."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from dragoman.core.errors import CallerError, UpstreamError
from dragoman.core.fold import check, fold
from dragoman.core.parts import Message, Text
from dragoman.core.request import Request, Sampling
from dragoman.core.response import Choice, Finish, Response
from dragoman.core.usage import Usage
from dragoman.dialects.base import Context, Target, Undo
from dragoman.dialects.registry import DIALECTS
from laws import holds_however_cut, pieces, streamed, tells_the_cut
from sampling import examples

COMPLETIONS = DIALECTS["completions"]
TARGET = Target("openai", "m")
CONTEXT = Context("c" * 32, 1, "m", include_usage=True)

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
finishes = st.sampled_from([Finish("stop", raw="stop"), Finish("length", raw="length")])
usages = st.builds(
    lambda one, two, read: Usage(input=one, output=two, total=one + two, cache_read=read),
    st.integers(0, 999),
    st.integers(0, 999),
    st.none() | st.integers(0, 9),
)


def _response(texts, finish, usage, created) -> Response:
    choices = tuple(
        Choice((Text(text),) if text else (), finish, index) for index, text in enumerate(texts)
    )
    return Response("cmpl-1", "gpt", choices, usage, created)


responses = st.builds(
    _response,
    st.lists(st.just("") | words, min_size=1, max_size=3),
    finishes,
    usages,
    st.integers(0, 2**32),
)


@given(responses)
def test_what_is_written_whole_reads_the_same(response):
    body = COMPLETIONS.write_response(response, CONTEXT).body
    assert COMPLETIONS.read_response(body, TARGET, Undo()) == response
    tapped = COMPLETIONS.tap_response(body, TARGET, CONTEXT)
    assert (tapped.body, tapped.usage, tapped.id) == (body, response.usage, "cmpl-1")


@given(responses)
def test_what_is_written_as_a_stream_folds_to_the_same(response):
    reader = COMPLETIONS.stream_reader(TARGET, Undo())
    events = reader.feed(streamed(COMPLETIONS, response, CONTEXT)) + reader.close()
    check(events)
    assert fold(events) == response
    body = COMPLETIONS.write_response(response, CONTEXT).body
    other = COMPLETIONS.stream_reader(TARGET, Undo())
    assert fold(other.feed(COMPLETIONS.response_frames(body)) + other.close()) == response


@pytest.mark.pitfall(1)
@pytest.mark.pitfall(5)
@given(responses, st.lists(st.integers(0, 10_000), max_size=8))
def test_however_the_bytes_are_cut_the_events_and_the_relayed_bytes_are_the_same(response, cuts):
    data = streamed(COMPLETIONS, response, CONTEXT)
    facts = holds_however_cut(COMPLETIONS, data, cuts, TARGET, CONTEXT)
    assert facts.usage == response.usage


@pytest.mark.pitfall(14)
@given(responses, st.integers(0, 10_000))
def test_a_cut_before_the_last_word_is_told(response, cut):
    # Nobody can miss a choice that has not begun.
    data = streamed(
        COMPLETIONS, replace(response, usage=None, choices=response.choices[:1]), CONTEXT
    )
    end = data.rindex(b'"finish_reason":"') - len(b'"finish_reason":')
    kept = data[: cut % end]
    tells_the_cut(COMPLETIONS, data, kept, TARGET, CONTEXT)


samplings = st.builds(
    Sampling,
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    seed=st.none() | st.integers(0, 2**31),
    frequency_penalty=st.none() | st.floats(-2, 2),
    logit_bias=st.none() | st.just({"5": 1.0}),
    stop=st.lists(words, max_size=2).map(tuple),
    n=st.none() | st.integers(1, 3),
    logprobs=st.just(True),  # noqa: FBT003  # a strategy, not a switch
    top_logprobs=st.none() | st.integers(1, 5),
)
requests = st.builds(
    Request,
    model=st.just("m"),
    messages=st.builds(lambda text: (Message("user", (Text(text),)),), words),
    stream=st.booleans(),
    sampling=samplings,
    max_tokens=st.none() | st.integers(1, 999),
    end_user=st.none() | words,
    ext=st.none() | st.just({"completions": {"best_of": Raw(b"9")}}),
)


@settings(max_examples=examples(60))
@given(requests)
def test_what_is_written_as_a_request_reads_the_same(request):
    out = COMPLETIONS.write_request(request, TARGET)
    assert COMPLETIONS.read_request(out.body) == replace(request, include_usage=request.stream)
    assert out.losses == ()


member_names = st.sampled_from(
    [
        *("model", "prompt", "suffix", "echo", "n", "logprobs", "stop", "stream", "best_of"),
        *("include_usage", "choices", "text", "index", "finish_reason", "usage", "error", "id"),
        *("tokens", "token_logprobs", "top_logprobs", "created", "max_tokens", "stream_options"),
    ]
)
shaped = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(member_names, inner, max_size=5),
    max_leaves=12,
).map(lambda value: json.dumps(value).encode())
anything = st.binary(max_size=60) | shaped | shaped.map(lambda data: b"data: " + data + b"\n\n")


@given(anything, st.lists(st.integers(0, 99), max_size=3))
def test_any_bytes_give_something_or_an_error_of_ours(data, cuts):
    with contextlib.suppress(CallerError):
        COMPLETIONS.read_request(data)
    with contextlib.suppress(UpstreamError):
        COMPLETIONS.read_response(data, TARGET, Undo())
    with contextlib.suppress(UpstreamError):
        COMPLETIONS.tap_response(data, TARGET, CONTEXT)
    with contextlib.suppress(UpstreamError):
        COMPLETIONS.response_frames(data)
    reader = COMPLETIONS.stream_reader(TARGET, Undo())
    relay = COMPLETIONS.relay(TARGET, CONTEXT)
    for piece in pieces(data, cuts):
        reader.feed(piece)
        relay.feed(piece)
    reader.close()
    relay.close()
