"""What budgets need of stores: leases on what there is to spend, and what is defined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from dragoman.admission.budget_rules import Rule
from dragoman.core.budget import Pot


class Want(Struct, frozen=True, gc=False):
    """How much of a pot a process would lease; amounts in 10⁻¹² USD."""

    pot: Pot
    limit: int
    """What the pot holds when it is full."""
    need: int
    """What all who wait for it need together."""
    least: int
    """What the most modest of them needs: less helps nobody."""


class Leased(Struct, frozen=True, gc=False):
    """What a process has been given of a pot, and how the pot stands then, for all processes together."""

    granted: int
    left: int
    """Not leased to anybody, not spent and not held."""
    spent: int
    held: int


class Back(Struct, frozen=True, gc=False):
    """What a process gives back of a pot; ``idle``: it has nothing of it in use, whatever is written."""

    pot: Pot
    amount: int
    idle: bool


class LeaseStore(Protocol):
    """Where all processes' budgets meet. A failure to reach it is a ``HouseError``."""

    async def lease(self, holder: str, wants: Sequence[Want], *, alone: bool) -> Sequence[Leased]:
        """Leases from each pot at least what is needed, or what there is; in one transaction."""
        ...

    async def give_back(self, holder: str, backs: Sequence[Back]) -> None:
        """Returns what the holder does not need."""
        ...

    async def touch(self, holder: str) -> None:
        """Tells that the holder is alive."""
        ...

    async def told(self, pot: Pot, share: int) -> bool:
        """Notes that the operator is told of a share (millionths) of a pot; whether nobody had done it."""
        ...


class RuleStore(Protocol):
    """The budgets that are defined in the database."""

    async def version(self) -> int:
        """A number that every change of a definition moves on."""
        ...

    async def lately(self) -> int:
        """The same, as it stood half a second ago at most: whoever looked then."""
        ...

    async def rules(self) -> tuple[Rule, ...]:
        """All of them."""
        ...
