"""Retries are at most a fifth of requests, with a floor of three a second (U12).

In an outage every caller would retry; the budget keeps the load on a broken provider near
what it was. One for each provider; the clock is passed in.
"""

from __future__ import annotations


class RetryBudget:
    """A bucket that each request fills by ``share`` and each second by ``floor``."""

    __slots__ = ("_floor", "_level", "_seen", "_share")

    def __init__(self, share: float = 0.2, floor: float = 3.0) -> None:
        self._share = share
        self._floor = floor
        self._level = floor
        self._seen: float | None = None

    def request(self, now: float) -> None:
        """A first attempt was made."""
        self._refill(now)
        self._level = min(self._level + self._share, self._floor + 20)

    def afford(self, now: float) -> bool:
        """Whether one retry is left."""
        self._refill(now)
        return self._level >= 1

    def spend(self) -> None:
        """A retry is made."""
        self._level -= 1

    def _refill(self, now: float) -> None:
        # The floor alone never saves up for more than a second: what requests have earned
        # above it is kept until it is spent.
        if self._seen is not None and self._level < self._floor:
            self._level = min(self._floor, self._level + (now - self._seen) * self._floor)
        self._seen = now
