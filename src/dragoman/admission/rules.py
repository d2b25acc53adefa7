"""What a caller's limits come to: what is counted of it, over which time, and up to how much."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import force_setattr, replace

from dragoman.core.call import NO_LIMITS, Limits

Unit: TypeAlias = Literal["requests", "tokens"]

ALLOWANCE = "max_tokens"
"""The name of the limit that no time gives back."""
CONCURRENCY = "concurrency"
_WINDOWS: dict[Unit, tuple[tuple[str, float], ...]] = {
    "requests": (("rps", 1.0), ("rpm", 60.0), ("rpd", 86_400.0)),
    "tokens": (("tpm", 60.0), ("tpd", 86_400.0)),
}
LONG_S = 86_400.0
"""A window of which the ledger is asked what was in it before a process began."""
SECONDS = {name: seconds for windows in _WINDOWS.values() for name, seconds in windows}


class Bound(Struct, frozen=True, gc=False):
    """One limit over one stretch of time."""

    name: str
    limit: int
    seconds: float


class Rule(Struct, frozen=True):
    """All limits of one unit: what is taken, is taken from each of them or from none."""

    unit: Unit
    bounds: tuple[Bound, ...] = ()
    """The longest last."""
    total: int = 0
    """The allowance; 0: none."""
    places: int = 0
    """How many may be under way at once; 0: as many as come."""
    is_long: bool = False
    """Whether something of it goes further back than a process does; follows from the others, as the next."""
    is_open: bool = False
    """Whether nothing is limited."""

    def __post_init__(self) -> None:
        """Every call asks for these two."""
        is_long = self.total > 0 or (len(self.bounds) > 0 and self.bounds[-1].seconds >= LONG_S)
        force_setattr(self, "is_long", is_long)
        force_setattr(self, "is_open", not (self.bounds or self.total or self.places))

    def shared_by(self, processes: int) -> Rule:
        """The part of one of so many processes, each of which counts alone: at least 1."""
        if processes <= 1:
            return self
        bounds = tuple(
            Bound(each.name, max(1, each.limit // processes), each.seconds) for each in self.bounds
        )
        places = self.places and max(1, self.places // processes)
        return replace(self, bounds=bounds, places=places)


class Rules(Struct, frozen=True):
    """What is counted of a caller's requests, and of their tokens."""

    requests: Rule
    tokens: Rule
    limits: Limits = NO_LIMITS


def rules_of(limits: Limits) -> Rules:
    """The rules that limits come to; 0 is no limit."""
    return Rules(
        Rule("requests", _bounds("requests", limits), places=limits.concurrency or 0),
        Rule("tokens", _bounds("tokens", limits), total=limits.max_tokens or 0),
        limits,
    )


def _bounds(unit: Unit, limits: Limits) -> tuple[Bound, ...]:
    return tuple(
        Bound(name, limit, seconds)
        for name, seconds in _WINDOWS[unit]
        if (limit := getattr(limits, name))
    )


NO_RULES = rules_of(NO_LIMITS)
