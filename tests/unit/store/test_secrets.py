"""The database's own secrets: made once, sealed anew when a key is rotated."""

from __future__ import annotations

import asyncio

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import insert, select

from dragoman.core.clock import ManualClock
from dragoman.core.errors import HouseError
from dragoman.store.schema import open_upgraded
from dragoman.store.seal import open_sealer
from dragoman.store.sql import secrets as module
from dragoman.store.sql.secrets import open_secret
from dragoman.store.tables import secrets

pytestmark = pytest.mark.anyio

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def database(tmp_path):
    database = await open_upgraded(f"sqlite:///{tmp_path}/dragoman.db")
    yield database
    await database.close()


async def rows(database):
    async with database.read() as connection:
        return (await connection.execute(select(secrets))).all()


async def test_a_secret_is_random_made_once_and_only_sealed_at_rest(database, tmp_path):
    sealer, clock = open_sealer(tmp_path, OLD), ManualClock(wall=5.0)
    first = await open_secret(database, sealer, clock, "pepper")
    again = await open_secret(database, sealer, clock, "pepper")
    other = await open_secret(database, sealer, clock, "envelope")
    assert first.versions == again.versions
    assert first.newest == 1
    assert len(first.versions[1]) == 32
    assert other.versions[1] != first.versions[1]
    (row, _) = await rows(database)
    assert (row.version, row.sealed_by, row.created_ms) == (1, sealer.current, 5000)
    assert row.sealed_by.startswith("fernet:")
    assert first.versions[1] not in row.sealed
    assert "versions" not in repr(first).lower().replace("secretversions", "")


async def test_many_openers_agree(database, tmp_path):
    sealer = open_sealer(tmp_path, OLD)
    made = await asyncio.gather(
        *(open_secret(database, sealer, ManualClock(), "pepper") for _ in range(5))
    )
    assert len({secret.versions[1] for secret in made}) == 1
    assert len(await rows(database)) == 1


async def test_a_rotated_key_seals_anew_and_the_old_one_is_not_needed_any_more(database, tmp_path):
    clock = ManualClock()
    first = await open_secret(database, open_sealer(tmp_path, None), clock, "pepper")
    for keys in (OLD, f"{NEW},{OLD}", NEW):
        later = await open_secret(database, open_sealer(tmp_path, keys), clock, "pepper")
        assert later.versions == first.versions
    with pytest.raises(HouseError, match="FERNET_KEY"):
        await open_secret(database, open_sealer(tmp_path, OLD), clock, "pepper")


async def test_every_version_is_opened_and_only_the_stale_ones_are_sealed_anew(database, tmp_path):
    both = open_sealer(tmp_path, f"{NEW},{OLD}")
    fresh, stale = both.seal(b"second"), open_sealer(tmp_path, OLD).seal(b"first")
    async with database.write() as connection:
        for version, sealed in ((1, stale), (2, fresh)):
            await connection.execute(
                insert(secrets).values(
                    name="pepper",
                    version=version,
                    sealed=sealed.token,
                    sealed_by=sealed.by,
                    created_ms=1,
                )
            )
    opened = await open_secret(database, both, ManualClock(), "pepper")
    assert (opened.versions, opened.newest) == ({1: b"first", 2: b"second"}, 2)
    old, new = await rows(database)
    assert old.sealed != stale.token
    assert new.sealed == fresh.token


async def test_two_that_make_it_at_once_agree_where_nothing_locks_the_table(
    database, tmp_path, monkeypatch
):
    sealer, clock = open_sealer(tmp_path, OLD), ManualClock()
    first = await open_secret(database, sealer, clock, "pepper")
    look = module._rows
    looks = 0

    async def look_too_early(connection, name):
        nonlocal looks
        looks += 1
        return {} if looks <= 2 else await look(connection, name)

    monkeypatch.setattr(module, "_rows", look_too_early)
    second = await open_secret(database, sealer, clock, "pepper")
    assert second.versions == first.versions
    assert looks == 3
