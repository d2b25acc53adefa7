"""A provider's rule for names of Claude's models: near ones for who has the rule, and for nobody else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.catalog.families import claude_family, newness
from dragoman.catalog.listing import Listed
from dragoman.catalog.load import load_providers
from dragoman.catalog.resolve import ListingsNeeded, resolve
from dragoman.catalog.schema import CatalogError, OperatorRow, operator_row
from dragoman.core.errors import CallerError

pytestmark = pytest.mark.req("R-ROUTE-003", "R-ROUTE-004")
IDS = {
    "anthropic/claude-haiku-4.5",
    "anthropic/claude-opus-4.1",
    "anthropic/claude-opus-4.6",
    "anthropic/claude-sonnet-4-20250514",
    "anthropic/claude-sonnet-4.9",
    "anthropic/claude-sonnet-4.10",
    "anthropic/claude-sonnet-4.10:thinking",
    "openai/gpt-5",
}
ROW = OperatorRow(name="ob", base_url="http://ob/v1", resolve="claude-family", models=tuple(IDS))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("claude-sonnet-4.9", "anthropic/claude-sonnet-4.9"),
        ("claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4.10"),
        ("claude-3-5-SONNET", "anthropic/claude-sonnet-4.10"),
        ("claude-3-haiku", "anthropic/claude-haiku-4.5"),
        ("claude-opus-9", "anthropic/claude-opus-4.6"),
        ("anthropic/claude-opus-9", "anthropic/claude-opus-4.6"),
        ("claude-instant-1", "anthropic/claude-opus-4.6"),
        ("gpt-5-nano", None),
        ("llama", None),
    ],
)
def test_the_nearest_of_the_family_is_meant(name, meant) -> None:
    assert claude_family(name, IDS) == meant


def test_what_is_preferred_goes_before_the_last_of_the_makers() -> None:
    assert (
        claude_family("claude-2", {"anthropic/claude-sonnet-4.6", *IDS})
        == "anthropic/claude-sonnet-4.6"
    )
    assert (
        claude_family("claude-2", {"anthropic/claude-haiku-3", "openai/x"})
        == "anthropic/claude-haiku-3"
    )
    assert (
        claude_family("claude-haiku-3", {"anthropic/claude-opus-4"}) == "anthropic/claude-opus-4"
    )
    assert claude_family("claude-2", {"openai/x"}) is None


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
def test_versions_are_numbers_and_not_texts(major, minor, other_major, other_minor) -> None:
    one, other = (
        f"anthropic/claude-opus-{major}.{minor}",
        f"anthropic/claude-opus-{other_major}.{other_minor}",
    )
    newest = max(one, other, key=newness)
    assert newest == (one if (major, minor) >= (other_major, other_minor) else other)


def test_a_day_is_no_version_and_a_variant_no_newer_model() -> None:
    ordered = [
        "c-4-20250514",
        "c-4.5:thinking",
        "c-4.5",
        "c-4.5-20250929",
        "c-4.5-20251001",
        "c-4.10",
    ]
    assert sorted(ordered, key=newness) == ordered


def one(model, registry):
    found = resolve(model, registry, 0.0, asked=True)
    assert not isinstance(found, ListingsNeeded)
    (target,) = found
    return target.provider.name, target.model, target.known


def test_only_the_provider_with_the_rule_answers_for_what_is_near() -> None:
    registry = load_providers({"OPENAI_API_KEY": "k"}, extra=[ROW])
    assert one("claude-3-haiku", registry) == ("ob", "anthropic/claude-haiku-4.5", True)
    assert one("ob/claude-3-haiku", registry) == ("ob", "anthropic/claude-haiku-4.5", True)
    assert one("ob/never-heard-of", registry) == ("ob", "never-heard-of", False)
    assert one("openai/claude-3-haiku", registry) == ("openai", "claude-3-haiku", False)
    with pytest.raises(CallerError):
        resolve("never-heard-of", registry, 0.0, asked=True)
    without = load_providers(
        {"OPENAI_API_KEY": "k"},
        extra=[OperatorRow(name="ob", base_url="http://ob/v1", models=tuple(IDS))],
    )
    with pytest.raises(CallerError):
        resolve("claude-3-haiku", without, 0.0, asked=True)


def test_a_provider_that_has_the_model_goes_before_a_rule() -> None:
    registry = load_providers({"ANTHROPIC_API_KEY": "k"}, extra=[ROW])
    assert one("claude-sonnet-4-5-20250929", registry)[0] == "anthropic"


def test_the_providers_own_list_is_asked_for_before_the_rule_is_used() -> None:
    row = OperatorRow(name="ob", base_url="http://ob/v1", resolve="claude-family")
    registry = load_providers({}, extra=[row])
    for name in ("ob/claude-3-haiku", "claude-3-haiku"):
        needed = resolve(name, registry, 0.0)
        assert isinstance(needed, ListingsNeeded)
        assert [each.provider.name for each in needed.requests] == ["ob"]
    registry.listings.note("ob", (Listed("anthropic/claude-haiku-9"),), 0.0)
    assert one("ob/claude-3-haiku", registry) == ("ob", "anthropic/claude-haiku-9", True)


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(CatalogError, match=r"nearest.*resolve"):
        operator_row({"name": "ob", "base_url": "http://ob", "resolve": "nearest"})
