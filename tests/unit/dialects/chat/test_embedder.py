"""Embeddings of the chat family on their way to and from other families."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from dragoman.core.errors import CallerError
from dragoman.core.provider import Quirks
from dragoman.core.request import EmbeddingRequest
from dragoman.core.response import Embeddings
from dragoman.core.usage import Usage
from dragoman.dialects.base import Context, Target
from dragoman.dialects.chat.embedder import EMBEDDER

TARGET = Target("p", "real")
CONTEXT = Context("c" * 32, 0, "sent")


def body(**members):
    return json.dumps({"model": "p/m", "input": "hi", **members}).encode()


@pytest.mark.parametrize(
    ("given_input", "inputs"),
    [
        ("a", ("a",)),
        (["a", "b"], ("a", "b")),
        ([1, 2], ((1, 2),)),
        ([[1, 2], [3]], ((1, 2), (3,))),
    ],
)
def test_every_form_of_input_is_read(given_input, inputs):
    request = EMBEDDER.read_request(body(input=given_input))
    assert request.inputs == inputs
    assert not request.single


def test_what_is_for_the_gateway_or_for_the_family_alone_is_told_apart():
    request = EMBEDDER.read_request(
        body(dimensions=8, user="u", encoding_format="base64", routing={}, output_dtype="int8")
    )
    assert (request.dimensions, request.end_user, request.encoding) == (8, "u", "base64")
    assert request.ext == {"chat": {"output_dtype": Raw(b'"int8"')}}


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"model": None}, "model"),
        ({"input": None}, "input"),
        ({"input": ["a", 1]}, "input"),
        ({"input": ""}, "input"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": "8"}, "dimensions"),
        ({"user": 5}, "user"),
        ({"encoding_format": "int8"}, "encoding_format"),
    ],
)
def test_a_member_of_the_wrong_form_is_refused_by_its_name(members, param):
    with pytest.raises(CallerError) as refusal:
        EMBEDDER.read_request(body(**members))
    assert refusal.value.param == param


@given(st.binary(max_size=80))
def test_any_bytes_give_a_request_or_a_refusal(data):
    with suppress(CallerError):
        assert EMBEDDER.read_request(data).inputs


_texts = st.lists(st.text(min_size=1, max_size=9), min_size=1, max_size=4)
_tokens = st.lists(
    st.lists(st.integers(0, 2**31), min_size=1, max_size=4).map(tuple), min_size=1, max_size=3
)


@given(
    st.builds(
        EmbeddingRequest,
        model=st.just("real"),
        inputs=(_texts | _tokens).map(tuple),
        dimensions=st.none() | st.integers(1, 4096),
        encoding=st.sampled_from(["float", "base64"]),
        end_user=st.none() | st.text(max_size=5),
        ext=st.none() | st.just({"chat": {"odd": Raw(b'{"a":1.0}')}}),
    )
)
def test_what_is_written_is_read_as_it_was(request):
    assert EMBEDDER.read_request(EMBEDDER.write_request(request, TARGET).body) == request


def test_what_other_families_know_is_told_as_lost():
    request = EmbeddingRequest("m", ("a",), ext={"gemini": {"taskType": Raw(b'"X"')}})
    written = EMBEDDER.write_request(request, TARGET)
    assert json.loads(written.body) == {"model": "real", "input": "a"}
    assert [loss.path for loss in written.losses] == ["taskType"]


def test_a_wish_for_shorter_vectors_is_never_just_left_out():
    target = Target("p", "real", Quirks(drop=("dimensions", "user")))
    request = EmbeddingRequest("m", ("a",), end_user="u")
    assert [loss.path for loss in EMBEDDER.write_request(request, target).losses] == ["user"]
    with pytest.raises(CallerError) as refusal:
        EMBEDDER.write_request(EmbeddingRequest("m", ("a",), dimensions=8), target)
    assert (refusal.value.status, refusal.value.param) == (400, "dimensions")


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_vectors_are_written_and_read_in_either_encoding(encoding):
    vectors = ((0.5, -1.0), (2.0, 0.25))
    found = Embeddings("", vectors, Usage(input=7))
    request = EmbeddingRequest("m", ("a", "b"), encoding=encoding)
    written = EMBEDDER.write_response(found, request, CONTEXT)
    assert written.losses == ()
    said = json.loads(written.body)
    assert said["model"] == "sent"
    assert said["usage"] == {"prompt_tokens": 7, "total_tokens": 7}
    assert isinstance(said["data"][0]["embedding"], str) == (encoding == "base64")
    read = EMBEDDER.read_response(written.body, TARGET)
    assert read.vectors == vectors
    assert read.usage is not None
    assert read.usage.input == 7


def test_the_model_is_the_providers_where_it_says_one():
    reply = b'{"object":"list","data":[{"embedding":[1.0],"index":0}]%b}'
    assert EMBEDDER.read_response(reply % b"", TARGET).model == "real"
    assert EMBEDDER.read_response(reply % b',"model":"x-1"', TARGET).model == "x-1"
