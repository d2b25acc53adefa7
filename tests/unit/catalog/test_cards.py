"""What is known of the models that can be asked for, by the names under which they are."""

from __future__ import annotations

import msgspec
import pytest

from dragoman.catalog.cards import find_card, model_cards
from dragoman.catalog.listing import Listed
from dragoman.catalog.load import load_providers
from dragoman.catalog.registry import Registry, with_stub
from dragoman.catalog.resolve import resolve
from dragoman.catalog.rows import models_list

WALL = 1_790_000_000.0


@pytest.fixture
def registry() -> Registry:
    made = load_providers(
        {"OPENAI_API_KEY": "k", "OPENROUTER_API_KEY": "k", "ANTHROPIC_API_KEY": "k"},
        aliases={"fast": "openai/gpt-4o-mini", "any": ["openai/gpt-4o", "anthropic/claude-x"]},
    )
    made.note_listing("openai", (Listed("gpt-4o-mini", created=5), Listed("new")), 0.0)
    made.note_listing("anthropic", (Listed("claude-sonnet-4-5", "Claude Sonnet 4.5"),), 0.0)
    listed = (Listed("anthropic/claude-sonnet-4-5"), Listed("x/y", context_tokens=9000))
    made.note_listing("openrouter", listed, 0.0)
    return made


def test_without_a_router_the_cards_are_the_rows(registry: Registry) -> None:
    cards = model_cards(registry, WALL)
    assert [card.row for card in cards] == models_list(registry)


def test_what_nobody_knows_is_not_made_up(registry: Registry) -> None:
    cards = {card.id: card for card in model_cards(registry, WALL)}
    known = cards["openai/gpt-4o-mini"]
    assert known.capability.context_tokens == 128_000
    assert known.price is not None
    assert {"chat", "embeddings"} <= set(known.operations)
    new, alias = cards["openai/new"], cards["any"]
    assert (new.capability.context_tokens, new.capability.max_output_tokens, new.price) == (
        None,
        None,
        None,
    )
    assert (alias.capability.context_tokens, alias.price, alias.operations) == (None, None, ())
    assert msgspec.structs.replace(cards["fast"], row=known.row) == known
    assert cards["openrouter/x/y"].capability.context_tokens == 9000


@pytest.mark.parametrize("home", ["openai", "anthropic", "openrouter", "groq", None])
@pytest.mark.req("R-SURF-018", "R-SURF-047")
def test_every_name_on_a_router_is_routed_there_and_stands_once(registry: Registry, home) -> None:
    cards = model_cards(registry, WALL, home)
    names = [card.id for card in cards]
    assert len(set(names)) == len(names)
    for card in cards:
        found, *_ = resolve(card.id, registry, 0.0, asked=card.id == "auto", home=home)
        if card.id not in {"auto", *registry.aliases}:
            assert card.row.owned_by == found.provider.name


def test_a_routers_own_models_come_first_and_bare(registry: Registry) -> None:
    names = [card.id for card in model_cards(registry, WALL, "openrouter")]
    assert names[:2] == ["anthropic/claude-sonnet-4-5", "x/y"]
    assert "openrouter/x/y" not in names
    assert "openai/new" in names


def test_a_model_is_found_by_its_full_name_on_its_router_too(registry: Registry) -> None:
    cards = model_cards(registry, WALL, "openai")
    for name in ("new", "openai/new", "openai:new"):
        found = find_card(cards, name, registry, "openai")
        assert found is not None
        assert found.id == "new"
    assert find_card(cards, "openai/nothing", registry, "openai") is None


@pytest.mark.req("R-SURF-018")
@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("new", "openai/new"),
        ("claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"),
        ("x/y", "openrouter/x/y"),
        ("openai:gpt-4o-mini", "openai/gpt-4o-mini"),
        ("fast", "fast"),
        ("any", "any"),
        ("auto", "auto"),
        ("nothing", None),
        ("openai/nothing", None),
        ("", None),
    ],
)
def test_a_name_means_what_it_means_in_a_call(registry: Registry, said, meant) -> None:
    found = find_card(model_cards(registry, WALL), said, registry)
    assert (found and found.id) == meant


def test_a_tag_that_is_not_said_is_the_newest() -> None:
    registry = load_providers({"OLLAMA_HOST": "127.0.0.1"})
    registry.note_listing("ollama", (Listed("llama3.2:latest"), Listed("llama3.2:3b")), 0.0)
    cards = model_cards(registry, WALL, "ollama")
    for said in ("llama3.2", "llama3.2:latest", "ollama/llama3.2:latest", "ollama/llama3.2"):
        found = find_card(cards, said, registry, "ollama")
        assert found is not None
        assert found.id == "llama3.2:latest"
    assert find_card(cards, "llama3.2:1b", registry, "ollama") is None
    elsewhere = model_cards(registry, WALL)
    for said in ("llama3.2", "ollama/llama3.2"):
        found = find_card(elsewhere, said, registry)
        assert found is not None
        assert found.id == "ollama/llama3.2:latest"


def test_the_stubs_models_are_listed_as_they_are_asked_for() -> None:
    lonely = with_stub(load_providers({}))
    assert [card.id for card in model_cards(lonely, WALL, "anthropic")] == [
        "openai/gpt-4o-mini",
        "openai/text-embedding-3-small",
        "auto",
    ]
