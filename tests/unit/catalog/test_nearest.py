"""The nearest names, found cheaply."""

from hypothesis import given
from hypothesis import strategies as st

from dragoman.catalog.nearest import nearest

NAMES = [
    "openai/gpt-4o",
    "openai/gpt-4o-mini",
    "anthropic/claude-sonnet-4-5",
    "groq/llama3-8b",
    "x",
]


def test_letters_that_changed_places_are_seen_through() -> None:
    assert nearest("gtp-4o", NAMES)[:2] == ("openai/gpt-4o", "openai/gpt-4o-mini")


def test_with_a_slash_the_provider_counts_too() -> None:
    assert nearest("openai/gpt4o", NAMES, 1) == ("openai/gpt-4o",)


def test_there_are_no_more_names_than_there_are() -> None:
    assert nearest("anything", []) == ()
    assert len(nearest("anything", ["one", "two"])) == 2


@given(st.text(), st.lists(st.text(), max_size=30))
def test_any_string_has_at_most_three_and_only_from_the_list(name, among) -> None:
    found = nearest(name, among)
    assert len(found) == min(3, len(among))
    assert set(found) <= set(among)
