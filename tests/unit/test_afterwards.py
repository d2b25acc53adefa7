"""Old calls go by themselves where the operator says how long they are kept."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import select

from databases import database_url
from dragoman.afterwards import Surroundings, retain
from dragoman.core.errors import HouseError
from dragoman.keeping import sweep
from dragoman.store.ledger_tables import requests
from dragoman.store.schema import open_upgraded
from dragoman.store.sql.ledger import SqlLedger
from dragoman.store.sql.retention import SqlRetention
from ledger_entries import WALL, attempt, entry

DAY_S = 86_400


class Clock:
    """Stands so many days after the calls were made."""

    def __init__(self, days):
        self.days = days

    def wall(self):
        return WALL + self.days * DAY_S


class Log:
    def __init__(self):
        self.told = []

    def event(self, level, message, **said):
        self.told.append((level, message, said))


def left_after(days, keep, tmp_path, log=None):
    """The calls that are left once old ones were looked for, so many days later."""

    async def story():
        async with database_url("sqlite", tmp_path) as url:
            database = await open_upgraded(url)
            try:
                await SqlLedger(database).write([entry(n, attempt(n, 0)) for n in range(1, 4)])
                around = SimpleNamespace(
                    settings=SimpleNamespace(usage_keep_days=keep),
                    database=database,
                    clock=Clock(days),
                    log=log or Log(),
                )
                task = asyncio.create_task(retain(cast("Surroundings", cast("Any", around))))
                await asyncio.sleep(0.5)
                task.cancel()
                await asyncio.wait({task})
                async with database.read() as connection:
                    return len((await connection.execute(select(requests.c.call_id))).all())
            finally:
                await database.close()

    return asyncio.run(story())


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(sweep, "START_S", 0.0)


@pytest.mark.req("R-OBS-010")
@pytest.mark.parametrize(("days", "left"), [(6, 3), (9, 0)])
def test_calls_go_when_they_are_older_than_that(tmp_path, days, left):
    assert left_after(days, 7, tmp_path) == left


def test_a_database_that_is_away_is_told_and_nothing_ends(tmp_path, monkeypatch):
    async def away(self, most):
        raise HouseError("server", "The database is away.")

    monkeypatch.setattr(SqlRetention, "expire", away)
    log = Log()
    assert left_after(9, 7, tmp_path, log) == 3
    assert log.told == [("warn", "old calls not removed", {"error": "The database is away."})]
