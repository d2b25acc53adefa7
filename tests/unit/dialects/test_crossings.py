"""Embeddings and counts between every two families that have them (`dialects.md` §3.3)."""

from __future__ import annotations

import itertools
import json

import pytest

from dragoman.core.parts import Message, Text
from dragoman.core.request import EmbeddingRequest, Request, Sampling
from dragoman.core.response import Embeddings
from dragoman.core.usage import Usage
from dragoman.dialects.base import Context, Target
from dragoman.dialects.registry import COUNTERS, DIALECTS, EMBEDDERS

TARGET = Target("p", "m")
CONTEXT = Context("c" * 32, 0, "m")
VECTORS = ((0.5, -1.0), (2.0, 0.25))
PAIRS = list(itertools.product(EMBEDDERS, EMBEDDERS))
COUNTING = [family for family, counter in COUNTERS.items() if counter.write_request is not None]


def test_only_families_that_are_served_embed_and_count():
    assert EMBEDDERS.keys() <= DIALECTS.keys()
    assert COUNTERS.keys() <= DIALECTS.keys()


@pytest.mark.parametrize(("caller", "provider"), PAIRS)
def test_vectors_come_home_in_order_whoever_makes_them(caller, provider):
    ours, theirs = EMBEDDERS[caller], EMBEDDERS[provider]
    said = ours.write_request(EmbeddingRequest("m", ("one", "two")), TARGET).body
    asked = ours.read_request(said)
    assert asked.inputs == ("one", "two")
    sent = theirs.write_request(asked, TARGET)
    assert sent.losses == ()
    heard = theirs.read_request(sent.body)
    assert heard.inputs == ("one", "two")
    made = theirs.write_response(Embeddings("m", VECTORS, Usage(input=4)), heard, CONTEXT).body
    found = theirs.read_response(made, TARGET)
    assert found.vectors == VECTORS
    told = ours.write_response(found, asked, CONTEXT).body
    assert ours.read_response(told, TARGET).vectors == VECTORS


@pytest.mark.parametrize("family", EMBEDDERS)
def test_a_wish_for_shorter_vectors_arrives(family):
    embedder = EMBEDDERS[family]
    request = EmbeddingRequest("m", ("one",), dimensions=64)
    written = embedder.write_request(request, TARGET)
    assert embedder.read_request(written.body).dimensions == 64


@pytest.mark.parametrize(("caller", "provider"), list(itertools.product(COUNTERS, COUNTING)))
def test_a_count_comes_home_whoever_counts(caller, provider):
    ours, theirs = COUNTERS[caller], COUNTERS[provider]
    asked = Request(
        model="m",
        messages=(Message("user", (Text("How many are these?"),)),),
        max_tokens=50,
        sampling=Sampling(temperature=0.5),
    )
    assert theirs.write_request is not None
    sent = theirs.write_request(asked, TARGET)
    heard = theirs.read_request(sent.body)
    assert "How many are these?" in str(heard.messages)
    counted = theirs.read_response(theirs.write_response(11))
    assert ours.read_response(ours.write_response(counted)) == 11


def test_anthropics_counter_is_asked_for_nothing_but_what_it_counts():
    write = COUNTERS["anthropic"].write_request
    assert write is not None
    asked = Request(
        model="m",
        messages=(Message("user", (Text("hi"),)),),
        stream=True,
        sampling=Sampling(temperature=0.5, stop=("x",)),
        end_user="u",
        max_tokens=50,
    )
    written = write(asked, TARGET)
    assert json.loads(written.body) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
    }
    assert written.adjusted == ()
