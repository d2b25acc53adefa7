"""How much of a pot one process leases at a time, and what it does with it. Pure.

The sum of what is spent, held and leased never exceeds what the pot holds, so nothing is overspent whatever
processes do or die of. What is leased to one cannot be spent by another: alone, a process takes half of what is
left and rarely asks again; among others a hundredth, and less as it gets scarce (D28).
"""

from __future__ import annotations

from dragoman.core.budget import Pot

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


class Counter:
    """What this process has leased of a pot, and what became of it; amounts in 10⁻¹² USD."""

    __slots__ = (
        "asked_at",
        "granted",
        "is_lowered",
        "left",
        "limit",
        "pot",
        "reserved",
        "unwritten",
        "used_at",
        "waiting",
    )

    def __init__(self, pot: Pot, limit: int) -> None:
        self.pot = pot
        self.limit = limit
        self.is_lowered = False
        """Its bound has fallen, and what is free of the lease has to go back, however many calls come."""
        self.granted = 0
        """Leased, and not written to the database as spent or held yet."""
        self.reserved = 0
        """Set aside for calls under way."""
        self.unwritten = 0
        """Spent or held by calls that are over, and not written yet."""
        self.left = 0
        """What nobody had leased when the store was last asked."""
        self.asked_at = float("-inf")
        self.used_at = float("-inf")
        self.waiting = 0
        """Who waits for more of it."""

    @property
    def free(self) -> int:
        """What may be set aside now."""
        return self.granted - self.reserved - self.unwritten

    @property
    def is_idle(self) -> bool:
        """Whether nothing of it is in use, or on its way to the database."""
        return not (self.reserved or self.unwritten or self.waiting)

    def is_dry(self, amount: int, now: float, dry_s: float) -> bool:
        """Whether the store has just said that there is not so much."""
        return now - self.asked_at < dry_s and self.free + self.left < amount
