"""The ledger in SQL: batches in, sums and lines out.

A batch is one transaction: rows that are not there yet, and the hours' sums of just those
(``ledger_rows.py``). Rows go in by the driver's own executemany, as SQLAlchemy's per-row work
would cost four times the insert.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from sqlalchemy import and_, or_, select
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from dragoman.accounting.entry import Entry
from dragoman.accounting.ports import ANY, EntryRefused, Line, Only, Scope, Sums
from dragoman.accounting.served import Served
from dragoman.accounting.settling import is_unsettled
from dragoman.core.errors import HouseError
from dragoman.core.ids import uuid7_of
from dragoman.store.budget_tables import charges
from dragoman.store.ledger_tables import attempts, requests
from dragoman.store.sql.budget_charges import Charged, Totals, charge
from dragoman.store.sql.direct import Step, run_all, run_each
from dragoman.store.sql.ledger_entry import entry_of_rows
from dragoman.store.sql.ledger_rows import (
    Added,
    Row,
    add_sums,
    calls_parameter,
    entry_values,
    question_values,
    statements,
)
from dragoman.store.sql.served_rows import (
    PROVIDER,
    ServedRows,
    add_served,
    attempt_of,
    call_of,
    count_served,
    served_statements,
)
from dragoman.store.sql.summing import Summing
from dragoman.store.sql.sums import only_terms, within

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement
    from sqlalchemy.engine import Row as Found
    from sqlalchemy.ext.asyncio import AsyncConnection

    from dragoman.store.engine import Database

_PAGE = 5000
_SLICE = 500
"""Entries between two looks at what else the event loop has to do: a millisecond or so."""
_GENTLY = 800
"""Calls of a batch up to which it lets requests go first."""
_SLACK_S = 60
"""By how much an id may be older than the moment that its row tells."""
_REFUSALS = ("22", "23")
"""SQLSTATE classes of data that does not fit and of broken constraints."""

_LINE = [requests.c[name] for name in Line.__struct_fields__]


class Questions(NamedTuple):
    """Which providers can be asked afterwards what an answer came to, and how many answers are looked at again."""

    after_s: Callable[[], Mapping[str, float]]
    """By provider: the seconds after which it knows."""
    wall: Callable[[], float]
    sample: float = 0.0


class _Calls(NamedTuple):
    """Calls of a batch: all of them, or those that are new to the ledger."""

    entries: Sequence[Entry]
    served: Sequence[Served]


class _Rows(NamedTuple):
    """The parameters of a batch, and what it adds to the sums."""

    calls: list[Row]
    tries: list[Row]
    served: ServedRows
    sums: Added


T = TypeVar("T")


def _slices(all_: Sequence[T]) -> Iterator[Sequence[T]]:
    return (all_[start : start + _SLICE] for start in range(0, len(all_), _SLICE))


class SqlLedger:
    """A ``Ledger`` in SQLite or PostgreSQL."""

    def __init__(
        self,
        database: Database,
        charged: Callable[[Sequence[str], Totals], None] | None = None,
        questions: Questions | None = None,
    ) -> None:
        """``charged`` is told which attempts that budgets pay for are written now, and how their pots stand.

        ``questions`` says whose providers can be asked afterwards what an attempt came to.
        """
        self._database = database
        self._charged = charged
        self._questions = questions
        self._statements = statements(database.engine.dialect)
        self._served = served_statements(database.engine.dialect)
        self._summing = Summing(database)

    async def write(self, entries: Sequence[Entry], served: Sequence[Served] = ()) -> int:
        """Writes what is not there yet, in one transaction; how many calls were new."""
        if not (entries or served):
            return 0
        batch = int.from_bytes(os.urandom(8), "big") >> 1
        rows = await self._rows(entries, served, batch)
        every = fresh = _Calls(entries, served)
        sums = rows.sums
        try:
            new = len(entries) + len(served)
            # A process that is busier must not fall behind: its requests wait for one another anyway.
            database = self._database
            writing = database.write_behind() if new <= _GENTLY else database.write()
            async with writing as connection:
                if await self._insert(connection, rows) != new:
                    fresh, sums = await self._only_new(connection, fresh, batch)
                    new = len(fresh.entries) + len(fresh.served)
                if new:
                    await add_sums(connection, self._statements, sums.rows())
                if self._questions is not None and (open_ := self._open(fresh)):
                    await run_each(connection, self._statements.question, open_)
                totals: Totals = {}
                paid = _charges(fresh.entries)
                if paid or rows.served.paid:
                    insert = self._statements.charge
                    totals = await charge(connection, insert, paid, fresh.served)
        except (IntegrityError, OverflowError) as error:
            raise EntryRefused(type(error).__name__) from error
        except HouseError as error:
            if _is_refusal(error.__cause__):
                raise EntryRefused(type(error.__cause__).__name__) from error
            raise
        if self._charged is not None:
            if fresh is not every:
                paid = _charges(every.entries)
            ids = [attempt for _, attempt, _ in paid]
            ids += map(attempt_of, rows.served.paid)
            self._charged(ids, totals)
        return new

    async def _rows(self, entries: Sequence[Entry], served: Sequence[Served], batch: int) -> _Rows:
        """The parameters of all rows, and what they add to the sums; others have their turn meanwhile."""
        rows = _Rows([], [], ServedRows([], [], []), Added())
        spelling, spelt = self._statements.spelling, self._served.spelt
        for some in _slices(entries):
            for entry in some:
                call, its_tries = entry_values(entry, batch, spelling)
                rows.calls.append(call)
                rows.tries.extend(its_tries)
            rows.sums.count([entry.request for entry in some])
            await asyncio.sleep(0)
        for few in _slices(served):
            add_served(rows.served, few, batch, spelt)
            count_served(rows.sums, few)
            await asyncio.sleep(0)
        return rows

    async def _insert(self, connection: AsyncConnection, rows: _Rows) -> int:
        """Inserts the rows that are not there yet; how many calls were new, where the driver counts."""
        calls = (
            Step(self._statements.request, rows.calls),
            Step(self._served.call, rows.served.calls),
        )
        tries = (
            Step(self._statements.attempt, rows.tries),
            Step(self._served.attempt, rows.served.tries),
            Step(self._served.paid, rows.served.paid),
        )
        changed = await run_all(connection, calls + tries)
        return sum(changed[: len(calls)])

    def _open(self, fresh: _Calls) -> list[Row]:
        """What is to be asked about of new calls."""
        assert self._questions is not None
        asked = self._questions
        after_s, sample, spelling = asked.after_s(), asked.sample, self._statements.spelling
        if not after_s:
            return []
        now_ms = int(asked.wall() * 1000)
        at_once = (each.entry() for each in fresh.served if each.facts[PROVIDER] in after_s)
        return [
            question_values(row, now_ms + int(after_s[row.provider] * 1000), spelling)
            for entry in (*fresh.entries, *at_once)
            for row in entry.attempts
            if row.provider in after_s and is_unsettled(row, entry.request.operation, sample)
        ]

    async def _only_new(
        self, connection: AsyncConnection, given: _Calls, batch: int
    ) -> tuple[_Calls, Added]:
        """Which of the calls this batch has inserted, and their sums.

        Asked where some were there already, and always where the driver does not count.
        """
        # The first of those with the same id is the one that went in.
        served = {call_of(each): each for each in reversed(given.served)}
        rows = {entry.request.call_id: entry for entry in reversed(given.entries)}
        calls = calls_parameter(connection.dialect, list(served | rows))
        found = await connection.exec_driver_sql(self._statements.ours, (calls, batch))
        new = {str(call) for call in found.scalars()}
        fresh = _Calls(
            [entry for call, entry in rows.items() if call in new],
            [each for call, each in served.items() if call in new and call not in rows],
        )
        sums = Added()
        sums.count([entry.request for entry in fresh.entries])
        count_served(sums, fresh.served)
        return fresh, sums

    async def sums(self, scope: Scope) -> Sums:
        """The totals of a scope."""
        return await self._summing.total(scope)

    async def by_hour(self, scope: Scope) -> dict[int, Sums]:
        """The totals of each hour, counted from 1970."""
        return await self._summing.by_hour(scope)

    async def by_day(self, scope: Scope) -> dict[int, Sums]:
        """The totals of each UTC day, counted from 1970."""
        return await self._summing.by_day(scope)

    async def by_model(self, scope: Scope) -> dict[tuple[str, str], Sums]:
        """The totals of each provider and model."""
        return await self._summing.by_model(scope)

    async def find(self, scope: Scope, name: str) -> Line | None:
        """The call of that id; else the newest whose request or generation has the name."""
        async with self._database.read() as connection:
            found = await _find(connection, scope, name, _LINE)
        return None if found is None else Line(*tuple(found))

    async def entry(self, scope: Scope, name: str) -> Entry | None:
        """All that is known of the call that ``find`` finds."""
        async with self._database.read() as connection:
            found = await _find(connection, scope, name, list(requests.c))
            if found is None:
                return None
            query = select(*attempts.c).where(attempts.c.call_id == found.call_id)
            tries = (await connection.execute(query.order_by(attempts.c.number))).all()
            paid = select(*charges.c).where(charges.c.call_id == found.call_id)
            charged = (await connection.execute(paid)).all()
        return entry_of_rows(found, tries, charged)

    async def lines(
        self,
        scope: Scope,
        limit: int | None,
        *,
        before: tuple[int, str] | None = None,
        only: Only = ANY,
    ) -> AsyncIterator[list[Line]]:
        """The newest calls first, at most ``limit``, in lists of some thousands.

        Each list continues after the last call of the one before, so none comes twice.
        """
        query = (
            select(*_LINE)
            .where(
                within(requests, requests.c.created_us, scope, scope.since_us, scope.until_us),
                *only_terms(only, self._database.backend),
            )
            .order_by(requests.c.created_us.desc(), requests.c.call_id.desc())
        )
        page = query if before is None else query.where(_older(*before))
        left = limit
        while left is None or left > 0:
            size = _PAGE if left is None else min(left, _PAGE)
            async with self._database.read() as connection:
                found = (await connection.execute(page.limit(size))).all()
            lines = [Line(*row) for row in found]
            if lines:
                yield lines
            if len(lines) < size:
                return
            left = None if left is None else left - size
            page = query.where(_older(lines[-1].created_us, lines[-1].call_id))


def _charges(entries: Sequence[Entry]) -> list[Charged]:
    """What budgets pay for calls."""
    return [
        (row.call_id, row.attempt_id, row.charge)
        for entry in entries
        for row in entry.attempts
        if row.charge is not None
    ]


async def _find(
    connection: AsyncConnection, scope: Scope, name: str, columns: list[Any]
) -> Found[Any] | None:
    """The row of the call of that id; else of the newest whose request or generation has the name.

    Each name is looked up in an index of its own: with OR in one query neither is sure to be used.
    """
    row = requests.c
    whose = within(requests, row.created_us, scope, None, None)
    recent = within(requests, row.created_us, scope, scope.since_us, None)
    if scope.since_us is not None:
        # Ids are ordered by time, and stand in every index.
        earliest = uuid7_of(max(0, scope.since_us) / 1_000_000 - _SLACK_S, 0)
        recent = and_(recent, row.call_id >= earliest)
    by_id = select(*columns).where(whose, row.call_id == name)
    found = (await connection.execute(by_id)).first()
    if found is not None:
        return found
    named = []
    for column in (row.request_id, row.upstream_id):
        query = select(*columns).where(column == name, recent).order_by(row.call_id.desc())
        found = (await connection.execute(query.limit(1))).first()
        if found is not None:
            named.append(found)
    return max(named, key=lambda found: str(found.call_id), default=None)


def _older(moment: int, name: str) -> ColumnElement[bool]:
    created, call = requests.c.created_us, requests.c.call_id
    return and_(created <= moment, or_(created < moment, call < name))


def _is_refusal(cause: BaseException | None) -> bool:
    """Whether the database was there and did not want this data."""
    if isinstance(cause, DataError | IntegrityError):
        return True
    state = getattr(cause.orig, "sqlstate", None) if isinstance(cause, DBAPIError) else None
    return isinstance(state, str) and state[:2] in _REFUSALS
