"""What admission needs of a store of limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from dragoman.admission.rules import Rule, Unit
from dragoman.core.call import Gauge


class Taken(Struct, frozen=True, gc=False):
    """There was room: when it was counted, in the store's own seconds, and how the tightest limit stands."""

    at: float
    amount: int
    gauge: Gauge | None = None
    """None where nothing but places is limited."""
    which: int = -1
    """Which of the rule's bounds it is; -1: the allowance."""


class Short(Struct, frozen=True, gc=False):
    """There was no room, and nothing was counted; ``wait_s`` None: waiting does not help."""

    name: str
    limit: int
    free: int
    wait_s: float | None


class Unknown(Struct, frozen=True, gc=False):
    """The store has not been told yet what was used before it began to count."""


UNKNOWN = Unknown()


class Past(Struct, frozen=True, gc=False):
    """What a key has used of a unit, as the ledger knows it."""

    total: int = 0
    """Ever."""
    lately: tuple[tuple[float, int], ...] = ()
    """Of the last day: how many seconds ago, and how much; the oldest first."""

    def shared_by(self, processes: int) -> Past:
        """The part of one of so many processes; the allowance is not divided."""
        if processes <= 1:
            return self
        return Past(self.total, tuple((age, amount // processes) for age, amount in self.lately))


NO_PAST = Past()


class Tally(Protocol):
    """What a store has at hand of a key and unit: found once, and asked at every call."""

    def take_now(self, rule: Rule, amount: int, now: float, place: str | None) -> Taken | None:
        """What ``take`` of the store would say, if that is known here; None: it is not, and nothing is counted."""
        ...

    def correct(self, taken: Taken, change: int) -> bool:
        """What was taken came to more, or to less; False: that is the store's to set right."""
        ...


class LimitStore(Protocol):
    """Counts what keys use.

    Never fails and never waits for long: a store that cannot reach the others goes by its own
    share (D27).
    """

    @property
    def now(self) -> Callable[[], float]:
        """The seconds that it counts by."""
        ...

    def tally(self, key_id: str, unit: Unit) -> Tally | None:
        """What it has at hand; None: nothing yet. One that it has forgotten takes nothing any more."""
        ...

    def take_now(
        self, key_id: str, rule: Rule, amount: int, place: str | None = None
    ) -> Taken | Short | None:
        """What ``take`` would say, where nothing has to be waited for; None: it has, and nothing is counted."""
        ...

    async def take(
        self,
        key_id: str,
        rule: Rule,
        amount: int,
        *,
        place: str | None = None,
        past: Past | None = None,
    ) -> Taken | Short | Unknown:
        """Counts ``amount`` if every limit has room for it, and nothing if one has not.

        Args:
            key_id: whose.
            rule: the limits.
            amount: how much, at least 1; or 0 for a place alone.
            place: the name under which a place is held until ``leave``, where places are limited.
            past: what the ledger knows; asked for by ``Unknown``.
        """
        ...

    def correct(self, key_id: str, rule: Rule, taken: Taken, change: int) -> None:
        """What was taken came to more, or to less."""
        ...

    def leave(self, key_id: str, rule: Rule, place: str) -> None:
        """Gives a place back; one that is not held is no harm."""
        ...
