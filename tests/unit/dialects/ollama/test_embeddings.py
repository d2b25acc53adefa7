"""``/api/embed`` and the older ``/api/embeddings``, within the family and across."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from dragoman.core.errors import CallerError, UpstreamError
from dragoman.core.request import EmbeddingRequest
from dragoman.core.response import Embeddings
from dragoman.core.usage import Usage
from dragoman.dialects.base import Context, Target
from dragoman.dialects.ollama.embeddings import EMBEDDER
from dragoman.dialects.registry import UNARY

TARGET = Target("ollama", "nomic")
CONTEXT = Context("c" * 32, 1, "nomic")
OWN = UNARY["embeddings", "ollama"]
REPLY = b'{"model":"nomic","embeddings":[[0.5,1],[2,3]],"prompt_eval_count":7}'


def raws(**members: Any) -> dict[str, Raw]:
    return {name: Raw(json.dumps(value).encode()) for name, value in members.items()}


def read(**members: Any) -> EmbeddingRequest:
    return EMBEDDER.read_request(json.dumps({"model": "m", **members}).encode())


def test_texts_are_asked_for_in_either_form():
    assert read(input="a") == EmbeddingRequest("m", ("a",))
    request = read(input=["a", "b"], dimensions=8, truncate=False, keep_alive="5m")
    assert (request.inputs, request.dimensions, request.single) == (("a", "b"), 8, False)
    assert request.ext == {"ollama": {"truncate": Raw(b"false"), "keep_alive": Raw(b'"5m"')}}
    assert read(prompt="a", options={}) == EmbeddingRequest("m", ("a",), single=True)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": [1, 2]}, "input"),
        ({"prompt": ["a"], "input": 5}, "input"),
        ({"prompt": 5}, "prompt"),
        ({"model": None, "input": "a"}, "model"),
        ({"input": "a", "dimensions": "many"}, "dimensions"),
    ],
)
def test_what_cannot_be_embedded_is_refused_by_its_path(members, param):
    with pytest.raises(CallerError) as caught:
        read(**members)
    assert caught.value.param == param


def test_the_newer_form_is_written():
    ext = {"ollama": {"truncate": Raw(b"false")}, "chat": {"x": Raw(b"1"), "y": Raw(b"null")}}
    asked = EmbeddingRequest("m", ("a", "b"), dimensions=8, end_user="u", ext=ext)
    out = EMBEDDER.write_request(asked, TARGET)
    assert json.loads(out.body) == {
        "model": "nomic",
        "input": ["a", "b"],
        "dimensions": 8,
        "truncate": False,
    }
    assert [loss.path for loss in out.losses] == ["x", "user"]
    with pytest.raises(CallerError) as caught:
        EMBEDDER.write_request(EmbeddingRequest("m", ((1, 2),)), TARGET)
    assert caught.value.param == "input"


def test_vectors_are_read_in_either_form():
    vectors = ((0.5, 1.0), (2.0, 3.0))
    assert EMBEDDER.read_response(REPLY, TARGET) == Embeddings("nomic", vectors, Usage(input=7))
    old = EMBEDDER.read_response(b'{"embedding":[1,2]}', TARGET)
    assert old == Embeddings("nomic", ((1.0, 2.0),), None)


def test_vectors_are_written_in_the_form_that_was_asked_for():
    found = Embeddings("", ((0.5, 1.0),), Usage(input=7, output=0))
    many = EMBEDDER.write_response(found, EmbeddingRequest("m", ("a",)), CONTEXT)
    assert json.loads(many.body) == {
        "model": "nomic",
        "embeddings": [[0.5, 1.0]],
        "prompt_eval_count": 7,
    }
    one = EMBEDDER.write_response(found, EmbeddingRequest("m", ("a",), single=True), CONTEXT)
    assert json.loads(one.body) == {"embedding": [0.5, 1.0]}
    none = Embeddings("x", ())
    empty = EMBEDDER.write_response(none, EmbeddingRequest("m", ("a",), single=True), CONTEXT)
    assert json.loads(empty.body) == {"embedding": []}


def test_within_the_family_the_newer_form_passes_as_it_came():
    members = raws(model="x", input=["a"], truncate=True)
    out = OWN.patch(members, TARGET)
    assert out.body == b'{"model":"nomic","input":["a"],"truncate":true}'
    assert out.losses == ()
    tapped = OWN.tap(REPLY, members)
    assert (tapped.body, tapped.usage) == (REPLY, Usage(input=7))


def test_the_older_form_is_asked_in_the_newer_one_and_told_back():
    members = raws(model="x", prompt="a", keep_alive="5m")
    out = OWN.patch(members, TARGET)
    assert json.loads(out.body) == {"model": "nomic", "keep_alive": "5m", "input": "a"}
    assert [(loss.path, loss.action) for loss in out.losses] == [("prompt", "changed")]
    assert json.loads(OWN.tap(REPLY, members).body) == {"embedding": [0.5, 1.0]}
    own = b'{"embedding":[1,2]}'
    assert OWN.tap(own, members).body == own


@pytest.mark.pitfall(140)
@pytest.mark.parametrize(
    "body", [b'{"error":"no such model"}', b"{}", b"<html>", b'{"embedding":"x"}']
)
def test_what_holds_no_vectors_is_the_providers_error(body):
    for attempt in (
        lambda: EMBEDDER.read_response(body, TARGET),
        lambda: OWN.tap(body, raws(input="a")),
    ):
        with pytest.raises(UpstreamError):
            attempt()


def test_a_request_without_texts_loads_the_model():
    for members in (raws(model="x"), raws(model="x", input=[])):
        sent = json.loads(OWN.patch(members, TARGET).body)
        assert sent == {
            **{name: json.loads(bytes(raw)) for name, raw in members.items()},
            "model": "nomic",
        }
    old = raws(model="x", prompt="")
    assert json.loads(OWN.patch(old, TARGET).body) == {"model": "nomic", "input": ""}
    assert OWN.tap(b'{"embeddings":[]}', old).body == b'{"embedding":[]}'
