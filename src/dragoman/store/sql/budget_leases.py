"""Leases of budgets in SQL: the one place where all processes' budgets meet (D27, D28).

They are not in Redis, though there may be one: a lease and the rows that are paid from it change in one
transaction here, so nothing that is lost, restarted or cut off can make the two disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from dragoman.admission.budget_lease import grant_of
from dragoman.admission.budget_ports import Back, Leased, Want
from dragoman.core.budget import Pot
from dragoman.store.budget_tables import alerts, leases, pots
from dragoman.store.sql.budget_charges import is_pot

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from dragoman.core.clock import Clock
    from dragoman.store.engine import Database


KEPT_DAYS = 400
"""How long what was spent in a day or a month is known."""
OVER_DAYS = 40
"""After so many days every stretch that began then is over, and the calls in it as well."""


class SqlLeases:
    """A ``LeaseStore`` in SQLite or PostgreSQL."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def lease(self, holder: str, wants: Sequence[Want], *, alone: bool) -> Sequence[Leased]:
        """Leases from each pot at least what is needed, or what there is; in one transaction."""
        async with self._database.write() as connection:
            return [await self._lease(connection, holder, want, alone=alone) for want in wants]

    async def _lease(
        self, connection: AsyncConnection, holder: str, want: Want, *, alone: bool
    ) -> Leased:
        spent, held = await _locked(connection, want.pot)
        leased = await connection.execute(
            select(func.coalesce(func.sum(leases.c.granted_pico), 0)).where(
                is_pot(leases, want.pot)
            )
        )
        left = want.limit - spent - held - int(leased.scalar_one())
        granted = grant_of(left, want.need, want.least, want.limit, alone=alone)
        if granted:
            make = postgresql.insert if self._is_postgres else sqlite.insert
            statement = make(leases).values(
                {
                    **want.pot._asdict(),
                    "holder": holder,
                    "granted_pico": granted,
                    "seen_ms": self._now_ms(),
                }
            )
            await connection.execute(
                statement.on_conflict_do_update(
                    index_elements=list(leases.primary_key),
                    set_={
                        "granted_pico": leases.c.granted_pico + granted,
                        "seen_ms": self._now_ms(),
                    },
                )
            )
        return Leased(granted, max(0, left - granted), spent, held)

    async def give_back(self, holder: str, backs: Sequence[Back]) -> None:
        """Returns what the holder does not need."""
        async with self._database.write() as connection:
            for back in backs:
                mine = [is_pot(leases, back.pot), leases.c.holder == holder]
                if back.idle:
                    await connection.execute(delete(leases).where(*mine))
                else:
                    left = leases.c.granted_pico - back.amount
                    await connection.execute(update(leases).where(*mine).values(granted_pico=left))

    async def touch(self, holder: str) -> None:
        """Tells that the holder is alive."""
        async with self._database.write() as connection:
            await connection.execute(
                update(leases).where(leases.c.holder == holder).values(seen_ms=self._now_ms())
            )

    async def ended(self, holder: str) -> None:
        """The holder is dead, and all that it had consumed is written: what it had leased is free."""
        async with self._database.write() as connection:
            await connection.execute(delete(leases).where(leases.c.holder == holder))

    async def forget(self, now_day: int) -> None:
        """Drops stretches that ended long ago, what was leased of those that are over, and what was told then."""
        async with self._database.write() as connection:
            for table, days in ((pots, KEPT_DAYS), (alerts, KEPT_DAYS), (leases, OVER_DAYS)):
                await connection.execute(
                    delete(table).where(
                        table.c.span.in_(("day", "month")), table.c.since < now_day - days
                    )
                )

    async def told(self, pot: Pot, share: int) -> bool:
        """Notes that the operator is told of a share of a pot; whether nobody had done it."""
        make = postgresql.insert if self._is_postgres else sqlite.insert
        row = {**pot._asdict(), "share": share, "told_ms": self._now_ms()}
        try:
            async with self._database.write() as connection:
                added = await connection.execute(make(alerts).values(row).on_conflict_do_nothing())
        except IntegrityError:
            return False
        return bool(added.rowcount)

    @property
    def _is_postgres(self) -> bool:
        return self._database.backend == "postgresql"

    def _now_ms(self) -> int:
        return int(self._clock.wall() * 1000)


async def _locked(connection: AsyncConnection, pot: Pot) -> tuple[int, int]:
    """What is spent and held of the pot, its row held until the end of the transaction."""
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    row = {**pot._asdict(), "spent_pico": 0, "held_pico": 0}
    await connection.execute(make(pots).values(row).on_conflict_do_nothing())
    query = select(pots.c.spent_pico, pots.c.held_pico).where(is_pot(pots, pot))
    found = (await connection.execute(query.with_for_update())).one()
    return found.spent_pico, found.held_pico
