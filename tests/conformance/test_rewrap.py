"""Rotation of the key that seals the database's secrets, over SQLite and over PostgreSQL (K3, K5)."""

from __future__ import annotations

import asyncio
import time

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import update

from databases import KINDS, database_url
from dragoman.core.clock import SystemClock
from dragoman.core.errors import HouseError
from dragoman.store.engine import open_database
from dragoman.store.seal import open_sealer
from dragoman.store.sql import rewrap as module
from dragoman.store.sql.rewrap import rewrap, sealed_by
from dragoman.store.sql.secrets import open_secret
from dragoman.store.sql.tenant_keys import TenantKeys
from dragoman.store.tables import secrets

pytestmark = [pytest.mark.anyio, pytest.mark.req("R-AUTH-009")]
OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))
TENANTS = 60


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(params=KINDS)
async def place(request, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 7)
    async with database_url(request.param, tmp_path) as url:
        database, clock = open_database(url), SystemClock()
        sealer = open_sealer(tmp_path, OLD)
        await open_secret(database, sealer, clock, "pepper")
        keys = TenantKeys(database, sealer, clock)
        kept = {}
        for number in range(TENANTS):
            tenant = f"t{number}"
            kept[tenant] = (await keys.key(tenant)).seal(tenant.encode(), "t", tenant, "c")
        yield database, tmp_path, kept
        await database.close()


async def all_open(database, sealer, kept):
    keys = TenantKeys(database, sealer, SystemClock())
    for tenant, sealed in kept.items():
        assert (await keys.key(tenant)).open(sealed, "t", tenant, "c") == tenant.encode()


async def test_everything_is_sealed_anew_while_it_is_read_and_the_old_key_can_go(place):
    database, home, kept = place
    both, seen = open_sealer(home, f"{NEW},{OLD}"), []
    halves = [dict(list(kept.items())[start::2]) for start in (0, 1)]
    found, *_ = await asyncio.gather(
        rewrap(database, both, lambda *told: seen.append(told)),
        *(all_open(database, open_sealer(home, f"{NEW},{OLD}"), half) for half in halves),
    )
    # What a reader seals anew meanwhile was still left when that was told.
    assert 0 < seen[-1][0] == found.done
    assert (found.left, found.errors) == (0, {})
    assert await sealed_by(database) == {both.current: TENANTS + 1}
    await all_open(database, open_sealer(home, NEW), kept)
    assert (await rewrap(database, both)).done == 0


async def test_who_is_stopped_in_the_middle_goes_on_where_it_was(place):
    database, home, kept = place
    both = open_sealer(home, f"{NEW},{OLD}")

    def stop(done, left):
        if done >= 20:
            raise KeyboardInterrupt(left)

    with pytest.raises(KeyboardInterrupt):
        await rewrap(database, both, stop)
    counted = await sealed_by(database)
    assert 0 < counted[both.current] < TENANTS
    rest = await rewrap(database, both)
    assert rest.done == TENANTS + 1 - counted[both.current]
    await all_open(database, open_sealer(home, NEW), kept)


async def test_an_old_key_that_is_dropped_too_early_is_missed_at_the_start(place):
    database, home, _ = place
    sealer = open_sealer(home, f"{NEW},{OLD}")
    await open_secret(database, sealer, SystemClock(), "pepper")
    early = TenantKeys(database, open_sealer(home, NEW), SystemClock())
    with pytest.raises(HouseError, match="not opened by any key in FERNET_KEY") as caught:
        await early.renew()
    assert caught.value.code == "configuration_error"
    found = await rewrap(database, open_sealer(home, f"{NEW},{OTHER}"))
    assert (found.done, found.left, list(found.errors.values())) == (0, TENANTS, [TENANTS])
    assert (await rewrap(database, sealer)).left == 0
    assert await early.renew() == 0


async def test_what_was_sealed_before_keys_had_marks_gets_one(place):
    database, home, kept = place
    async with database.write() as connection:
        await connection.execute(update(secrets).values(sealed_by="fernet"))
    sealer = open_sealer(home, OLD)
    await all_open(database, sealer, dict(list(kept.items())[:2]))
    found = await rewrap(database, sealer)
    assert (found.left, await sealed_by(database)) == (0, {sealer.current: TENANTS + 1})


async def test_two_that_run_at_once_do_no_harm(place):
    database, home, kept = place
    both = open_sealer(home, f"{NEW},{OLD}")
    first, second = await asyncio.gather(rewrap(database, both), rewrap(database, both))
    assert first.done + second.done == TENANTS + 1
    assert first.left == second.left == 0
    await all_open(database, open_sealer(home, NEW), kept)


async def test_it_is_quick_enough_for_many_tenants(place, monkeypatch):
    database, home, _ = place
    monkeypatch.setattr(module, "BATCH", 200)
    began = time.monotonic()
    await rewrap(database, open_sealer(home, f"{NEW},{OLD}"))
    assert time.monotonic() - began < 5
