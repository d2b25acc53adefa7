"""What is known of a model: listed, declared or bundled; and what the operator says goes first."""

from decimal import Decimal

import pytest

from dragoman.catalog.listing import Listed
from dragoman.catalog.load import load_providers
from dragoman.catalog.price import at_tier
from dragoman.catalog.registry import STUB_MODELS, with_stub
from dragoman.catalog.schema import OperatorRow
from dragoman.core.provider import Price

WALL = 1_790_000_000.0
ENV = {
    "OPENAI_API_KEY": "k",
    "ANTHROPIC_API_KEY": "k",
    "OPENAI_COMPATIBLE_BASE_URL": "http://h/v1",
}


def test_bundled_facts_are_read_when_they_are_first_needed_and_once(monkeypatch) -> None:
    from dragoman.catalog import registry as module

    reads = []

    def spy(wanted):
        reads.append(sorted({each.prices for each in wanted if each.prices}))
        return {}

    monkeypatch.setattr(module, "read_shelves", spy)
    registry = load_providers(ENV)
    assert reads == []
    registry.knows("openai", "gpt-4o")
    registry.load_models()
    assert reads == [["anthropic", "openai"]]


def test_a_model_is_known_by_the_bundle_by_a_listing_or_by_the_operators_word() -> None:
    row = OperatorRow(name="openai-compatible", models=("mine",))
    registry = load_providers(ENV, [row])
    assert registry.knows("openai", "gpt-4o-2024-08-06")
    assert not registry.knows("openai", "gpt-4o--x12")
    assert registry.knows("openai-compatible", "mine")
    assert not registry.knows("openai-compatible", "theirs")
    registry.note_listing("openai-compatible", (Listed("theirs"),), 0.0)
    assert registry.knows("openai-compatible", "theirs")
    assert not registry.knows("nobody", "gpt-4o")


def test_the_operators_price_goes_before_the_bundled_one() -> None:
    own = Price(input=Decimal(1), output=Decimal(2), source="operator")
    registry = load_providers(ENV, prices={"openai/gpt-4o": own, "openai/x--x1": own})
    assert registry.price("openai", "gpt-4o", WALL) is own
    assert registry.price("openai", "x--x1", WALL) is own
    bundled = registry.price("openai", "gpt-4o-mini", WALL)
    assert bundled is not None
    assert bundled.source.startswith("genai-prices")
    assert registry.price("openai", "gpt-4o--x12", WALL) is None
    assert registry.price("openai-compatible", "gpt-4o", WALL) is None


def test_a_service_tier_of_which_no_price_is_known_has_none() -> None:
    price = load_providers(ENV).price("openai", "gpt-4o", WALL)
    assert price is not None
    assert at_tier(price, "unheard-of") is None
    own = Price(input=Decimal(1), output=Decimal(2), source="operator")
    assert at_tier(own, "unheard-of") is own


def test_capability_takes_the_context_from_the_bundle_or_the_listing() -> None:
    registry = load_providers(ENV)
    assert registry.capability("openai", "gpt-4o").context_tokens == 128_000
    assert registry.capability("anthropic", "claude-opus-4-8--x1").rejects_sampling
    assert registry.capability("openai-compatible", "m").context_tokens is None
    registry.note_listing("openai-compatible", (Listed("m", context_tokens=32_768),), 0.0)
    assert registry.capability("openai-compatible", "m").context_tokens == 32_768
    assert registry.capability("openai-compatible", "n").context_tokens is None


def test_a_providers_own_list_replaces_the_bundled_one() -> None:
    registry = load_providers(ENV)
    assert "gpt-4o" in [item.id for item in registry.models("openai")]
    registry.note_listing("openai", (Listed("gpt-4o", created=5), Listed("new", "New")), 0.0)
    models = {item.id: item for item in registry.models("openai")}
    assert list(models) == ["gpt-4o", "new"]
    assert models["gpt-4o"].name == "gpt 4o"
    assert models["gpt-4o"].created == 5
    assert models["new"].name == "New"


def test_declared_models_come_first_and_once() -> None:
    row = OperatorRow(name="openai", models=("gpt-4o", "own"))
    registry = load_providers(ENV, [row])
    ids = [item.id for item in registry.models("openai")]
    assert ids[:2] == ["gpt-4o", "own"]
    assert len(ids) == len(set(ids))
    registry.note_listing("openai", (Listed("own"), Listed("unheard-of")), 0.0)
    assert [item.id for item in registry.models("openai")] == ["gpt-4o", "own", "unheard-of"]


def test_listings_are_due_told_and_failed_through_the_registry() -> None:
    registry = load_providers(ENV)
    urls = [item.url for item in registry.listings_due(0.0)]
    assert urls == [
        "https://api.openai.com/v1/models",
        "https://api.anthropic.com/v1/models?limit=1000",
        "http://h/v1/models",
    ]
    registry.note_listing("openai", (Listed("a"),), 0.0)
    registry.note_listing("anthropic", (), 0.0)
    registry.fail_listing("openai-compatible", 0.0)
    assert registry.listings_due(1.0) == []
    assert "claude-haiku-4-5" in [item.id for item in registry.models("anthropic")]


@pytest.mark.req("R-PROV-009", "R-ADD-036")
def test_the_stub_brings_its_two_models_and_leaves_the_rest() -> None:
    registry = with_stub(load_providers({}))
    assert list(registry.providers) == ["stub"]
    assert registry.providers["stub"].stub
    assert registry.providers["stub"].paths.keys() == {"chat", "embeddings"}
    assert all(registry.knows("stub", model) for model in STUB_MODELS)
    assert registry.listings_due(0.0) == []
    assert [item.id for item in registry.models("stub")] == list(STUB_MODELS)
    assert registry.price("stub", "openai/gpt-4o-mini", WALL) is None


def test_an_alias_of_the_operator_goes_before_the_stubs() -> None:
    registry = with_stub(load_providers(ENV, aliases={"openai/gpt-4o-mini": "openai/gpt-4o"}))
    assert registry.aliases["openai/gpt-4o-mini"] == ("openai/gpt-4o",)
    assert registry.aliases["openai/text-embedding-3-small"] == (
        "stub/openai/text-embedding-3-small",
    )
