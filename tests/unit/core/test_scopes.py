"""What a key may be used for: patterns mean one thing, and what is within is never more than what it is within."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.scopes import (
    NOTHING_SAID,
    Bounds,
    Scopes,
    allows_model,
    beyond,
    covers,
    matches,
    together,
)

pytestmark = pytest.mark.req("R-AUTH-008")

SIGNS = st.text("ab/*", max_size=8)
PLAIN = st.text("ab/", max_size=10)


@given(SIGNS, PLAIN)
def test_a_star_is_anything_and_every_other_sign_is_itself(pattern, text):
    assert matches(pattern, text) == fnmatchcase(text, pattern)


def test_signs_of_other_pattern_languages_are_plain_signs():
    assert not matches("openai/gpt-[45]", "openai/gpt-4")
    assert not matches("openai/gpt-?", "openai/gpt-4")
    assert matches("openai/gpt-?", "openai/gpt-?")


def test_no_pattern_takes_long():
    """I13."""
    start = time.perf_counter()
    assert not matches("*a" * 120 + "b", "a" * 10_000)
    assert not matches("*" * 250 + "b", "a" * 10_000)
    assert time.perf_counter() - start < 0.1


@pytest.mark.parametrize(
    ("pattern", "model", "fits"),
    [
        ("openai/gpt-4o-mini", "openai/gpt-4o-mini", True),
        ("openai/gpt-4o-mini", "openai/gpt-4o-mini-2024", False),
        ("openai/gpt-4o-mini", "openrouter/openai/gpt-4o-mini", False),
        ("openai/*", "openai/ft:gpt-4o:acme/x", True),
        ("openai/*", "openrouter/openai/gpt-4o", False),
        ("openrouter/openai/*", "openrouter/openai/gpt-4o", True),
        ("gpt-4o*", "openai/gpt-4o", True),
        ("gpt-4o*", "azure-openai/gpt-4o", True),
        ("gpt-4o*", "openrouter/openai/gpt-4o", False),
        ("*", "openrouter/openai/gpt-4o", True),
        ("OpenAI/*", "openai/gpt-4o", False),
    ],
)
def test_a_pattern_is_of_the_provider_and_its_own_id(pattern, model, fits):
    provider, _, own = model.partition("/")
    assert allows_model(Bounds(models=((pattern,),)), provider, own) is fits


def test_what_nobody_says_costs_nothing():
    assert together() is None
    assert together(NOTHING_SAID, NOTHING_SAID) is None


def test_tenant_project_and_key_have_to_allow_it_together():
    bounds = together(
        Scopes(models=("openai/*", "anthropic/*"), permissions=("completions", "usage")),
        NOTHING_SAID,
        Scopes(models=("*/gpt-*",), surfaces=("chat",), permissions=("completions", "admin")),
    )
    assert allows_model(bounds, "openai", "gpt-4o")
    assert not allows_model(bounds, "openai", "o3")
    assert not allows_model(bounds, "groq", "gpt-oss")
    assert bounds.permissions == {"completions"}
    assert bounds.surfaces == {"chat"}
    assert not allows_model(together(Scopes(models=())), "openai", "gpt-4o"), "none is none"


PATTERN = st.one_of(SIGNS, st.sampled_from(["*", "a/*", "*/a", "a/b*", "b*", "a/a"]))


@given(PATTERN, PATTERN, st.text("ab", min_size=1, max_size=3), st.text("ab/", max_size=5))
def test_what_a_pattern_covers_matches_no_model_beyond_it(outer, inner, provider, model):
    """A8: the law that a key's scope within its maker's rests on."""
    if covers(outer, inner) and allows_model(Bounds(models=((inner,),)), provider, model):
        assert allows_model(Bounds(models=((outer,),)), provider, model)


@pytest.mark.parametrize(
    ("outer", "inner", "is_within"),
    [
        ("openai/*", "openai/gpt-4o", True),
        ("openai/*", "openai/gpt-*", True),
        ("openai/gpt-*", "openai/*", False),
        ("openai/*", "*", False),
        ("*", "openai/*", True),
        ("gpt-4o*", "openai/gpt-4o-mini", True),
        ("gpt-4o*", "*/gpt-4o-mini", False),
        ("openai/*", "gpt-4o", False),
    ],
)
def test_one_pattern_within_another(outer, inner, is_within):
    assert covers(outer, inner) is is_within


@pytest.mark.parametrize(
    ("wanted", "word"),
    [
        (Scopes(("openai/gpt-4o",), ("chat",), ("completions",)), None),
        (Scopes(None, ("chat",), ("completions",)), "models"),
        (Scopes(("groq/*",), ("chat",), ("completions",)), "models"),
        (Scopes(("openai/*",), None, ("completions",)), "surfaces"),
        (Scopes(("openai/*",), ("chat", "anthropic"), ("completions",)), "surfaces"),
        (Scopes(("openai/*",), ("chat",), ("completions", "admin")), "permissions"),
        (Scopes(("openai/*",), ("chat",)), "permissions"),
    ],
)
def test_what_is_said_of_a_new_key_is_within_its_makers(wanted, word):
    bounds = together(Scopes(("openai/*",), ("chat",), ("completions", "tenant")))
    assert beyond(wanted, bounds) == word
    assert beyond(wanted, None) is None
