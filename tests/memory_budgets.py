"""Where budgets of several processes meet, in memory: the contract of SQL's leases without a database."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dragoman.admission.budget_lease import grant_of
from dragoman.admission.budget_ports import Back, Leased, Want
from dragoman.core.budget import Charge, Pot, pots_of
from dragoman.core.errors import HouseError


@dataclass
class MemoryLeases:
    """Leases, and what the ledger has written; every question takes a turn of the event loop."""

    spent: defaultdict[Pot, int] = field(default_factory=lambda: defaultdict(int))
    held: defaultdict[Pot, int] = field(default_factory=lambda: defaultdict(int))
    leased: defaultdict[tuple[Pot, str], int] = field(default_factory=lambda: defaultdict(int))
    alerts: set[tuple[Pot, int]] = field(default_factory=set)
    asked: int = 0
    down: bool = False
    turns: Callable[[], int] = lambda: 1
    """How many turns of the event loop the way to the store takes, and the way back from it one less."""

    def sum_of(self, pot: Pot) -> int:
        granted = sum(amount for (each, _), amount in self.leased.items() if each == pot)
        return self.spent[pot] + self.held[pot] + granted

    async def lease(self, holder: str, wants: Sequence[Want], *, alone: bool) -> list[Leased]:
        self.asked += 1
        await self._travel(self.turns())
        self._there()
        found = []
        for want in wants:
            left = want.limit - self.sum_of(want.pot)
            granted = grant_of(left, want.need, want.least, want.limit, alone=alone)
            self.leased[want.pot, holder] += granted
            found.append(
                Leased(granted, max(0, left - granted), self.spent[want.pot], self.held[want.pot])
            )
        await self._travel(self.turns() - 1)
        return found

    async def give_back(self, holder: str, backs: Sequence[Back]) -> None:
        await self._travel(self.turns())
        self._there()
        for back in backs:
            if back.idle:
                self.leased.pop((back.pot, holder), None)
            elif (back.pot, holder) in self.leased:
                self.leased[back.pot, holder] -= back.amount

    async def touch(self, holder: str) -> None:
        self._there()

    async def told(self, pot: Pot, share: int) -> bool:
        self._there()
        if (pot, share) in self.alerts:
            return False
        self.alerts.add((pot, share))
        return True

    def write(self, charges: Sequence[Charge]) -> dict[Pot, tuple[int, int]]:
        """What the ledger does with charges that are new."""
        touched = {}
        for charge in charges:
            for pot in pots_of(charge.stake.payers, charge.wall):
                self.spent[pot] += charge.spent
                self.held[pot] += charge.held
                if (pot, charge.stake.holder) in self.leased:
                    self.leased[pot, charge.stake.holder] -= charge.covered
                touched[pot] = (self.spent[pot], self.held[pot])
        return touched

    def ended(self, holder: str) -> None:
        for key in [key for key in self.leased if key[1] == holder]:
            del self.leased[key]

    async def _travel(self, turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)

    def _there(self) -> None:
        if self.down:
            raise HouseError("overloaded", "The database cannot be reached.")
