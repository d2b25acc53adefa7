"""What a place is that several processes count in: of one host's files, or of Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from dragoman.admission.ports import Past, Short, Taken, Unknown
from dragoman.admission.rules import Rule, Unit

PLACE_S = 60.0
"""How long a place is held unless it is renewed: by then a process that was killed has lost all of its own."""
USED_S = 600.0
"""How long what the ledger said of an allowance is believed; what processes died with is forgotten then."""
PATIENCE_S = 0.25
"""How long a request waits for the counter."""
OF_FREE_PLACES = 16
"""Places to spare are given up to this part of those that are free."""


class Leased(Taken, frozen=True, gc=False):
    """There was room, and places as well."""

    places: int = 1
    """How many are held under the name."""


class Correction(Struct, frozen=True):
    """All that is to be set right of a key's unit."""

    key_id: str
    unit: Unit
    changes: tuple[tuple[float, int], ...] = ()
    """When something was taken, and by how much it came to more or less."""
    places: tuple[tuple[str, int], ...] = ()
    """Names of places, and how many are still held under them: never more than before."""


class Held(Struct, frozen=True):
    """Places that are held on."""

    key_id: str
    place: str
    number: int = 1


class SharedCounter(Protocol):
    """Counts for all processes together; it may fail, with a ``HouseError``."""

    async def take(
        self,
        key_id: str,
        rule: Rule,
        amount: int,
        *,
        most: int = 0,
        place: str | None = None,
        places: int = 1,
        spare: int = 0,
        past: Past | None = None,
        back: Sequence[str] = (),
    ) -> Taken | Short | Unknown:
        """Counts ``amount``, or as much up to ``most`` as there is room for, or nothing.

        Under the name ``place`` it takes up to ``places`` places, at least one, and up to ``spare`` beyond
        them where many are free; it tells how many (``Leased``). First it gives those of the names ``back`` back,
        which is no harm where that has been done.
        """
        ...

    async def correct(self, corrections: Sequence[Correction]) -> None:
        """Sets right what was taken."""
        ...

    async def renew(self, held: Sequence[Held]) -> None:
        """Goes on holding places."""
        ...

    async def processes(self) -> int:
        """Says that this process is there; how many are, this one included."""
        ...


def granted_places(free: int, places: int, spare: int) -> int:
    """How many of the free places one gets who needs so many, and would like some to spare."""
    needed = min(free, places)
    return needed + min(spare, (free - needed) // OF_FREE_PLACES)


def held_by_key(held: Sequence[Held]) -> dict[str, dict[str, int]]:
    """How many places are held under which name, of each key."""
    found: dict[str, dict[str, int]] = {}
    for each in held:
        found.setdefault(each.key_id, {})[each.place] = each.number
    return found
