"""Which providers a key or its tier prefers by their score (R-ROUTE-008): a window, the limits within it.

It is a preference: where nobody is within it, nobody is left out, unless the tier says ``require_score``.
And who was never measured is within any: how else would it ever be measured?
"""

from __future__ import annotations

from msgspec import Struct

from dragoman.core.call import NO_LIMITS, Limits


class Window(Struct, frozen=True):
    """The least and the highest score, 0 to 100; None: no such limit."""

    least: float | None = None
    most: float | None = None
    required: bool = False
    """Whether who is outside is not asked at all, rather than as long as somebody is within."""

    @property
    def is_open(self) -> bool:
        """Whether every score is within it."""
        return self.least is None and self.most is None


NO_WINDOW = Window()


def window_of(limits: Limits) -> Window:
    """The window that limits say."""
    least, most = limits.min_provider_score, limits.max_provider_score
    if limits is NO_LIMITS or (least is None and most is None):
        return NO_WINDOW
    return Window(least, most, bool(limits.require_score))


def within(window: Window, score: float) -> bool:
    """Whether a score is within the window, its limits included."""
    if window.least is not None and score < window.least:
        return False
    return window.most is None or score <= window.most


def told(window: Window) -> str:
    """The window in words."""
    if window.most is None:
        return f"{window.least:g} or more"
    if window.least is None:
        return f"{window.most:g} or less"
    return f"{window.least:g} to {window.most:g}"
