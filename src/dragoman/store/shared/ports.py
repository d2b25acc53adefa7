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


class Correction(Struct, frozen=True):
    """What was taken came to more or less, or was a place that is given back."""

    key_id: str
    unit: Unit
    taken: Taken | None = None
    change: int = 0
    place: str | None = None


class Held(Struct, frozen=True):
    """A place that is held on."""

    key_id: str
    place: str


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
        past: Past | None = None,
    ) -> Taken | Short | Unknown:
        """Counts ``amount``, or as much up to ``most`` as there is room for, or nothing."""
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
