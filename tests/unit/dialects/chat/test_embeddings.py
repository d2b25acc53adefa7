"""Embeddings: patched, tapped, and vectors in both of their encodings."""

from __future__ import annotations

import base64
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from dragoman.core.errors import CallerError, UpstreamError
from dragoman.core.provider import Quirks
from dragoman.core.response import Embeddings
from dragoman.core.usage import Usage
from dragoman.dialects.base import Target
from dragoman.dialects.chat.embeddings import (
    asked_encoding,
    patch_embeddings,
    read_embeddings,
    tap_embeddings,
    write_embeddings,
)

TARGET = Target(
    "p", "real-model", Quirks(rename={"dimensions": "output_dimension"}, drop=("user",))
)


def members(**values):
    found = {"model": "m", "input": "hi", **values}
    return {name: Raw(json.dumps(value).encode()) for name, value in found.items()}


def packed(*numbers):
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def reply(*vectors, **more):
    data = [
        {"object": "embedding", "index": index, "embedding": vector, "odd": 1.0}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    return json.dumps(
        {"object": "list", "data": data, "model": "m-1", "usage": usage, **more}
    ).encode()


def test_the_model_is_replaced_and_the_rest_stays_byte_for_byte():
    given_members = {**members(dimensions=8, user="u", routing={}), "odd": Raw(b'{ "a" : 1.0 }')}
    sent = patch_embeddings(given_members, TARGET).body
    assert b'"odd":{ "a" : 1.0 }' in sent
    assert json.loads(sent) == {
        "model": "real-model",
        "input": "hi",
        "output_dimension": 8,
        "odd": {"a": 1.0},
    }
    assert "user" in given_members


@pytest.mark.parametrize("value", ["a", ["a", "b"], [1, 2], [[1, 2], [3]]])
def test_every_form_of_input_is_accepted(value):
    assert json.loads(patch_embeddings(members(input=value), TARGET).body)["input"] == value


@pytest.mark.parametrize(
    ("values", "param"),
    [
        ({"input": None}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": [[]]}, "input"),
        ({"input": ["a", 1]}, "input"),
        ({"input": {"a": 1}}, "input"),
        ({"input": 5}, "input"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": True}, "dimensions"),
        ({"dimensions": "8"}, "dimensions"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"encoding_format": 5}, "encoding_format"),
    ],
)
def test_a_member_of_the_wrong_form_is_refused_by_name(values, param):
    with pytest.raises(CallerError) as caught:
        patch_embeddings(members(**values), TARGET)
    assert (caught.value.status, caught.value.param) == (400, param)


def test_a_missing_input_and_json_that_is_none_are_refused():
    with pytest.raises(CallerError, match="input is required"):
        patch_embeddings({"model": Raw(b'"m"')}, TARGET)
    with pytest.raises(CallerError, match="not valid JSON"):
        patch_embeddings({**members(), "dimensions": Raw(b"NaN")}, TARGET)


def test_the_encoding_that_was_asked_for_is_float_by_default():
    assert asked_encoding(members()) == "float"
    assert asked_encoding(members(encoding_format=None)) == "float"
    assert asked_encoding(members(encoding_format="float")) == "float"
    assert asked_encoding(members(encoding_format="base64")) == "base64"


def test_a_reply_passes_as_its_own_bytes_with_its_usage_read():
    for body in (reply([0.5, 1]), reply(packed(0.5))):
        tapped = tap_embeddings(body)
        assert tapped.body is body
        assert tapped.usage == Usage(input=3, total=3)
    assert tap_embeddings(reply([1], usage=None, id="e1")).usage is None
    assert tap_embeddings(reply([1], id="e1")).id == "e1"


def test_who_asked_for_numbers_gets_numbers():
    body = reply(packed(0.5, -2.0), packed(1.0, 0.25))
    sent = json.loads(tap_embeddings(body, "float").body)
    assert [item["embedding"] for item in sent["data"]] == [[0.5, -2.0], [1.0, 0.25]]
    assert [item["odd"] for item in sent["data"]] == [1.0, 1.0]
    assert sent["model"] == "m-1"
    floats = reply([0.5])
    assert tap_embeddings(floats, "float").body is floats


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "upstream_malformed"),
        (b"<html>", "upstream_malformed"),
        (b'{"object":"list"}', "upstream_malformed"),
        (b'{"data":null}', "upstream_malformed"),
        (b'{"error":{"message":"m","code":"insufficient_quota"}}', "insufficient_quota"),
    ],
)
def test_a_reply_without_vectors_is_an_error(body, code):
    for use in (read_embeddings, tap_embeddings):
        with pytest.raises(UpstreamError) as caught:
            use(body)
        assert caught.value.code == code


@pytest.mark.parametrize("vector", ["not base64!", "QUJD", "QUJDREU="])
def test_base64_that_holds_no_floats_is_an_error(vector):
    with pytest.raises(UpstreamError) as caught:
        read_embeddings(reply(vector))
    assert caught.value.code == "upstream_malformed"


def test_vectors_are_read_in_the_order_of_their_inputs():
    data = [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": packed(1.0)}]
    found = read_embeddings(json.dumps({"data": data}).encode())
    assert found == Embeddings("", ((1.0,), (2.0,)))


@pytest.mark.parametrize("asked", ["float", "base64"])
def test_vectors_are_written_in_either_encoding_and_read_again(asked):
    found = Embeddings("m-1", ((0.5, -1.0), (2.0, 0.0)), Usage(input=3, total=3))
    written = write_embeddings(found, asked)
    assert read_embeddings(written) == found
    kind = str if asked == "base64" else list
    assert all(isinstance(item["embedding"], kind) for item in json.loads(written)["data"])


def test_unknown_usage_is_zero_where_openai_requires_a_number():
    written = json.loads(write_embeddings(Embeddings("m", ((1.0,),)), "float"))
    assert written["usage"] == {"prompt_tokens": 0, "total_tokens": 0}
    known = write_embeddings(Embeddings("m", (), Usage(input=4)), "float")
    assert json.loads(known)["usage"] == {"prompt_tokens": 4, "total_tokens": 4}


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_base64_keeps_every_32_bit_number(numbers):
    found = Embeddings("m", (tuple(numbers),))
    assert read_embeddings(write_embeddings(found, "base64")).vectors == found.vectors


def test_numbers_beyond_32_bits_become_the_largest_there_are():
    largest = read_embeddings(write_embeddings(Embeddings("m", ((1e300, -1e300),)), "base64"))
    assert largest.vectors[0][0] == -largest.vectors[0][1] == pytest.approx(3.4028235e38)


@given(st.binary(max_size=60))
def test_any_bytes_give_vectors_or_an_error_of_the_provider(body):
    try:
        tap_embeddings(body, "float")
    except UpstreamError as error:
        assert error.status >= 400  # noqa: PT017  (either outcome is right)
