"""What is to be set right in a shared counter, put together until it is sent: one call for a key, whatever comes.

Places that were given back are never lost on the way: until the counter has heard of them they are kept, and
what is taken of their key meanwhile may carry them along. Changes are kept up to a bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice

from dragoman.admission.limits import SLOTS
from dragoman.admission.rules import SECONDS, Unit
from dragoman.core.errors import HouseError
from dragoman.store.shared.ports import Correction

MOST_CHANGES = 10_000
MOST_CARRIED = 64
"""How many places a request carries along."""
_FINEST_S = min(SECONDS.values()) / SLOTS
"""What was taken within such a slot counts into the same slot of every window."""

Name = tuple[str, Unit]


@dataclass(slots=True)
class _Due:
    """Of one key's unit."""

    changes: dict[int, tuple[float, int]] = field(default_factory=dict)
    """By slot: a moment within it, and the sum."""
    places: dict[str, int] = field(default_factory=dict)
    """How many are still held under a name."""


class Corrections:
    """What the counter has still to hear of."""

    def __init__(self, told: Callable[[str, Exception | None], None]) -> None:
        """``told`` hears when changes are thrown away."""
        self._told = told
        self._waiting: dict[Name, _Due] = {}
        self._under_way: dict[Name, _Due] = {}
        self._changes = 0
        self._is_full = False

    def __bool__(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._waiting)

    def change(self, key_id: str, unit: Unit, at: float, change: int) -> None:
        """What was taken at that moment came to more or less."""
        due, slot = self._due((key_id, unit)), int(at / _FINEST_S)
        known = due.changes.get(slot)
        if known is not None:
            due.changes[slot] = (known[0], known[1] + change)
        elif self._changes < MOST_CHANGES:
            self._changes += 1
            due.changes[slot] = (at, change)
        elif not self._is_full:
            self._is_full = True
            self._told(
                "limits are not set right any more by what calls did use",
                HouseError("overloaded", f"More than {MOST_CHANGES} corrections wait to be sent."),
            )

    def place(self, key_id: str, unit: Unit, name: str, left: int = 0) -> None:
        """So many places are still held under the name, and no more."""
        self._due((key_id, unit)).places[name] = left

    def given_back(self, key_id: str, unit: Unit) -> tuple[str, ...]:
        """Names under which none is held any more, of which the counter may not have heard."""
        found: list[str] = []
        for dues in (self._waiting, self._under_way):
            due = dues.get((key_id, unit))
            if due is not None:
                found += [name for name, left in due.places.items() if not left]
        return tuple(found[:MOST_CARRIED])

    def heard(self, key_id: str, unit: Unit, places: Iterable[str]) -> None:
        """The counter has heard of places that were given back."""
        due = self._waiting.get((key_id, unit))
        if due is None:
            return
        for name in places:
            due.places.pop(name, None)
        if not (due.places or due.changes):
            del self._waiting[key_id, unit]

    def batch(self, most: int) -> list[Correction]:
        """What is sent now, of at most so many keys; then ``arrived`` or ``failed``."""
        for name in list(islice(self._waiting, most)):
            self._under_way[name] = self._waiting.pop(name)
        for due in self._under_way.values():
            self._changes -= len(due.changes)
        if not self._waiting:
            self._is_full = False
        return [
            Correction(key_id, unit, tuple(due.changes.values()), tuple(due.places.items()))
            for (key_id, unit), due in self._under_way.items()
        ]

    def arrived(self) -> None:
        """The batch has been heard of."""
        self._under_way.clear()

    def failed(self) -> None:
        """Nobody knows whether the batch has been heard of.

        A place that is given back twice is no harm, and what counts twice lets nobody through; what was
        less stays counted until it leaves its windows.
        """
        batch, self._under_way = self._under_way, {}
        for (key_id, unit), due in batch.items():
            now = self._due((key_id, unit))
            now.places = {**due.places, **now.places}
            for at, change in due.changes.values():
                if change > 0:
                    self.change(key_id, unit, at, change)

    def _due(self, name: Name) -> _Due:
        due = self._waiting.get(name)
        if due is None:
            due = self._waiting[name] = _Due()
        return due
