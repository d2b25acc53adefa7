"""In which order those who could serve are tried: the strategies, as pure functions.

Each takes options and gives a permutation of their places, the one to be tried first in front.
Time is in the paces that are handed in, chance in ``dice`` (a number from 0 up to 1), memory in
``turn``: the same arguments give the same order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from hashlib import blake2b
from typing import TypeAlias

from msgspec import Struct

from dragoman.health.latency import Pace
from dragoman.health.score import NEUTRAL

Dice: TypeAlias = Callable[[], float]
Order: TypeAlias = list[int]

EXPLORED = 10
"""Under `latency`, each so manieth request goes to whoever was not measured for longest."""
MEASURED = 8
"""Under `latency`, so many are measured before anything else; of hundreds the rest has to wait for
the turn of those who are explored."""
_QUICKEST_S = 0.001
_WORST = 0.95
_TOP = float(1 << 64)


class Option(Struct, frozen=True):
    """One model at one provider, with what a strategy may know of it."""

    name: str
    """``provider/model``."""
    weight: int = 1
    cost: Decimal | None = None
    """USD of the request, as far as it can be foreseen; None: its price is unknown."""
    rank: int | None = None
    pace: Pace | None = None
    busy: int = 0
    """Requests under way."""
    score: float = NEUTRAL
    """How well it has been doing, 0 to 100."""


def by_cost(options: Sequence[Option]) -> Order:
    """The cheapest first, the better score where they cost the same; unknown prices last."""

    def place(at: int) -> tuple[tuple[bool, Decimal], int]:
        return (_last_if_none(options[at].cost), -_band(options[at]))

    return sorted(range(len(options)), key=place)


def by_quality(options: Sequence[Option]) -> Order:
    """The highest rank first, of two that are equal the cheaper, then the better score; who has no rank last."""

    def place(at: int) -> tuple[bool, int, tuple[bool, Decimal], int]:
        option = options[at]
        cost = _last_if_none(option.cost)
        return (option.rank is None, -(option.rank or 0), cost, -_band(option))

    return sorted(range(len(options)), key=place)


def by_latency(options: Sequence[Option], turn: int) -> Order:
    """The quickest first; who was never measured is measured, and nobody's measure grows old.

    One request in ten goes to the option whose measure is the stalest. A time much better than
    its average is believed until the next one: who has become quick is found by one try.
    """
    order = sorted(range(len(options)), key=lambda at: expected_s(options[at].pace))
    idle = [at for at in order if not options[at].busy]
    fresh = [at for at in idle if options[at].pace is None]
    if fresh and sum(item.pace is not None for item in options) < MEASURED:
        first = min(fresh)
    elif idle and turn % EXPLORED == EXPLORED - 1:
        first = min(idle, key=lambda at: _age(options[at]))
    else:
        return order
    order.remove(first)
    return [first, *order]


def expected_s(pace: Pace | None) -> float:
    """Seconds to a first event, the tries that fail weighed in; endless where nobody knows."""
    if pace is None or pace.first_event_s is None:
        return math.inf
    average = pace.first_event_s
    hoped = average if pace.last_s is None else min(average, pace.last_s)
    return max(hoped, _QUICKEST_S) / (1 - min(pace.errors, _WORST)) ** 2


def _age(option: Option) -> int:
    return -1 if option.pace is None else option.pace.at


def by_load(options: Sequence[Option], dice: Dice) -> Order:
    """Who has the fewest requests under way for its weight first, by lot where they are equal."""
    lots = [dice() for _ in options]
    return sorted(
        range(len(options)),
        key=lambda at: (options[at].busy / options[at].weight, lots[at]),
    )


def in_turn(options: Sequence[Option], turn: int) -> Order:
    """Each is first once in as many requests as there are options."""
    count = len(options)
    return [(turn + step) % count for step in range(count)]


def by_weight(options: Sequence[Option], dice: Dice) -> Order:
    """Drawn by lot without putting back: who has twice the weight is first twice as often."""
    return _by_share(options, [dice() for _ in options])


def by_conversation(options: Sequence[Option], conversation: bytes) -> Order:
    """The same conversation, the same order (rendezvous hashing).

    Everyone's lot depends on nobody else: who leaves moves its own conversations alone.
    """
    lots = [
        int.from_bytes(blake2b(item.name.encode(), key=conversation[:64], digest_size=8).digest())
        / _TOP
        for item in options
    ]
    return _by_share(options, lots)


def _by_share(options: Sequence[Option], lots: Sequence[float]) -> Order:
    """Efraimidis and Spirakis: the smallest of -ln(u) / weight is first in the share of its weight."""
    return sorted(
        range(len(options)),
        key=lambda at: -math.log(max(lots[at], 1 / _TOP)) / options[at].weight,
    )


def _band(option: Option) -> int:
    """The score in steps of ten: what is about as good keeps the order given, and a prompt its cache."""
    return round(option.score / 10)


def _last_if_none(cost: Decimal | None) -> tuple[bool, Decimal]:
    return (cost is None, cost if cost is not None else Decimal(0))


class Turns:
    """Whose turn it is, by the name under which they take turns."""

    most = 4096
    """Names kept; they are foreign input."""

    def __init__(self) -> None:
        self._turns: dict[str, int] = {}

    def next(self, name: str) -> int:
        """0, 1, 2 and so on."""
        turn = self._turns.pop(name, 0)
        if len(self._turns) >= self.most:
            del self._turns[next(iter(self._turns))]
        self._turns[name] = turn + 1
        return turn
