"""What a provider's own list of models tells beside a name: sizes and prices, where they are known.

``rows.py`` says which names there are; here each gets its facts, for the lists in the dialects of
Anthropic, Gemini, Ollama and OpenRouter. What nobody knows is None, and never invented.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from msgspec import Struct

from dragoman.catalog.ranks import other_use
from dragoman.catalog.registry import Registry
from dragoman.catalog.resolve import NEWEST, ListingsNeeded, resolve
from dragoman.catalog.rows import ModelRow, models_list
from dragoman.catalog.scope import may_ask
from dragoman.core.capability import Capability
from dragoman.core.errors import CallerError
from dragoman.core.provider import Operation, Price
from dragoman.core.scopes import Bounds


class Live(Struct, frozen=True):
    """How a model is doing now."""

    providers: int = 1
    """Who has it."""
    active: int = 1
    cooling: int = 0
    """Who has it and rests, or is disabled."""
    throughput: float = 0.0
    """Output tokens a second, where it is quickest; 0: nobody knows."""


class Card(Struct, frozen=True):
    """One model that can be asked for, by the name under which it is."""

    row: ModelRow
    operations: tuple[Operation, ...] = ()
    """What its provider serves."""
    capability: Capability = Capability()
    price: Price | None = None
    use: str = ""
    """What the model is for that is not made for chats; empty: it may well be."""
    live: Live = Live()
    places: tuple[tuple[str, str], ...] = ()
    """Everybody who has a model of that name, as provider and the provider's own id; of an operator's name
    those that it stands for.
    """
    target: tuple[str, str] | None = None
    """Who is asked under this name, as provider and the provider's own id; None: it has to be resolved."""

    @property
    def id(self) -> str:
        """The name under which it is asked for."""
        return self.row.id


def model_cards(registry: Registry, wall: float, home: str | None = None) -> list[Card]:
    """Every model; on a provider's router that provider's own ids come first, as they are there."""
    own: list[Card] = []
    namesakes = _namesakes(registry)
    provider = registry.providers.get(home) if home is not None else None
    if provider is not None and not provider.stub:
        for model in registry.models(provider.name):
            row = ModelRow(
                id=model.id,
                created=model.created,
                owned_by=provider.name,
                name=model.name or model.id,
            )
            own.append(_card(row, provider.name, model.id, registry, wall, namesakes))
    taken = {card.id for card in own}
    return own + [
        _named(row, registry, wall, namesakes)
        for row in models_list(registry)
        if row.id not in taken and (provider is None or not _is_of(row, provider.name, registry))
    ]


def find_card(
    cards: list[Card], name: str, registry: Registry, home: str | None = None
) -> Card | None:
    """The card of what a name means in a call (D12), on a provider's router or elsewhere.

    ``cards`` are those of the same router. An id that nobody lists has none, though its provider may be
    asked for it.
    """
    named = {card.id: card for card in cards}
    if name in named:
        return named[name]
    try:
        targets = resolve(name, registry, 0.0, asked=True, home=home)
    except CallerError:
        return None
    if isinstance(targets, ListingsNeeded):
        return None
    provider, model = targets[0].provider.name, targets[0].model
    found = (each for tag in ("", NEWEST) for each in _spelled(provider, model + tag, home))
    return next((named[each] for each in found if each in named), None)


def cards_within(
    cards: list[Card], bounds: Bounds, registry: Registry, home: str | None = None
) -> list[Card]:
    """The cards of what a key may ask for: of a name for several models those of which it may ask for one."""
    return [card for card in cards if _is_within(card, bounds, registry, home)]


def _is_within(card: Card, bounds: Bounds, registry: Registry, home: str | None) -> bool:
    if card.target is not None:
        provider, model = card.target
        return may_ask(bounds, registry.providers[provider], model)
    try:
        targets = resolve(card.id, registry, 0.0, asked=True, home=home)
    except CallerError:
        return False
    if isinstance(targets, ListingsNeeded):
        return False
    return any(may_ask(bounds, each.provider, each.model) for each in targets)


def _spelled(provider: str, model: str, home: str | None) -> tuple[str, ...]:
    """How a list may write a model: on its provider's router by its own id."""
    full = f"{provider}/{model}"
    return (model, full) if provider == home else (full,)


def _is_of(row: ModelRow, provider: str, registry: Registry) -> bool:
    """Whether the row is a provider's model, and not the operator's name for one."""
    return row.owned_by == provider and row.id not in registry.aliases


Namesakes: TypeAlias = Mapping[str, tuple[tuple[str, str], ...]]
"""Who has a model, by what its name is when nobody's spelling of it counts."""


def _namesakes(registry: Registry) -> Namesakes:
    found: dict[str, list[tuple[str, str]]] = {}
    for provider in registry.providers:
        for model in registry.models(provider):
            found.setdefault(_bare(model.id), []).append((provider, model.id))
    return {name: tuple(places) for name, places in found.items()}


def _bare(model: str) -> str:
    """``anthropic/claude-sonnet-4.5`` and ``claude-sonnet-4-5`` are one model at two providers."""
    return model.rpartition("/")[2].lower().replace(".", "-")


def _named(row: ModelRow, registry: Registry, wall: float, namesakes: Namesakes) -> Card:
    meant = registry.aliases.get(row.id)
    if meant is not None:
        targets = [target.partition("/")[::2] for target in meant]
        provider, model = targets[0]
        # Of several nobody knows which it will be.
        if len(meant) == 1 and provider in registry.providers:
            return _card(row, provider, model, registry, wall, namesakes)
        return Card(row, places=tuple(each for each in targets if each[0] in registry.providers))
    if row.owned_by not in registry.providers:
        return Card(row, places=tuple((name, "") for name in registry.providers))
    model = row.id.removeprefix(f"{row.owned_by}/")
    return _card(row, row.owned_by, model, registry, wall, namesakes)


def _card(
    row: ModelRow,
    provider: str,
    model: str,
    registry: Registry,
    wall: float,
    namesakes: Namesakes,
) -> Card:
    capability = registry.capability(provider, model)
    return Card(
        row=row,
        operations=tuple(registry.providers[provider].paths),
        capability=capability,
        price=registry.price(provider, model, wall),
        use=other_use(model),
        places=namesakes.get(_bare(model)) or ((provider, model),),
        target=(provider, model),
    )
