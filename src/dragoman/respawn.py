"""When a dead worker is replaced: at once, unless it keeps dying.

A worker that falls over right after its start would otherwise be started twice a second for ever, each time at
the price of a whole start, on the cores that its living siblings need.
"""

from __future__ import annotations

STEADY_S = 60.0
"""A worker that has lived so long began well: its death is a new trouble."""
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0


class Pace:
    """The deaths in one worker's place; times are monotonic seconds."""

    __slots__ = ("_begun", "_deaths", "due")

    def __init__(self, now: float) -> None:
        self._begun = now
        self._deaths = 0
        self.due: float | None = None
        """When the next one begins, while the place is empty."""

    def began(self, now: float) -> None:
        """A new worker has been started."""
        self._begun = now
        self.due = None

    def died(self, now: float) -> float:
        """The worker is gone; the seconds until the next one begins, 0 for at once."""
        if now - self._begun >= STEADY_S:
            self._deaths = 0
        self._deaths += 1
        pause = 0.0 if self._deaths == 1 else FIRST_PAUSE_S * 2.0 ** min(self._deaths - 2, 16)
        pause = min(pause, LONGEST_PAUSE_S)
        self.due = now + pause
        return pause
