"""Whose money a call spends, in which stretch of time, and what of it is set aside: words of several rooms.

Amounts are whole 10⁻¹² USD (D24). A *payer* is a budget and who of all that it covers pays from it; a *pot* is
a payer in one stretch of time. A *stake* is what one attempt has set aside in the pots of all its payers.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal, NamedTuple, TypeAlias

from msgspec import Struct

Span: TypeAlias = Literal["day", "month", "total"]
SPANS: tuple[Span, ...] = ("day", "month", "total")

DAY_S = 86_400
_DECEMBER = 12


class Payer(NamedTuple):
    """A budget, and whose part of it: empty where all that it covers spend together."""

    budget: str
    subject: str


class Pot(NamedTuple):
    """A payer in one stretch of time; ``since`` is its first UTC day, counted from 1970, 0 of ``total``."""

    budget: str
    subject: str
    span: Span
    since: int


class Stake(Struct, frozen=True, gc=False, array_like=True):
    """What is set aside for one attempt, and by which process."""

    holder: str
    pico: int
    payers: tuple[Payer, ...]


class Charge(Struct, frozen=True, gc=False):
    """What a stake has come to: spent by the ledger's number, or held where it has none (D27)."""

    stake: Stake
    wall: float
    """Unix seconds in which the call was admitted: what spans an edge is charged to the stretch before (R10)."""
    spent: int
    held: int

    @property
    def covered(self) -> int:
        """What of it had been set aside before: a provider may ask for more than its price says."""
        return min(self.stake.pico, self.spent + self.held)


def since_of(span: Span, wall: float) -> int:
    """The first day of the stretch that the moment lies in."""
    day = int(wall // DAY_S)
    match span:
        case "day":
            return day
        case "month":
            return day - datetime.fromtimestamp(wall, UTC).day + 1
        case "total":
            return 0


def pots_of(payers: tuple[Payer, ...], wall: float) -> list[Pot]:
    """All pots of the payers at a moment."""
    sinces = [(span, since_of(span, wall)) for span in SPANS]
    return [Pot(*payer, span, since) for payer in payers for span, since in sinces]


def time_of(wall: float) -> str:
    """A moment as people and JSON read it."""
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ends_at(pot: Pot) -> float | None:
    """The Unix second in which the pot is full again; None: never."""
    match pot.span:
        case "day":
            return float((pot.since + 1) * DAY_S)
        case "month":
            first = datetime.fromtimestamp(pot.since * DAY_S, UTC)
            year, month = divmod(first.month, _DECEMBER)
            return first.replace(year=first.year + year, month=month + 1).timestamp()
        case "total":
            return None
