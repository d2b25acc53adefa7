"""What routing sees while it plans one call: the house's knowledge, the request, the moment, the dice."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

from dragoman.catalog.price import cost_of_text
from dragoman.catalog.registry import Registry
from dragoman.catalog.resolve import Target
from dragoman.core.ask import Ask
from dragoman.core.capability import Capability
from dragoman.core.provider import Family, Operation, Price, Provider, Skipped, Strategy
from dragoman.core.scopes import Bounds
from dragoman.credentials.pool import Pools
from dragoman.health.health import Health
from dragoman.health.latency import Pace
from dragoman.routing.conversation import conversation_of
from dragoman.routing.needs import Needs, needs_of
from dragoman.routing.strategies import Dice, Turns
from dragoman.routing.window import NO_WINDOW, Window

_MINUTE_S = 60
_MOST_REMEMBERED = 8192


@dataclass(frozen=True)
class Sight:
    """Everything is read when it is first asked for, and only then: most plans ask for little."""

    registry: Registry
    health: Health
    pools: Pools
    now: float
    """Monotonic seconds."""
    operation: Operation = "chat"
    family: Family = "chat"
    ask: Ask | None = None
    """None: nothing is known of the request, and it needs nothing."""
    wall: float = 0.0
    dice: Dice = float
    turns: Turns | None = None
    default: Strategy = "cost"
    """How ``auto`` chooses where the request says nothing."""
    told: Needs | None = None
    """What the request needs, where that is known without it."""
    skipped: list[Skipped] = field(default_factory=list)
    """Who was left out so far; of a request that nobody can serve, it is all that there is to tell."""
    window: Window = NO_WINDOW
    """Which scores the caller's key prefers (R-ROUTE-008)."""
    bounds: Bounds | None = None
    """Which models the caller's key may ask for; None: all of them."""

    @cached_property
    def needs(self) -> Needs:
        """What the request needs."""
        if self.told is not None:
            return self.told
        return Needs() if self.ask is None else needs_of(self.ask, self.family, self.operation)

    @cached_property
    def conversation(self) -> bytes:
        """Which conversation the request belongs to."""
        return b"" if self.ask is None else conversation_of(self.ask.members)

    @property
    def whole(self) -> bool:
        """Whether the answer is one piece."""
        return self.ask is None or not self.ask.stream or self.operation != "chat"

    def spoken(self, provider: Provider) -> Provider:
        """The provider in the caller's family, if it serves the operation in it; else in one that it does."""
        ways = (provider.speaking(self.family), provider, *provider.also)
        return next((way for way in ways if self.operation in way.paths), provider)

    @cached_property
    def _capabilities(self) -> dict[tuple[str, str], Capability]:
        return self._remembered(f"capabilities {self.family} {self.operation}")

    @cached_property
    def _prices(self) -> dict[tuple[str, str], Price | None]:
        """Prices change with the hour of the day: they are remembered for a minute."""
        minute = int(self.wall // _MINUTE_S)
        if self.registry.memory.get("minute") != minute:
            self.registry.memory["minute"] = minute
            self.registry.memory.pop("prices", None)
        return self._remembered("prices")

    def _remembered(self, name: str) -> dict[tuple[str, str], Any]:
        """What was worked out of single models; bounded, for their names are foreign input."""
        found: dict[tuple[str, str], Any] = self.registry.memory.setdefault(name, {})
        if len(found) > _MOST_REMEMBERED:
            found.clear()
        return found

    def capability(self, target: Target) -> Capability:
        """What the model accepts, in the family in which it would be called."""
        key = (target.provider.name, target.model)
        found = self._capabilities.get(key)
        if found is None:
            provider = self.spoken(target.provider)
            found = self.registry.capability(provider.name, target.model, provider)
            self._capabilities[key] = found
        return found

    def price(self, target: Target) -> Price | None:
        """The model's price now; None: unknown."""
        key = (target.provider.name, target.model)
        if key not in self._prices:
            self._prices[key] = self.registry.price(*key, self.wall)
        return self._prices[key]

    def cost(self, target: Target) -> Decimal | None:
        """What the request would cost; None: the price is unknown."""
        price = self.price(target)
        if price is None:
            return None
        return cost_of_text(self.needs.input_tokens, self.needs.output_tokens, price)

    def pace(self, target: Target) -> Pace | None:
        """How quick the model has been with answers of this kind."""
        return self.health.paces.of(whose(target.provider), target.model, whole=self.whole)

    def score(self, target: Target) -> float:
        """How well the model has been doing there, 0 to 100."""
        return self.health.score(whose(target.provider), target.model, self.now)

    def is_well(self, target: Target) -> bool:
        """Whether any key for the model may be tried now with good hope."""
        name, model = whose(target.provider), target.model
        keyed = self.registry.credentials.get(target.provider.name, ())
        keys = [item.credential.id for item in keyed]
        return any(self.health.knows_well((name, model, key), self.now) for key in keys or ("",))


def whose(provider: Provider) -> str:
    """What health keeps of the provider's doings is kept under."""
    return provider.account or provider.name
