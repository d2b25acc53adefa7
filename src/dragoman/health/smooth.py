"""Moving averages of many values at once: what they would come to one by one, for the cost of a few."""

from __future__ import annotations

from collections.abc import Sequence
from operator import mul

MOST = 64
"""Values of one list that wait until somebody looks."""
_FELT = 512
"""So many last values are all that an average is made of: older ones are beyond a float's digits."""


class Smoothing:
    """How much the newest value weighs, and all the older ones for it."""

    def __init__(self, alpha: float) -> None:
        self._alpha, self._left = alpha, 1.0 - alpha
        self._weights = tuple(alpha * self._left**newer for newer in reversed(range(_FELT)))
        """Of the last values; the newest stands at the end."""

    def after(self, old: float | None, values: Sequence[float]) -> float | None:
        """The average after these; the first of all counts whole."""
        if not values:
            return old
        count = len(values)
        before = values[0] if old is None else old
        last = values if count <= _FELT else values[-_FELT:]
        return sum(map(mul, last, self._weights[-count:]), before * self._left**count)

    def after_one(self, old: float | None, value: float | None) -> float | None:
        """The average after one, if it was measured."""
        if old is None or value is None:
            return old if value is None else value
        return old + self._alpha * (value - old)

    def faded(self, old: float, count: int) -> float:
        """The average after so many zeros."""
        return old * self._left**count
