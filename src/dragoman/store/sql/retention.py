"""Calls that are older than they are kept: removed a little at a time, so that no request notices.

Each batch is a transaction of its own over some hundred calls in the table's own order, a few milliseconds in
which another writer waits. What the calls added to the sums of hours, days and labels stays, unless that is
to go as well: what was spent is known for as long as somebody pays for it. From the moment up to which
calls were removed on, no report pretends to count them (``summing.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select, tuple_, update

from dragoman.core.ids import uuid7_of
from dragoman.store.body_tables import bodies
from dragoman.store.budget_tables import charges
from dragoman.store.ledger_tables import attempts, hours, requests
from dragoman.store.sql.ledger_rows import HOUR_US
from dragoman.store.sql.summing import DAY_US, KEPT_SINCE
from dragoman.store.tables import meta
from dragoman.store.usage_tables import days, labels

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from dragoman.core.clock import Clock
    from dragoman.store.engine import Database

_DAY_S = 86_400


class SqlRetention:
    """Removes what is old of a ledger in SQLite or PostgreSQL."""

    def __init__(self, database: Database, clock: Clock, keep_days: int) -> None:
        """``keep_days``: 1 at least, as a journal may still hold what was written today."""
        assert keep_days >= 1, "today's calls may still stand in journals"
        self._database = database
        self._clock = clock
        self._keep_days = keep_days

    @property
    def before_us(self) -> int:
        """The moment before which calls are old: the beginning of a UTC day."""
        return (int(self._clock.wall()) // _DAY_S - self._keep_days) * DAY_US

    async def old(self) -> int:
        """How many calls are old; counted one by one."""
        query = select(func.count()).where(requests.c.call_id < _first_id(self.before_us))
        async with self._database.read() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def expire(self, most: int) -> int:
        """Removes at most ``most`` calls that are old, with attempts and bodies; how many it were."""
        row, before = requests.c, self.before_us
        old = select(row.call_id).where(row.call_id < _first_id(before)).order_by(row.call_id)
        async with self._database.read() as connection:
            # Looked for first: most of the time there is nothing, and no lock is to be had for that.
            if (await connection.execute(old.limit(1))).scalar() is None:
                return 0
        async with self._database.write() as connection:
            await _mark(connection, before)
            names = list((await connection.execute(old.limit(most))).scalars())
            if not names:
                return 0
            last = names[-1]
            await connection.execute(delete(attempts).where(attempts.c.call_id <= last))
            settled = (charges.c.call_id <= last, charges.c.held_pico == 0)
            await connection.execute(delete(charges).where(*settled))
            await connection.execute(delete(bodies).where(bodies.c.call_id <= last))
            await connection.execute(delete(requests).where(row.call_id <= last))
        return len(names)

    async def forget_sums(self, most: int) -> int:
        """Removes at most ``most`` rows of each kind of sums that are old; how many it were."""
        day = self.before_us // DAY_US
        gone = 0
        for table, moment, first in (
            (hours, hours.c.hour, day * (DAY_US // HOUR_US)),
            (days, days.c.day, day),
            (labels, labels.c.day, day),
        ):
            key = list(table.primary_key)
            old = select(*key).where(moment < first).limit(most)
            async with self._database.write() as connection:
                done = await connection.execute(delete(table).where(tuple_(*key).in_(old)))
                gone += done.rowcount
        return gone


def _first_id(moment_us: int) -> str:
    return uuid7_of(max(0, moment_us) / 1_000_000, 0)


async def _mark(connection: AsyncConnection, before_us: int) -> None:
    """Says up to when calls were removed; it only ever moves on."""
    await connection.execute(
        update(meta)
        .where(meta.c.name == KEPT_SINCE, meta.c.number < before_us)
        .values(number=before_us)
    )
