"""The models that can be asked for, as they are now: who has each, how quick it is, who rests.

The list is worked out from memory at most every ``MODEL_CAPS_REFRESH_MS`` (D13); an administrator may have
every provider's own list fetched anew.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from dragoman.catalog.cards import Card, Live, cards_within, find_card, model_cards
from dragoman.catalog.nearest import nearest
from dragoman.catalog.recommend import Candidate
from dragoman.catalog.registry import Registry
from dragoman.core.call import Caller
from dragoman.core.errors import CallerError
from dragoman.health.health import Health
from dragoman.health.score import NEUTRAL
from dragoman.pipeline import registry_of
from dragoman.services import Services

MOST_KEPT = 64
"""Lists that are held: each may be of thousands of models."""


class LiveModels:
    """One process's list, kept for as long as it may be old."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._kept: dict[tuple[str | None, str], tuple[float, object, list[Card]]] = {}

    async def cards(self, home: str | None = None, caller: Caller | None = None) -> list[Card]:
        """The list, on a provider's router or elsewhere; providers' own lists are had first (D13).

        Of a caller it is what its calls may ask for: with the names and by the credentials of its tenant,
        within the scope of its key. None: what the gateway itself has.

        Raises:
            HouseError: the tenant's credentials cannot be read.
        """
        house = self._services.house
        await house.fetch_listings(tuple(house.registry.listings_due(time.monotonic())))
        if caller is None:
            return self.now(home)
        registry = await self.registry(caller)
        found = self.now(home, registry, "" if registry is house.registry else caller.tenant)
        bounds = caller.bounds
        return found if bounds is None else cards_within(found, bounds, registry, home)

    async def registry(self, caller: Caller) -> Registry:
        """The providers and names that a caller's calls see.

        Raises:
            HouseError: the tenant's credentials cannot be read.
        """
        return await registry_of(caller.tenant, self._services.house)

    async def card(self, name: str, home: str | None, caller: Caller) -> Card:
        """What a name means in a call, on a provider's router or elsewhere.

        Raises:
            CallerError: nothing that is listed.
        """
        cards = await self.cards(home, caller)
        found = find_card(cards, name, await self.registry(caller), home)
        if found is None:
            raise _no_model(name, [each.id for each in cards])
        return found

    def now(
        self, home: str | None = None, registry: Registry | None = None, tenant: str = ""
    ) -> list[Card]:
        """The list, from memory alone; of a tenant that sees another registry than the others, that one's."""
        registry, moment = registry or self._services.house.registry, time.monotonic()
        kept = self._kept.get((home, tenant))
        if kept is not None and kept[1] is registry and moment < kept[0]:
            return kept[2]
        health = self._services.house.health
        cards = [
            replace(card, live=live_of(card, health, moment))
            for card in model_cards(registry, time.time(), home)
        ]
        until = moment + self._services.settings.model_caps_refresh_ms / 1000
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[home, tenant] = (until, registry, cards)
        return cards

    async def refresh(self) -> dict[str, int]:
        """Has every provider's list fetched anew; how many models each has now."""
        house = self._services.house
        registry = house.registry
        registry.listings.expire()
        await house.fetch_listings(tuple(registry.listings_due(time.monotonic())))
        self._kept.clear()
        return {name: sum(1 for _ in registry.models(name)) for name in registry.providers}


def _no_model(wanted: str, among: list[str]) -> CallerError:
    near = nearest(wanted, among)
    told = f"nearest: {', '.join(near)}; " if near else ""
    return CallerError(
        "not_found",
        f"There is no model {wanted[:200]!r}; {told}GET /v1/models lists those that there are.",
        code="model_not_found",
        param="id",
        details={"nearest": list(near)} if near else None,
    )


def candidates_of(
    cards: Iterable[Card], registry: Registry, health: Health | None, now: float
) -> Iterator[Candidate]:
    """The models that may be recommended, as they are doing now; without ``health`` nobody knows how."""
    for card in cards:
        if not card.operations:
            continue  # ``auto``, or a name for several: what it will be, nobody knows
        provider, model = card.places[0]
        yield Candidate(
            name=card.id,
            operations=card.operations,
            capability=card.capability,
            price=card.price,
            rank=registry.rank(provider, model),
            tokens_per_s=card.live.throughput,
            score=NEUTRAL if health is None else health.score(provider, model, now),
            well=card.live.active > 0,
            use=card.use,
        )


def live_of(card: Card, health: Health, now: float) -> Live:
    """Who has the model now, and how quick it is where it is quickest: output tokens a second."""
    quickest, resting = 0.0, 0
    for provider, model in card.places:
        figures = health.statistics.of(provider, model)
        if figures is not None:
            quickest = max(quickest, figures.tokens_per_s or 0.0)
            off = health.is_off(provider, model, now) is not None
            resting += off or _rests(health, provider, model, now)
    names = {provider for provider, _ in card.places}
    number = len(names) or 1
    return Live(number, max(0, number - resting), min(number, resting), round(quickest, 1))


def _rests(health: Health, provider: str, model: str, now: float) -> bool:
    """Whether nobody gets an answer there now: every key that was used rests, or its breaker is open."""
    keys = health.statistics.keys_of(provider, model)
    return bool(keys) and not any(health.knows_well((provider, model, key), now) for key in keys)
