"""Kept bodies against every database: sealed for one place, its tenant's alone, gone in portions when they are old."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import func, select, update

from databases import KINDS, database_url
from dragoman.core.clock import ManualClock
from dragoman.core.errors import HouseError
from dragoman.core.ids import uuid7_of
from dragoman.keeping.bodies import Said
from dragoman.store.body_tables import bodies
from dragoman.store.schema import open_upgraded
from dragoman.store.seal import open_sealer
from dragoman.store.sql.bodies import SqlBodies
from dragoman.store.sql.ledger import SqlLedger
from dragoman.store.sql.retention import SqlRetention
from dragoman.store.sql.tenant_keys import TenantKeys
from ledger_entries import WALL, attempt, entry

DAY_S = 86_400


def said(number, tenant="acme", created=WALL):
    call = uuid7_of(WALL, number)
    return Said(tenant, call, created, f"asked {number}".encode(), b"\x00\xff", 7, 2)


@pytest.fixture(params=KINDS)
def play(request, tmp_path):
    def run(story) -> None:
        async def whole() -> None:
            async with database_url(request.param, tmp_path) as url:
                database = await open_upgraded(url)
                keys = TenantKeys(database, open_sealer(tmp_path, None), ManualClock())
                try:
                    await story(database, SqlBodies(database, keys))
                finally:
                    await database.close()

        asyncio.run(whole())

    return run


async def number(database) -> int:
    async with database.read() as connection:
        return (await connection.execute(select(func.count()).select_from(bodies))).scalar_one()


def test_what_was_put_is_its_tenants_and_stays_as_it_was(play):
    async def story(database, store) -> None:
        await store.put([said(1), said(2)])
        await store.put([Said("acme", said(1).call_id, WALL, b"another", b"", 7, 0)])
        assert await store.get("acme", said(1).call_id, 0) == said(1)
        assert await store.get("other", said(1).call_id, 0) is None
        assert await store.get("acme", said(1).call_id, int(WALL * 1000) + 1) is None
        assert not await store.delete("other", said(1).call_id)
        assert await store.delete("acme", said(1).call_id)
        assert not await store.delete("acme", said(1).call_id)
        assert await number(database) == 1

    play(story)


@pytest.mark.req("D22")
def test_it_is_sealed_and_opens_in_its_own_place_alone(play):
    async def story(database, store) -> None:
        await store.put([said(1), said(2), said(3, "other")])
        async with database.read() as connection:
            rows = (await connection.execute(select(bodies))).mappings().all()
        assert all(b"asked" not in bytes(row["request"]) for row in rows)
        first = next(row for row in rows if row["call_id"] == said(1).call_id)
        for call, column in ((2, "request"), (3, "request"), (1, "answer")):
            async with database.write() as connection:
                await connection.execute(
                    update(bodies)
                    .where(bodies.c.call_id == said(call).call_id)
                    .values({column: first["request"]})
                )
        for call, tenant in ((2, "acme"), (3, "other"), (1, "acme")):
            with pytest.raises(HouseError, match="damaged, or was moved"):
                await store.get(tenant, said(call).call_id, 0)

    play(story)


def test_what_is_old_goes_in_portions_and_nothing_else(play):
    async def story(database, store) -> None:
        await store.put([said(n, created=WALL - n * DAY_S) for n in range(6)])
        before = int((WALL - 2 * DAY_S) * 1000)
        assert await store.expire(before, 2) == 2
        assert await store.expire(before, 2) == 1
        assert await store.expire(before, 2) == 0
        assert await number(database) == 3

    play(story)


def test_with_old_calls_go_their_bodies(play):
    async def story(database, store) -> None:
        await SqlLedger(database).write([entry(n, attempt(n, 0)) for n in (1, 2)])
        await store.put([said(1)])
        retention = SqlRetention(database, Later(), 1)
        assert await retention.expire(10) == 2
        assert await number(database) == 0

    play(story)


class Later:
    """A clock by which all of it is old."""

    def wall(self) -> float:
        return WALL + 10 * DAY_S

    def monotonic(self) -> float:
        return 0.0
