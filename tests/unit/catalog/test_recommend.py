"""Recommendations: the task is understood, who cannot is left out with a reason, and every score can be checked."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.catalog.recommend import GENERAL, TASKS, Candidate, recommend, task_of
from dragoman.core.capability import Capability
from dragoman.core.provider import Price

pytestmark = pytest.mark.req("R-USE-012")

PRICE = Price(input=Decimal(1), output=Decimal(4))


def model(name="a/m", **members) -> Candidate:
    said = {"operations": ("chat",), "capability": Capability(), "price": PRICE, "rank": 70}
    return Candidate(name, **{**said, **members})


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("code", "code"),
        ("Refactor a program", "code"),
        ("summarize long contracts", "documents"),
        ("describe a picture", "vision"),
        ("embed my notes", "embeddings"),
        ("translate", "translate"),
        ("do something", "general"),
        ("", "general"),
    ],
)
def test_a_task_is_understood_by_its_words(text, name):
    assert task_of(text).name == name


def test_every_task_is_known_by_its_own_name():
    assert [task_of(task.name) for task in TASKS] == list(TASKS)
    assert recommend("do something", [model()]).recognised is False
    assert task_of("do something") is GENERAL


@pytest.mark.parametrize(
    ("task", "candidate", "why"),
    [
        ("vision", model(capability=Capability(images=False)), "takes no pictures"),
        ("agent", model(capability=Capability(tools=False)), "takes no tools"),
        ("extract", model(capability=Capability(structured_output="none")), "takes no schema"),
        ("documents", model(capability=Capability(context_tokens=8000)), "reads 8000 tokens"),
        ("chat", model(well=False), "nobody who has it"),
        ("chat", model(use="embeddings"), "made for embeddings"),
        ("embeddings", model(operations=("chat", "embeddings")), "makes no embeddings"),
        ("embeddings", model(use="embeddings"), "serves no embeddings"),
    ],
)
def test_who_cannot_is_left_out_with_the_reason(task, candidate, why):
    found = recommend(task, [candidate])
    assert found.data == []
    assert why in found.left_out[0].reason


def test_of_two_that_are_equal_but_for_one_thing_the_better_comes_first():
    def first(task, *among):
        return recommend(task, among).data[0].model

    good, bad = model("z/good", rank=90), model("a/bad", rank=50)
    assert first("code", bad, good) == "z/good"
    cheap = model("z/cheap", price=Price(input=Decimal("0.1"), output=Decimal("0.4")))
    assert first("classify", model(), cheap) == "z/cheap"
    assert first("chat", model("a/unpriced", price=None), model("z/priced")) == "z/priced"
    assert (
        first("chat", model("a/slow", tokens_per_s=5.0), model("z/quick", tokens_per_s=150.0))
        == "z/quick"
    )
    assert first("chat", model("a/ill", score=10.0), model("z/well", score=95.0)) == "z/well"


@given(
    st.lists(
        st.builds(
            model,
            st.text("abc", min_size=1, max_size=3),
            rank=st.none() | st.integers(0, 100),
            price=st.none()
            | st.builds(
                Price, input=st.decimals(0, 100, places=3), output=st.decimals(0, 100, places=3)
            ),
            tokens_per_s=st.floats(0, 1000),
            score=st.floats(0, 100),
            well=st.booleans(),
        ),
        max_size=8,
        unique_by=lambda each: each.name,
    ),
    st.sampled_from([task.name for task in TASKS]),
)
def test_whatever_is_known_everybody_is_either_advised_or_left_out(among, task):
    found = recommend(task, among, 100)
    named = [each.model for each in found.data] + [each.model for each in found.left_out]
    assert sorted(named) == sorted(each.name for each in among)
    assert all(0 <= each.score <= 100 for each in found.data)
    assert all(each.reasons for each in found.data)
    assert [each.score for each in found.data] == sorted(
        (each.score for each in found.data), reverse=True
    )
