"""How much of a pot one process leases at a time, and what it does with it. Pure.

The sum of what is spent, held and leased never exceeds what the pot holds, so nothing is overspent whatever
processes do or die of. What is leased to one cannot be spent by another: alone, a process takes half of what is
left and rarely asks again; among others a hundredth, and less as it gets scarce (D28).
"""

from __future__ import annotations

import sys

from dragoman.core.budget import Pot

_CALLS_AHEAD, _SHARE_AHEAD = 16, 8
_ALONE = 2
_AMONG_OTHERS = 8
_SHARE = 100


def grant_of(left: int, need: int, least: int, limit: int, *, alone: bool) -> int:
    """What is leased of a pot in which so much is left."""
    if left < least or left <= 0:
        return 0
    if left <= need:
        return left
    more = left // _ALONE if alone else min(left // _AMONG_OTHERS, limit // _SHARE)
    return min(left, max(need, more))


def ahead_of(amount: int, free: int) -> int:
    """What is set aside with such a call for the next ones; nothing where not much more is left."""
    ahead = _CALLS_AHEAD * amount
    return ahead if amount + ahead <= free // _SHARE_AHEAD else 0


class Counter:
    """What this process has leased of a pot, and what became of it; amounts in 10⁻¹² USD."""

    __slots__ = (
        "asked_at",
        "granted",
        "left",
        "limit",
        "pot",
        "reserved",
        "used_at",
        "waiting",
    )

    def __init__(self, pot: Pot, limit: int) -> None:
        self.pot = pot
        self.limit = limit
        self.granted = 0
        """Leased, and not written to the database as spent or held yet."""
        self.reserved = 0
        """Of that, set aside: for calls under way or to come, or spent or held by those that are over."""
        self.left = 0
        """What nobody had leased when the store was last asked."""
        self.asked_at = float("-inf")
        self.used_at = float("-inf")
        self.waiting = 0
        """Who waits for more of it, or of another that he needs with it."""

    @property
    def free(self) -> int:
        """What may be set aside now."""
        return self.granted - self.reserved

    @property
    def is_idle(self) -> bool:
        """Whether nothing of it is in use, or on its way to the database."""
        return not (self.reserved or self.waiting)

    def is_dry(self, amount: int, now: float, dry_s: float) -> bool:
        """Whether the store has just said that there is not so much."""
        return now - self.asked_at < dry_s and self.free + self.left < amount


class Pots:
    """The counters of all pots that bound the calls of some payers.

    So much is set aside in all of them *ahead*: the next calls take theirs of that, and look at no counter.
    """

    __slots__ = ("ahead", "counters")

    def __init__(self, counters: tuple[Counter, ...]) -> None:
        self.counters = counters
        self.ahead = 0

    def free(self) -> int:
        """What may be set aside in each of them beside that; of no pot any amount."""
        return min([counter.free for counter in self.counters], default=sys.maxsize)

    def set_ahead(self, amount: int, now: float) -> None:
        """Sets so much more aside in each of them."""
        for counter in self.counters:
            counter.reserved += amount
            counter.used_at = now
        self.ahead += amount

    def give_back(self) -> None:
        """Frees what no call has taken."""
        for counter in self.counters:
            counter.reserved -= self.ahead
        self.ahead = 0
