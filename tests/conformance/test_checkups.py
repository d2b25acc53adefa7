"""`dragoman db check` over either kind of database: what it finds, and what it leaves alone."""

from __future__ import annotations

import os

import pytest
from cryptography.fernet import Fernet
from msgspec import Struct
from sqlalchemy import text

from databases import KINDS, database_url
from dragoman.accounting.journal import Journal
from dragoman.core.clock import SystemClock
from dragoman.core.errors import HouseError
from dragoman.store.checkup import check_up
from dragoman.store.engine import open_database
from dragoman.store.schema import downgrade, newest_version, upgrade
from dragoman.store.seal import open_sealer
from dragoman.store.sql.keys import NewKey, open_keys
from dragoman.store.sql.tenant_keys import TenantKeys
from filled import fill

pytestmark = pytest.mark.anyio


class Anything(Struct):
    """A record; nobody reads it here."""

    number: int


OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(params=KINDS)
async def url(request, tmp_path):
    """A database with a key and a tenant's key, sealed by OLD."""
    async with database_url(request.param, tmp_path) as url:
        database = open_database(url)
        sealer = open_sealer(tmp_path, OLD)
        keys = await open_keys(database, sealer, SystemClock())
        await keys.create(NewKey("ci"))
        await TenantKeys(database, sealer, SystemClock()).key("acme")
        await database.close()
        yield url


async def run(url, *statements):
    database = open_database(url)
    async with database.write() as connection:
        for each in statements:
            await connection.execute(text(each))
    await database.close()


async def test_a_database_that_is_well_has_nothing_to_be_told(url, tmp_path):
    found = await check_up(url, open_sealer(tmp_path, OLD), tmp_path)
    assert (found.version, found.errors, found.warnings) == (newest_version(), [], [])
    assert found.rows["keys"] == 1
    assert found.rows["secrets"] == 2


async def test_secrets_that_another_key_has_sealed_are_told(url, tmp_path):
    found = await check_up(url, open_sealer(tmp_path, NEW), tmp_path)
    assert len(found.errors) == 1
    assert found.errors[0].startswith("2 secrets do not open. ")
    assert "FERNET_KEY" in found.errors[0]
    found = await check_up(url, open_sealer(tmp_path, None), tmp_path)
    assert "which is not set" in found.errors[0]


async def test_secrets_of_an_older_key_are_a_warning_and_are_not_sealed_anew(url, tmp_path):
    sealer = open_sealer(tmp_path, f"{NEW},{OLD}")
    for _ in range(2):
        found = await check_up(url, sealer, tmp_path)
        assert found.errors == []
        assert found.warnings[0].startswith("2 secrets are sealed by an older key")


async def test_rows_that_belong_to_nothing_are_counted(url, tmp_path):
    await run(
        url,
        "INSERT INTO ledger_attempts (call_id, attempt_id, number, tenant, provider, model, status,"
        " tokens_from, cost_from, price_source, price_from, created_us)"
        " VALUES ('c', 'a', 1, 't', 'p', 'm', 'complete', 'none', 'none', '', '', 1)",
        "UPDATE keys SET pepper_version = 9",
        "INSERT INTO kept_responses (tenant, id, provider, input, reply, size, created_ms, expires_ms)"
        " VALUES ('nobody', 'r', 'p', 'x', 'x', 1, 1, 9)",
    )
    found = await check_up(url, open_sealer(tmp_path, OLD), tmp_path)
    assert found.errors == [
        "1 attempts of calls that are not there.",
        "1 keys whose pepper is not there, so that they open nothing.",
        "What is kept for 1 tenants cannot be opened: their key is gone.",
    ]


async def test_what_is_kept_for_a_tenant_whose_key_is_there_is_well(url, tmp_path):
    await run(
        url,
        "INSERT INTO kept_responses (tenant, id, provider, input, reply, size, created_ms, expires_ms)"
        " VALUES ('acme', 'r', 'p', 'x', 'x', 1, 1, 9)",
    )
    assert (await check_up(url, open_sealer(tmp_path, OLD), tmp_path)).errors == []


async def test_tables_of_another_version_are_told_with_what_to_do(url, tmp_path):
    await downgrade(url, "0006")
    found = await check_up(url, open_sealer(tmp_path, OLD), tmp_path)
    assert found.version == "0006"
    assert "`dragoman db upgrade` brings them to" in found.errors[0]
    await upgrade(url)
    await run(url, "UPDATE alembic_version SET version_num = '9999'")
    found = await check_up(url, open_sealer(tmp_path, OLD), tmp_path)
    assert "of a newer Dragoman" in found.errors[0]
    await run(url, f"UPDATE alembic_version SET version_num = '{newest_version()}'")


async def test_journals_of_dead_processes_are_told_and_those_of_the_living_are_not(url, tmp_path):
    folder = tmp_path / "journal"
    sealer = open_sealer(tmp_path, OLD)
    living = Journal(folder, "living")
    living.append(Anything(1))
    assert (await check_up(url, sealer, tmp_path)).warnings == []
    os.close(living._lock)
    found = await check_up(url, sealer, tmp_path)
    assert found.errors == []
    assert len(found.warnings) == 1
    assert "1 journals of usage" in found.warnings[0]
    assert "wait in" in found.warnings[0]
    assert len(list(folder.glob("*.journal"))) == 1
    next(folder.glob("*.journal")).rename(folder / "x.torn")
    assert "set aside" in (await check_up(url, sealer, tmp_path)).warnings[0]


async def test_damage_of_the_file_is_told(tmp_path):
    async with database_url("sqlite", tmp_path) as url:
        path = tmp_path / "dragoman.db"
        database = open_database(url)
        await fill(database, 100)
        await database.close()
        data = bytearray(path.read_bytes())
        data[-4096:-4000] = b"\xee" * 96
        path.write_bytes(bytes(data))
        found = await check_up(url, open_sealer(tmp_path, None), tmp_path)
        assert "damaged" in found.errors[0]
        path.write_bytes(b"no database at all" * 1000)
        found = await check_up(url, open_sealer(tmp_path, None), tmp_path)
        assert "is damaged" in found.errors[0]
        assert found.version is None


async def test_a_database_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(HouseError, match="no database yet"):
        await check_up(f"sqlite:///{tmp_path}/no.db", open_sealer(tmp_path, None), tmp_path)
    assert list(tmp_path.iterdir()) == []
