"""Counts what is used in a window that slides, in whole slots, and never lets too much through.

A window keeps how much each of its last slots saw, a slot being a 250th of the window, and only the
slots that saw any. A slot counts until all of it is older than the window, so no stretch of that
length ever holds more than the limit; a caller who uses the limit to the full gets 99.6 % of it. A fixed
window would let twice the limit through at its edge, and the common two-bucket estimate half as much again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from math import inf

SLOTS = 250


class Window:
    """The requests or tokens of one caller in one sliding window; time is passed in."""

    __slots__ = ("_slots", "_width", "newest", "newest_until", "turns_at", "used")

    def __init__(self, seconds: float, slots: Iterable[tuple[int, int]] = ()) -> None:
        self._width = seconds / SLOTS
        self._slots: deque[list[int]] = deque([number, amount] for number, amount in slots)
        """Pairs of a slot's number and how much it saw, oldest first."""
        self.used = sum(amount for _, amount in self._slots)
        """What is in the window, as of the last ``turn``."""
        self.turns_at = 0.0
        """Before this moment nothing leaves the window: a ``turn`` would change nothing."""
        self.newest: list[int] = []
        self.newest_until = -inf
        """What comes before this moment counts into the newest slot."""

    def turn(self, now: float) -> None:
        """Forgets what has left the window at ``now``."""
        slots = self._slots
        gone = int(now / self._width) - SLOTS
        while slots and slots[0][0] < gone:
            self.used -= slots.popleft()[1]
        if slots:
            self.turns_at = (slots[0][0] + SLOTS + 1) * self._width
        else:
            self.turns_at, self.newest_until = inf, -inf

    def count(self, now: float, amount: int = 1) -> None:
        """Counts so much at ``now``."""
        # A clock that stood still or went back a little counts into the newest slot.
        if now < self.newest_until:
            self.newest[1] += amount
        else:
            self.open_slot(now, amount)
        self.used += amount

    def open_slot(self, now: float, amount: int) -> None:
        """Puts so much into a slot of its own, unless it is the newest all the same; ``used`` is the caller's."""
        number = int(now / self._width)
        slots = self._slots
        if slots and slots[-1][0] >= number:
            slots[-1][1] += amount
        else:
            slots.append([number, amount])
            self.turns_at = min(self.turns_at, (number + SLOTS + 1) * self._width)
        self.newest = slots[-1]
        self.newest_until = (self.newest[0] + 1) * self._width

    def newest_since(self) -> float:
        """When the newest slot began."""
        return self.newest[0] * self._width

    def correct(self, at: float, change: int) -> int:
        """What was counted at a moment was more or less; by how much it is now, what has left being the past."""
        number = int(at / self._width)
        for slot in reversed(self._slots):
            if slot[0] <= number:
                if slot[0] != number:
                    return 0
                change = max(change, -slot[1])
                slot[1] += change
                self.used += change
                return change
        return 0

    def room_after(self, now: float, amount: int = 1, limit: int = 0) -> float:
        """Seconds until there is room for ``amount`` under ``limit``; without a limit, until any leaves."""
        left = self.used + amount - limit if limit else 1
        for number, counted in self._slots:
            left -= counted
            if left <= 0:
                return self._left_after(number, now)
        return self.empty_after(now)

    def empty_after(self, now: float) -> float:
        """Seconds until the newest request leaves the window, 0 where it is empty."""
        return self._left_after(self._slots[-1][0], now) if self._slots else 0.0

    def empty_at(self) -> float:
        """When the newest request leaves the window, which is not empty."""
        return (self._slots[-1][0] + SLOTS + 1) * self._width

    def slots(self) -> list[tuple[int, int]]:
        """What it holds, for a window made of it elsewhere."""
        return [(number, amount) for number, amount in self._slots]

    def _left_after(self, number: int, now: float) -> float:
        return max(0.0, (number + SLOTS + 1) * self._width - now)
