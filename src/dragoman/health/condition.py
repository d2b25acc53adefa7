"""How each provider is, in a few words and numbers: what ``/health``, ``/ready`` and metrics show."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from dragoman.core.provider import ACCOUNT
from dragoman.health.breaker import GAUGE
from dragoman.health.health import Health
from dragoman.health.score import score


class Condition(Struct, frozen=True):
    """One provider's."""

    breaker: int
    """0 closed, 1 open, 2 half-open: the worst of its breakers (R-REL-002)."""
    disabled: bool
    models_off: int
    """How many of its models are disabled."""
    score: float

    @property
    def word(self) -> Literal["healthy", "degraded", "disabled"]:
        """It in a word."""
        if self.disabled:
            return "disabled"
        return "degraded" if self.breaker or self.models_off else "healthy"


def conditions(health: Health, providers: Iterable[str], now: float) -> dict[str, Condition]:
    """The condition of each."""
    worst = dict.fromkeys(providers, 0)
    for (provider, _, _), state in health.states(now).items():
        if ACCOUNT in provider:
            continue  # what a tenant's own credential meets is no word about the provider
        if worst.get(provider) != GAUGE["open"]:
            worst[provider] = GAUGE[state]
    return {
        name: Condition(
            breaker=breaker,
            disabled=health.disabling.is_disabled(name),
            models_off=len(health.disabling.models_off(name)),
            score=round(score(health.statistics.of(name), now), 1),
        )
        for name, breaker in worst.items()
    }
