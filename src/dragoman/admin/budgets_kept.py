"""Where budgets are defined and settled by hand, as the admin room sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dragoman.admission.budget_rules import Rule
from dragoman.core.budget import Pot
from dragoman.core.budget_standing import Hold, Lease, Standing, Told, Totals


class Budgets(Protocol):
    """Budgets that were defined here, and how all stand."""

    async def rules(self) -> tuple[Rule, ...]:
        """All that are stored, by the alphabet."""
        ...

    async def define(self, rule: Rule) -> None:
        """Has a budget count, in place of one of that name; what it has spent stays."""
        ...

    async def remove(self, name: str) -> bool:
        """Removes a definition; whether there was one."""
        ...

    async def totals(self, wanted: Sequence[Pot], *, divided: bool) -> list[Totals]:
        """What all parts of a budget have come to in each of these stretches of time."""
        ...

    async def standing_of(self, wanted: Sequence[Pot]) -> list[Standing]:
        """How each of these pots stands, in their order."""
        ...

    async def parts(
        self, wanted: Sequence[Pot], *, after: tuple[str, str] | None, limit: int
    ) -> list[Standing]:
        """The parts that a divided budget has in these stretches, by subject and span."""
        ...

    async def holds(self, budget: str | None = None, limit: int = 1000) -> list[Hold]:
        """Attempts that something is held for, oldest first."""
        ...

    async def leases(self, budget: str | None = None) -> list[Lease]:
        """What processes have leased."""
        ...

    async def told(self, budget: str) -> list[Told]:
        """What the operator was told of a budget, newest first."""
        ...

    async def settle(self, name: str, cost_pico: int | None) -> list[Hold]:
        """Settles what is held for a call or an attempt."""
        ...

    async def release_all(self, budget: str) -> list[Hold]:
        """Gives back all that is held of a budget."""
        ...

    async def end(self, holder: str) -> bool | None:
        """Frees what a dead process has leased; None: it is alive, False: it has nothing."""
        ...
