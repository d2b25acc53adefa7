"""What a process has taken of a key's windows for requests that may come.

A lease is used up to its end, and its rest given back; what a call did not need of it goes back into it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from dragoman.admission.ports import Taken
from dragoman.admission.rules import Rule
from dragoman.core.call import Gauge
from dragoman.store.shared.places import Places

LEASED_FROM = 1000
"""The smallest limit of a rule that is taken from in leases, and the fewest places."""
LEASE_S = 0.25
SHARE = 100
"""A lease is at most this part of the smallest limit, or of the places."""
OF_FREE = 16
"""And at most this part of what is free."""
NO_LIMIT = 2**52
_NEVER = -1.0


@dataclass(slots=True, eq=False)
class Lease:
    """What was taken of a key's windows."""

    rule: Rule
    places: Places | None = None
    at: float = _NEVER
    """When it was counted; what is taken from it and came to less goes back to it by that."""
    amount: int = 0
    left: int = 0
    until: float = 0.0
    gauge: Gauge | None = None
    which: int = -1
    free: int | None = None
    """What was free when it was last asked."""
    ends: float = 0.0
    """Until when it lasts in the loop's time."""
    timer: asyncio.TimerHandle | None = None
    renewing: asyncio.Task[None] | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def begin(self, taken: Taken, used: int, until: float) -> None:
        """It was taken, and so much of it used at once."""
        self.at, self.amount, self.left = taken.at, taken.amount, taken.amount - used
        self.gauge, self.which, self.until = taken.gauge, taken.which, until
        self.free = taken.gauge.remaining if taken.gauge is not None else None

    def take(self, amount: int, now: float) -> Taken | None:
        """So much of it, if there is."""
        if self.left < amount or now >= self.until:
            return None
        self.left -= amount
        return Taken(self.at, amount, self.gauge, self.which)

    def take_now(self, rule: Rule, amount: int, now: float, place: str | None) -> Taken | None:
        """So much of it for that very rule, with a place where one is wanted, if there is."""
        if self.rule is not rule or self.left < amount or now >= self.until:
            return None
        if place is not None:
            places = self.places
            if places is None or not places.free:
                return None
            free = places.free = places.free - 1
            if free < places.least:  # noqa: PLR1730  the regular case, and `min` is a call
                places.least = free
            places.holders.add(place)
        self.left -= amount
        return Taken(self.at, amount, self.gauge, self.which)

    def correct(self, taken: Taken, change: int) -> bool:
        """What was taken from it came to more, or to less; False: it was another, or it does not have so much."""
        if self.at != taken.at or self.left < change:
            return False
        self.left -= change
        return True

    def end(self) -> tuple[float, int, int]:
        """When it was counted, how much of it was used, and what is left of it."""
        ended = self.at, self.amount - self.left, self.left
        self.at, self.amount, self.left, self.until = _NEVER, 0, 0, 0.0
        return ended


def new_lease(rule: Rule) -> Lease:
    """Nothing yet; where nothing but places is limited, as much as anybody may want, for ever."""
    if rule.bounds:
        return Lease(rule)
    return Lease(rule, left=NO_LIMIT, until=float("inf"))


def is_leased(rule: Rule, *, wants_place: bool = False) -> bool:
    """Whether what is asked for is wide enough for leases: nothing of it is under a thousand."""
    if wants_place and rule.places:
        return rule.places >= LEASED_FROM and (not rule.bounds or smallest(rule) >= LEASED_FROM)
    return bool(rule.bounds) and smallest(rule) >= LEASED_FROM


def smallest(rule: Rule) -> int:
    """The smallest limit of the rule."""
    least = min((bound.limit for bound in rule.bounds), default=0)
    return min(least, rule.total) if rule.total else least


def lease_size(rule: Rule, free: int | None) -> int:
    """How much is taken at once, where so much was free of late."""
    most = smallest(rule) // SHARE
    return most if free is None else min(most, free // OF_FREE)
