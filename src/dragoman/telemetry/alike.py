"""Requests that have ended alike: noted one by one, added up when somebody looks or many wait.

A note is one tuple at the end of a list. Adding up many at once is cheaper by far than each alone, and
what is read is the same, as whoever reads has them added up first.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, TypeAlias, TypeVar

from dragoman.core.usage import Usage
from dragoman.telemetry.numbers import End, Histogram, Served, Spoken

MOST = 128
"""Requests that wait to be added up."""
Note: TypeAlias = tuple[float, float, float | None, float, Usage | None, Decimal | None]
"""How long it took in all, and of that ours; the try's first content and its time; what it used and cost."""
_T = TypeVar("_T")


class Alike:
    """Requests with one try that went well, which differ in their numbers alone."""

    __slots__ = (
        "_attempts",
        "_end",
        "_overhead",
        "_served",
        "_spoken",
        "_took",
        "_try",
        "waiting",
    )

    def __init__(
        self,
        served: Served,
        end: End,
        overhead: Histogram,
        spoken: Spoken,
        took: Histogram,
        attempts: dict[tuple[str, str], int],
        one: tuple[str, str],
    ) -> None:
        """Where they are counted; ``one`` is the place of their try in ``attempts``."""
        self.waiting: list[Note] = []
        self._served, self._end, self._overhead = served, end, overhead
        self._spoken, self._took = spoken, took
        self._attempts, self._try = attempts, one

    def add_up(self) -> None:
        """Adds up those that wait."""
        waiting = self.waiting
        if not waiting:
            return
        count, columns = len(waiting), tuple[Any, ...](zip(*waiting, strict=True))
        waiting.clear()
        durations, ours, firsts, tooks, usages, costs = columns
        served, spoken = self._served, self._spoken
        served.ends[self._end] = served.ends.get(self._end, 0) + count
        self._attempts[self._try] = self._attempts.get(self._try, 0) + count
        served.duration.observe_all(durations)
        self._overhead.observe_all(ours)
        self._took.observe_all(tooks)
        first = _said(firsts)
        served.first_token.observe_all(first)
        if self._end.streaming:
            spoken.first_chunk.observe_all(first)
        known: list[Usage] = _said(usages)
        read = [number for usage in known if (number := usage.input) is not None]
        written = [
            usage.output if usage.apart is None else usage.output + usage.apart
            for usage in known
            if usage.output is not None
        ]
        spoken.input.observe_all(read)
        spoken.output.observe_all(written)
        served.input += sum(read)
        served.output += sum(written)
        served.cost = sum(map(float, _said(costs)), served.cost)


def _said(values: Sequence[_T | None]) -> list[_T]:
    return [value for value in values if value is not None]
