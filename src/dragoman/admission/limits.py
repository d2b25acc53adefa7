"""Counts requests in a window that slides, in whole slots, and never lets too many through.

A window keeps how many requests each of its last slots saw, a slot being a 250th of the
window, and only the slots that saw any. A slot counts until all of it is older than the
window, so no stretch of that length ever holds more than the limit; a caller who uses the
limit to the full gets 99.6 % of it. A fixed window would let twice the limit through at its
edge, and the common two-bucket estimate half as much again.
"""

from __future__ import annotations

from collections import deque

SLOTS = 250


class Window:
    """The requests of one caller in one sliding window; time is passed in."""

    __slots__ = ("_slots", "_width", "used")

    def __init__(self, seconds: float) -> None:
        self._width = seconds / SLOTS
        self._slots: deque[list[int]] = deque()
        """Pairs of a slot's number and its count, oldest first."""
        self.used = 0
        """Requests in the window, as of the last ``turn``."""

    def turn(self, now: float) -> None:
        """Forgets what has left the window at ``now``."""
        slots = self._slots
        gone = int(now / self._width) - SLOTS
        while slots and slots[0][0] < gone:
            self.used -= slots.popleft()[1]

    def count(self, now: float) -> None:
        """Counts one request at ``now``."""
        number = int(now / self._width)
        slots = self._slots
        # A clock that stood still or went back a little counts into the newest slot.
        if slots and slots[-1][0] >= number:
            slots[-1][1] += 1
        else:
            slots.append([number, 1])
        self.used += 1

    def room_after(self, now: float) -> float:
        """Seconds until the oldest request leaves the window, 0 where it is empty."""
        return self._left_after(self._slots[0][0], now) if self._slots else 0.0

    def empty_after(self, now: float) -> float:
        """Seconds until the newest request leaves the window, 0 where it is empty."""
        return self._left_after(self._slots[-1][0], now) if self._slots else 0.0

    def _left_after(self, number: int, now: float) -> float:
        return max(0.0, (number + SLOTS + 1) * self._width - now)
