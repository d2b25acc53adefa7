"""What the numbers that processes watch were last read as: one look at the database serves all who ask.

Several parts of a server want to know whether something that they keep in memory has changed. With a question
each they were most of what an idle server did: one of them looks again and again, and the others go by that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Heard: TypeAlias = Callable[[Mapping[str, int], float], None]
"""Told of a look: the numbers by their names, and when it began, in monotonic seconds."""


@dataclass(slots=True)
class Numbers:
    """The last look at the numbers of one database."""

    known: Mapping[str, int] = field(default_factory=dict)
    at: float = float("-inf")
    """When it began, in monotonic seconds."""
    told: list[Heard] = field(default_factory=list)
    """Who hears of every look."""

    def take(self, known: Mapping[str, int], at: float) -> None:
        """Takes over a look that began at a moment, unless a later one was quicker."""
        if at < self.at:
            return
        self.known, self.at = known, at
        for heard in self.told:
            heard(known, at)

    def lately(self, name: str, since: float) -> int | None:
        """Where a number stood in the last look; None: that began before ``since``."""
        return self.known.get(name) if self.at >= since else None
