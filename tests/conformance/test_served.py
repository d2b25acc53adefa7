"""Calls that were served at once: whichever way they go into the ledger, it then says the same of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import Phase, given, settings
from msgspec.structs import replace
from sqlalchemy import select

from databases import KINDS, database_url
from dragoman.accounting.ports import Scope
from dragoman.accounting.served import Served, served_of
from dragoman.store.budget_tables import pots
from dragoman.store.engine import Database
from dragoman.store.ledger_tables import attempts, hours, requests
from dragoman.store.schema import open_upgraded
from dragoman.store.settling_tables import unsettled
from dragoman.store.sql.ledger import Questions, SqlLedger
from dragoman.store.usage_tables import days, labels
from served_calls import served_calls

TABLES = (requests, attempts, hours, days, labels, unsettled, pots)
MANY = 120


@pytest.fixture(scope="module")
def calls() -> list[Served]:
    """Calls of every kind, no two of one id."""
    found: list[Served] = []

    @settings(max_examples=MANY, database=None, derandomize=True, phases=[Phase.generate])
    @given(served_calls())
    def collect(records):
        begin, end = records
        call, attempt = f"call-{len(found)}", f"{len(found):08x}"
        about = replace(begin.about, call_id=call)
        begin = replace(begin, attempt_id=attempt, about=about)
        served = served_of((begin, replace(end, attempt_id=attempt, call_id=call)))
        assert served is not None
        found.append(served)

    collect()
    return found


@asynccontextmanager
async def ledgers(kind: str, folder) -> AsyncIterator[tuple[SqlLedger, Database]]:
    questions = Questions(lambda: {"me": 5.0, "tenant-1": 7.0}, lambda: 1.75e9, 0.5)
    async with database_url(kind, folder) as url:
        database = await open_upgraded(url)
        try:
            yield SqlLedger(database, questions=questions), database
        finally:
            await database.close()


async def all_of(database: Database) -> list[list[dict[str, object]]]:
    found = []
    async with database.read() as connection:
        for table in TABLES:
            query = select(table).order_by(*table.primary_key)
            rows = [dict(row) for row in (await connection.execute(query)).mappings()]
            for row in rows:
                row.pop("batch", None)
            found.append(rows)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_written_as_their_entries_are(kind, calls, tmp_path):
    async def story() -> None:
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
        async with (
            ledgers(kind, tmp_path / "one") as (one, database),
            ledgers(kind, tmp_path / "other") as (other, its),
        ):
            half = len(calls) // 2
            assert await one.write([], calls[:half]) == half
            # Some of them once more, and some the other way.
            rest = [each.entry() for each in calls[half + 5 :]]
            assert await one.write(rest, calls[: half + 5]) == len(calls) - half
            assert await one.write([each.entry() for each in calls], calls) == 0
            assert await other.write([each.entry() for each in calls]) == len(calls)
            tables = await all_of(database)
            assert tables == await all_of(its)
            assert all(tables)
            assert await one.sums(Scope(None)) == await other.sums(Scope(None))

    asyncio.run(story())


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_that_comes_both_ways_in_one_batch_counts_once(kind, calls, tmp_path):
    async def story() -> None:
        async with ledgers(kind, tmp_path) as (ledger, _):
            few = calls[:3]
            assert await ledger.write([each.entry() for each in few], [*few, *few]) == len(few)
            assert (await ledger.sums(Scope(None))).requests == len(few)

    asyncio.run(story())
