"""Sums by labels, bounded: of words that are another in each call, such as a tag with an id, few are kept.

Whatever a caller writes has a row of its own while its day is young, and calls' own rows have all of it. Of a day
that is over for some time each tenant keeps the names with most calls of each kind; what the rest came to is one
name's, ``OTHERS``, so that sums stay what they were. A few rows at a time, as all that goes by itself.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import and_, delete, func, select, tuple_, update

from dragoman.store.ledger_tables import SUMS
from dragoman.store.sql.counters import number_of
from dragoman.store.sql.forgetting import BATCH, PAUSE_S
from dragoman.store.sql.ledger_rows import Row, statements
from dragoman.store.sql.summing import DAY_US
from dragoman.store.tables import meta
from dragoman.store.usage_tables import labels

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

    from dragoman.core.clock import Clock
    from dragoman.store.engine import Database

THINNED = "labels_thinned_day"
"""The counter that says before which day nothing is to be done any more."""
OTHERS = "(others)"
"""No tag has such signs."""
MOST_NAMES = 10_000
"""Names of one kind that a tenant keeps of a day."""
YOUNG_DAYS = 3
"""A day this old is not written to any more: later figures have come by then."""
_KINDS = ("caller", "user", "tag")
"""What callers write as they like; projects are as many as somebody has made."""
_NEVER = 2**40
_PLACE = (labels.c.name, labels.c.key_id, labels.c.provider, labels.c.model)


class _Group(NamedTuple):
    """What is bounded together."""

    tenant: str
    kind: str
    day: int


class SqlThinning:
    """Bounds the sums by labels of a ledger in SQLite or PostgreSQL."""

    def __init__(self, database: Database, clock: Clock, most: int = MOST_NAMES) -> None:
        self._database = database
        self._clock = clock
        self._most = most
        self._add = statements(database.engine.dialect).labels

    async def thin(self) -> int:
        """Puts together what is too much of days that are over; how many rows it were.

        A day at a time, and each that is done is noted: what fails, or ends with the process, goes on from there.
        """
        until = int(self._clock.wall() * 1_000_000) // DAY_US - YOUNG_DAYS
        async with self._database.read() as connection:
            since = await number_of(connection, THINNED)
        gone = 0
        while since < until:
            day = await self._next(since)
            if day < until:
                for group in await self._crowded(day):
                    gone += await self._thin_one(group)
            since = min(day + 1, until)
            await self._note(since)
        return gone

    async def _next(self, since: int) -> int:
        """The first day from ``since`` on of which there is any such sum; the end of time where there is none."""
        row = labels.c
        firsts = [select(func.min(row.day)).where(row.kind == k, row.day >= since) for k in _KINDS]
        async with self._database.read() as connection:
            found = [(await connection.execute(first)).scalar() for first in firsts]
        return min((day for day in found if day is not None), default=_NEVER)

    async def _crowded(self, day: int) -> list[_Group]:
        """Who has more names than are kept of a day."""
        row = labels.c
        crowded = (
            select(row.tenant, row.kind, row.day)
            .where(row.kind.in_(_KINDS), row.day == day, row.name != OTHERS)
            .group_by(row.tenant, row.kind, row.day)
            .having(func.count(row.name.distinct()) > self._most)
        )
        async with self._database.read() as connection:
            return [_Group(*found) for found in await connection.execute(crowded)]

    async def _note(self, day: int) -> None:
        """Says before which day all is done; it only ever moves on, whoever else is at it."""
        done = update(meta).where(meta.c.name == THINNED, meta.c.number < day)
        async with self._database.write() as connection:
            await connection.execute(done.values(number=day))

    async def _thin_one(self, group: _Group) -> int:
        """Goes through the rows of a group in their order."""
        row = labels.c
        most_called = (
            select(row.name)
            .where(_in(group), row.name != OTHERS)
            .group_by(row.name)
            .order_by(func.sum(row.requests).desc(), func.sum(row.cost_pico).desc(), row.name)
            .limit(self._most)
        )
        async with self._database.read() as connection:
            kept = {OTHERS, *(await connection.execute(most_called)).scalars()}
        gone, after = 0, ("", "", "", "")
        while True:
            some = select(*_PLACE).where(_in(group), tuple_(*_PLACE) > after)
            async with self._database.read() as connection:
                ordered = some.order_by(*_PLACE).limit(BATCH)
                places = [tuple(found) for found in await connection.execute(ordered)]
            if not places:
                return gone
            after = places[-1]
            if rest := [place for place in places if place[0] not in kept]:
                gone += await self._put_together(group, rest)
            await asyncio.sleep(PAUSE_S)

    async def _put_together(self, group: _Group, places: list[tuple[str, ...]]) -> int:
        """Of several processes at it, and of one that still adds to a row, each counts what it removes itself."""
        these = and_(_in(group), tuple_(*_PLACE).in_(places))
        ordered = select(*_PLACE).where(these).order_by(*_PLACE).with_for_update()
        sums: dict[Row, list[int]] = {}
        async with self._database.write() as connection:
            await connection.execute(ordered)  # locked in the order in which everybody locks
            removed = delete(labels).where(these).returning(labels)
            found = (await connection.execute(removed)).all()
            for each in found:
                place = (*group, OTHERS, each.key_id, each.provider, each.model)
                numbers = each[-len(SUMS) :]
                so_far = sums.get(place, [0] * len(SUMS))
                sums[place] = [a + b for a, b in zip(so_far, numbers, strict=True)]
            rows: list[Any] = [(*place, *sums[place]) for place in sorted(sums)]
            if rows:
                await connection.exec_driver_sql(self._add, rows)
        return len(found)


def _in(group: _Group) -> ColumnElement[bool]:
    row = labels.c
    return and_(row.tenant == group.tenant, row.kind == group.kind, row.day == group.day)
