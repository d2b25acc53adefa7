"""Every version is left and reached again with rows in all tables, on either kind of database."""

from __future__ import annotations

import pytest
from sqlalchemy import event, text

from databases import KINDS, database_url
from dragoman.store.backup import own_tables
from dragoman.store.engine import open_database
from dragoman.store.schema import (
    _migrate,
    downgrade,
    newest_version,
    upgrade,
    version_at,
    versions,
)
from filled import contents, fill

_ALL = sorted(versions())[:-1]
PAIRS = [
    pytest.param(
        kind,
        each,
        marks=() if each in {_ALL[0], _ALL[-1]} or not (n % 8 or number) else pytest.mark.gate,
    )
    for n, each in enumerate(_ALL)
    for number, kind in enumerate(KINDS)
]
"""Each but the newest over each kind; most of them in the long gate alone, for each takes seconds."""

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def reopened(url, work):
    """What the work gives on a new connection: a kept one may hold statements of other tables."""
    database = open_database(url, query_timeout_s=None)
    try:
        return await work(database)
    finally:
        await database.close()


@pytest.mark.parametrize("kind", [KINDS[0], pytest.param(KINDS[1], marks=pytest.mark.gate)])
async def test_every_step_down_and_up_is_taken_with_rows_in_every_table(kind, tmp_path):
    # reliability.md R6: what an older version has, a newer one keeps.
    async with database_url(kind, tmp_path) as url:
        await reopened(url, fill)
        steps = sorted(versions(), reverse=True)
        for lower in [*steps[1:], "base"]:
            await downgrade(url, lower)
            assert await version_at(url) == (None if lower == "base" else lower)
        for step in reversed(steps):
            await upgrade_to(url, step)
        assert await version_at(url) == newest_version()


@pytest.mark.parametrize(("kind", "version"), PAIRS)
async def test_rows_of_an_older_version_are_all_there_in_the_newest(kind, version, tmp_path):
    async with database_url(kind, tmp_path) as url:
        await downgrade(url, version)
        await reopened(url, fill)
        before = await reopened(url, columns_and_rows)
        await upgrade(url)
        after = await reopened(url, columns_and_rows)
        for name, rows in before.items():
            if name == "meta":
                continue
            kept = [{column: row[column] for column in rows[0]} for row in after[name]]
            assert kept == rows, name


async def columns_and_rows(database):
    async with database.read() as connection:
        return {
            table.name: [
                dict(row)
                for row in (
                    await connection.execute(table.select().order_by(*table.primary_key))
                ).mappings()
            ]
            for table in await own_tables(connection)
        }


async def upgrade_to(url, version):
    """One step up, with rows in what the step before has made."""
    from dragoman.store.schema import migrate_within

    database = open_database(url, query_timeout_s=None)
    async with database.write() as connection:
        await migrate_within(connection, "upgrade", version)
    await database.close()
    await reopened(url, _add_a_row)


async def _add_a_row(database):
    async with database.write() as connection:
        await connection.execute(text("DELETE FROM meta WHERE name = 'mine'"))
        await connection.execute(text("INSERT INTO meta (name, number) VALUES ('mine', 7)"))
    assert ("mine", 7) in (await contents(database))["meta"]


class _Stop(BaseException):
    """The process dies here."""


@pytest.mark.parametrize("kind", [KINDS[0], pytest.param(KINDS[1], marks=pytest.mark.gate)])
async def test_an_upgrade_that_dies_at_any_statement_is_made_whole_by_the_next_one(kind, tmp_path):
    # reliability.md D12: every seventh statement, and another first one for each kind.
    async with database_url(kind, tmp_path) as url:
        await downgrade(url, "0003")
        await reopened(url, fill)
        before = await reopened(url, columns_and_rows)
        dies_at, died = 1 + KINDS.index(kind), 0
        while await _dies(url, dies_at):
            assert await version_at(url) == "0003"
            assert await reopened(url, columns_and_rows) == before
            dies_at += 7
            died += 1
        assert died >= 4
        await upgrade(url)
        assert await version_at(url) == newest_version()
        after = await reopened(url, columns_and_rows)
        assert len(after["keys"]) == len(before["keys"])


async def _dies(url, at):
    """Whether the upgrade was stopped at that statement; it is over before it otherwise."""
    database = open_database(url, query_timeout_s=None)
    done = 0

    def count(*_):
        nonlocal done
        done += 1
        if done == at:
            raise _Stop

    event.listen(database.engine.sync_engine, "before_cursor_execute", count)
    try:
        await _migrate(database, "upgrade", "head")
    except _Stop:
        return True
    finally:
        await database.close()
    return False


@pytest.mark.parametrize("kind", KINDS)
async def test_who_has_paid_is_a_charge_again_for_an_older_version(kind, tmp_path):
    async def emptied(database):
        await fill(database)
        async with database.write() as connection:
            await connection.execute(text("DELETE FROM budget_charges WHERE call_id <> 'v0'"))

    async with database_url(kind, tmp_path) as url:
        await reopened(url, emptied)
        before = (await reopened(url, contents))["budget_charges"]
        await downgrade(url, "0021")
        after = (await reopened(url, contents))["budget_charges"]
    # Of three attempts one has a charge, and one was paid by nobody.
    assert len(before) == 1
    assert before[0] in after
    (made,) = [row for row in after if row not in before]
    assert (made[0], made[3], made[7]) == ("v2", "", 0)
