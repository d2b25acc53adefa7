"""Every version of the tables can be reached, left and reached again."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from msgspec.structs import replace
from sqlalchemy import text

from databases import KINDS, database_url
from dragoman.accounting.entry import Entry
from dragoman.core.errors import HouseError
from dragoman.store import (
    admin_tables,
    answer_tables,
    body_tables,
    budget_tables,
    credential_tables,
    health_table,
    ledger_tables,
    response_tables,
    schema,
    settling_tables,
    tenancy_tables,
    usage_tables,
)
from dragoman.store.engine import open_database
from dragoman.store.schema import (
    MIGRATIONS,
    check_schema,
    downgrade,
    newest_version,
    open_upgraded,
    schema_version,
    upgrade,
)
from dragoman.store.sql.ledger import SqlLedger
from dragoman.store.tables import metadata
from ledger_calls import row, used

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/100%/dragoman.db"


def shape(url: str) -> list[tuple[str, str]]:
    """Every table and index, as SQLite wrote them down."""
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        rows = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
        ).fetchall()
    connection.close()
    return rows


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return ScriptDirectory.from_config(config)


async def version_of(url: str) -> str | None:
    database = open_database(url)
    try:
        return await schema_version(database)
    finally:
        await database.close()


async def test_up_down_and_up_again_gives_the_same_tables(url):
    assert await version_of(url) is None
    await upgrade(url)
    assert await version_of(url) == newest_version()
    made = shape(url)
    await downgrade(url, "base")
    assert [name for name, _ in shape(url)] == ["alembic_version"]
    await upgrade(url)
    assert shape(url) == made


async def test_every_single_step_goes_down_and_up(url):
    await upgrade(url)
    made = shape(url)
    for script in scripts().walk_revisions():
        await downgrade(url, script.down_revision or "base")
        assert await version_of(url) == script.down_revision
    await upgrade(url)
    assert shape(url) == made


async def test_the_migrations_make_what_the_tables_say(url):
    assert ledger_tables.metadata is metadata
    assert response_tables.metadata is metadata
    assert health_table.metadata is metadata
    assert answer_tables.metadata is metadata
    assert body_tables.metadata is metadata
    assert budget_tables.metadata is metadata
    assert admin_tables.metadata is metadata
    assert tenancy_tables.metadata is metadata
    assert credential_tables.metadata is metadata
    assert usage_tables.metadata is metadata
    assert settling_tables.metadata is metadata
    database = await open_upgraded(url)
    async with database.read() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync), metadata)
        )
    await database.close()
    assert differences == []


def test_the_last_file_is_alembics_only_head():
    assert scripts().get_heads() == [newest_version()]
    for script in scripts().walk_revisions():
        assert Path(script.path).name.startswith(f"{script.revision}_")


async def test_an_upgrade_keeps_what_is_there(url):
    database = await open_upgraded(url)
    async with database.write() as connection:
        await connection.execute(text("INSERT INTO meta (name, number) VALUES ('mine', 7)"))
    await database.close()
    await downgrade(url, "0001")
    await upgrade(url)
    database = await open_upgraded(url)
    async with database.read() as connection:
        found = await connection.execute(text("SELECT number FROM meta WHERE name = 'mine'"))
        assert found.scalar_one() == 7
    await database.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_sums_of_sound_and_pictures_are_made_of_the_calls_that_are_kept(kind, tmp_path):
    heard = {"audio_input_tokens": 5, "web_searches": 2, "units": "images=3 audio_seconds=40"}
    some = [
        Entry(row(consumed=replace(used(*how), **heard), **labels), ())
        for how, labels in (
            ((), {"tags": "a,b", "end_user": "u", "project": "p"}),
            ((), {"caller": "c" * 300, "provider": None, "model": None}),
            (("estimated",), {"tags": "a"}),
        )
    ]

    async def sums(url):
        database = open_database(url)
        try:
            async with database.read() as connection:
                return [
                    sorted(map(tuple, await connection.execute(text(f"SELECT * FROM {table}"))))
                    for table in ("ledger_hours", "ledger_days", "ledger_labels")
                ]
        finally:
            await database.close()

    async with database_url(kind, tmp_path) as url:
        database = open_database(url)
        await SqlLedger(database).write([*some, Entry(row(), ())])
        await database.close()
        before = await sums(url)
        assert {40, 3, 5} <= {number for each in before[1] for number in each}
        await downgrade(url, "0024")
        await upgrade(url)
        assert await sums(url) == before


@pytest.mark.parametrize("kind", KINDS)
async def test_conversations_that_were_noted_as_items_outlive_their_response(kind, tmp_path):
    async with database_url(kind, tmp_path) as url:
        await upgrade(url)
        await downgrade(url, "0007")
        database = open_database(url)
        row = "'ours', '{}', 'openai', 'key-1', {}, 0, {}, 9"
        async with database.write() as connection:
            for name, reply, made in (("a", "NULL", 1), ("b", "NULL", 2), ("c", "'x'", 3)):
                await connection.execute(
                    text(
                        "INSERT INTO kept_responses (tenant, id, provider, credential, reply, size,"
                        f" created_ms, expires_ms) VALUES ({row.format(name, reply, made)})"
                    )
                )
                for item in ("conv_1", f"msg_{name}", f"cntr_{name}"):
                    await connection.execute(
                        text(f"INSERT INTO kept_items VALUES ('ours', '{item}', '{name}')")
                    )
        await upgrade(url)
        async with database.read() as connection:
            found = await connection.execute(text("SELECT * FROM kept_lasting ORDER BY id"))
            rows = [tuple(row) for row in found]
        await database.close()
    assert rows == [
        ("ours", "cntr_a", "openai", "key-1", 1),
        ("ours", "cntr_b", "openai", "key-1", 2),
        ("ours", "conv_1", "openai", "key-1", 2),
    ]


async def test_several_who_upgrade_at_once_agree(url):
    await asyncio.gather(*(upgrade(url) for _ in range(5)))
    assert await version_of(url) == newest_version()


async def test_who_opens_a_new_file_waits_for_who_is_just_writing_to_it(tmp_path):
    file = tmp_path / "dragoman.db"
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    asyncio.get_running_loop().call_later(0.2, other.execute, "ROLLBACK")
    await upgrade(f"sqlite:///{file}")
    other.close()
    assert await version_of(f"sqlite:///{file}") == newest_version()


async def test_serving_asks_for_the_version_that_it_knows(url, monkeypatch):
    database = open_database(url)
    with pytest.raises(HouseError, match="has no tables yet") as error:
        await check_schema(database)
    assert error.value.code == "configuration_error"
    assert "dragoman db upgrade" in error.value.message
    await upgrade(url)
    await check_schema(database)
    monkeypatch.setattr(schema, "newest_version", lambda: "9999")
    with pytest.raises(HouseError, match="has tables of version"):
        await check_schema(database)
    monkeypatch.setattr(schema, "newest_version", lambda: "0000")
    with pytest.raises(HouseError, match="newer Dragoman"):
        await open_upgraded(url)
    await database.close()


async def test_a_failed_migration_leaves_the_old_version_whole(url, monkeypatch):
    # reliability.md D12
    await upgrade(url)
    await downgrade(url, "0001")
    made = shape(url)
    run = schema._run_alembic

    def run_and_die(connection, direction, version):
        run(connection, direction, version)
        raise KeyboardInterrupt

    monkeypatch.setattr(schema, "_run_alembic", run_and_die)
    with pytest.raises(KeyboardInterrupt):
        await upgrade(url)
    monkeypatch.undo()
    assert shape(url) == made
    await upgrade(url)
    assert await version_of(url) == newest_version()


def test_alembic_is_not_imported_where_nothing_is_to_be_done(tmp_path):
    code = f"""
import asyncio, sys
from dragoman.store.schema import open_upgraded, upgrade
url = "sqlite:///{tmp_path}/x.db"
if sys.argv[1] == "make":
    asyncio.run(upgrade(url))
else:
    async def serve():
        await (await open_upgraded(url)).close()
    asyncio.run(serve())
    assert "alembic" not in sys.modules
"""
    for step in ("make", "serve"):
        subprocess.run([sys.executable, "-c", code, step], check=True, timeout=60)
