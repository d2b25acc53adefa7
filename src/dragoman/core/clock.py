"""Time is passed in: rooms take a ``Clock``, tests give one that they move by hand."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """The two times that a gateway needs."""

    def monotonic(self) -> float:
        """Seconds that never run backwards, for durations and limits."""
        ...

    def wall(self) -> float:
        """Unix seconds, for what people read."""
        ...


class SystemClock:
    """The machine's own clock."""

    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)


class ManualClock:
    """A clock that stands still until it is moved."""

    def __init__(self, monotonic: float = 1000.0, wall: float = 1_760_000_000.0) -> None:
        self._monotonic = monotonic
        self._wall = wall

    def monotonic(self) -> float:
        """The time set."""
        return self._monotonic

    def wall(self) -> float:
        """The time set, in Unix seconds."""
        return self._wall

    def advance(self, seconds: float) -> None:
        """Moves both times on."""
        self._monotonic += seconds
        self._wall += seconds
