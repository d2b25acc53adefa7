"""Which providers a key prefers by their score (R-ROUTE-008): a window, the limits within it.

It is a preference: where nobody is within it, nobody is left out. And who was never measured is within
any: how else would it ever be measured?
"""

from __future__ import annotations

from msgspec import Struct


class Window(Struct, frozen=True):
    """The least and the highest score, 0 to 100; None: no such limit."""

    least: float | None = None
    most: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether every score is within it."""
        return self.least is None and self.most is None


NO_WINDOW = Window()


def within(window: Window, score: float) -> bool:
    """Whether a score is within the window, its limits included."""
    if window.least is not None and score < window.least:
        return False
    return window.most is None or score <= window.most
