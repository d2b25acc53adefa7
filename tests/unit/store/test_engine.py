"""Opening a database."""

from __future__ import annotations

import ast
import asyncio
import stat
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from dragoman.core.errors import HouseError
from dragoman.store import engine
from dragoman.store.engine import mapped, open_database, parse_url
from dragoman.store.tables import meta, metadata

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def database(tmp_path):
    database = open_database(f"sqlite:///{tmp_path}/home/dragoman.db")
    yield database
    await database.close()


async def test_sqlite_waits_for_its_lock_survives_a_crash_and_keeps_foreign_keys(database):
    async with database.read() as connection:
        found = {
            pragma: (await connection.execute(text(f"PRAGMA {pragma}"))).scalar()
            for pragma in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    full = 2
    assert found == {
        "journal_mode": "wal",
        "synchronous": full,
        "foreign_keys": 1,
        "busy_timeout": 5000,
    }


async def test_the_files_are_their_owners_alone(database, tmp_path):
    async with database.write() as connection:
        await connection.run_sync(metadata.create_all)
    home = tmp_path / "home"
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in home.iterdir()}
    assert modes == dict.fromkeys(("dragoman.db", "dragoman.db-wal", "dragoman.db-shm"), 0o600)


async def test_a_write_is_kept_and_a_failed_one_is_not(database):
    async with database.write() as connection:
        await connection.run_sync(metadata.create_all)
        await connection.execute(insert(meta).values(name="kept", number=1))
    with pytest.raises(ZeroDivisionError):
        async with database.write() as connection:
            await connection.execute(insert(meta).values(name="lost", number=1 // 1))
            raise ZeroDivisionError
    async with database.read() as connection:
        assert (await connection.execute(select(meta.c.name))).scalars().all() == ["kept"]


async def test_writers_wait_for_one_another_and_readers_for_nobody(database):
    async with database.write() as connection:
        await connection.run_sync(metadata.create_all)
        await connection.execute(insert(meta).values(name="count", number=0))

    async def add() -> None:
        async with database.write() as connection:
            number = (await connection.execute(select(meta.c.number))).scalar_one()
            await connection.execute(meta.update().values(number=number + 1))

    async with database.write() as connection:
        await connection.execute(meta.update().values(number=100))
        async with database.read() as reader:
            assert (await reader.execute(select(meta.c.number))).scalar_one() == 0
    await asyncio.gather(*(add() for _ in range(12)))
    async with database.read() as connection:
        assert (await connection.execute(select(meta.c.number))).scalar_one() == 112


async def test_a_ping_answers_and_a_broken_file_is_a_house_error(database, tmp_path):
    await database.ping()
    await database.close()
    (tmp_path / "home" / "dragoman.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(HouseError) as error:
        await database.ping()
    assert (error.value.status, error.value.code) == (503, "database_error")
    assert "dragoman.db" not in error.value.message
    # Trying again mends nothing; a backup does, and what is in the journals comes to it later.
    assert "damaged" in error.value.message
    assert "restore a backup" in error.value.message
    assert "try again" not in error.value.message
    assert not error.value.retryable


async def test_a_damaged_page_of_a_table_is_told_as_damage(database, tmp_path):
    async with database.write() as connection:
        await connection.run_sync(metadata.create_all)
        await connection.execute(insert(meta).values(name="kept", number=1))
    await database.close()
    file = tmp_path / "home" / "dragoman.db"
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + b"\xa5" * (len(whole) - 4096))
    with pytest.raises(HouseError, match="damaged"):
        async with database.read() as connection:
            await connection.execute(select(meta.c.name))


async def test_a_file_that_is_deleted_while_it_is_open_is_not_written_to(database, tmp_path):
    async with database.write() as connection:
        await connection.run_sync(metadata.create_all)
    file = tmp_path / "home" / "dragoman.db"
    aside = file.rename(tmp_path / "aside.db")
    for use in (database.read, database.write):
        with pytest.raises(HouseError, match="is gone") as error:
            async with use():
                pytest.fail("a file without a name took a transaction")
        assert (error.value.status, error.value.code) == (503, "database_error")
        assert "journals" in error.value.message
    with pytest.raises(HouseError, match="is gone"):
        await database.ping()
    file.touch()
    with pytest.raises(HouseError, match="is gone"):
        await database.ping()
    aside.rename(file)
    await database.ping()


async def test_a_backup_that_is_put_in_the_files_place_is_what_is_used_from_then_on(
    database, tmp_path
):
    async with database.write() as connection:
        await connection.run_sync(metadata.create_all)
        await connection.execute(insert(meta).values(name="old", number=1))
    await database.close()
    file = tmp_path / "home" / "dragoman.db"
    backup = tmp_path / "backup.db"
    backup.write_bytes(file.read_bytes())
    async with database.write() as connection:
        await connection.execute(insert(meta).values(name="new", number=2))
    for name in ("dragoman.db", "dragoman.db-wal", "dragoman.db-shm"):
        (file.parent / name).unlink()
    with pytest.raises(HouseError, match="is gone"):
        await database.ping()
    backup.rename(file)
    async with database.write() as connection:
        await connection.execute(insert(meta).values(name="after", number=3))
    async with database.read() as connection:
        assert sorted((await connection.execute(select(meta.c.name))).scalars()) == [
            "after",
            "old",
        ]
    await database.close()
    again = open_database(f"sqlite:///{file}")
    async with again.read() as connection:
        assert len((await connection.execute(select(meta.c.name))).all()) == 2
    await again.close()


@pytest.mark.parametrize("error", [PoolTimeoutError(), ConnectionRefusedError()])
def test_what_the_driver_says_is_one_house_error(error):
    with pytest.raises(HouseError) as told, mapped():
        raise error
    assert told.value.retryable
    assert told.value.__cause__ is error


def test_a_broken_constraint_passes_unchanged():
    error = IntegrityError("INSERT", {}, Exception("unique"))
    with pytest.raises(IntegrityError) as told, mapped():
        raise error
    assert told.value is error


async def test_a_pool_without_a_free_connection_fails_fast(database, monkeypatch):
    monkeypatch.setattr(database.engine.pool, "_timeout", 0.01)
    held = [await database.engine.connect() for _ in range(15)]
    with pytest.raises(HouseError, match="no free connection"):
        await database.ping()
    for connection in held:
        await connection.close()


@pytest.mark.parametrize(
    ("url", "backend", "driver"),
    [
        ("sqlite:///x.db", "sqlite", "sqlite+aiosqlite"),
        ("sqlite:////var/lib/x.db", "sqlite", "sqlite+aiosqlite"),
        ("sqlite+aiosqlite:///x.db", "sqlite", "sqlite+aiosqlite"),
        ("postgres://u:p@h/d", "postgresql", "postgresql+asyncpg"),
        ("postgresql://u:p@h/d", "postgresql", "postgresql+asyncpg"),
        ("postgresql+asyncpg://u:p@h/d", "postgresql", "postgresql+asyncpg"),
    ],
)
def test_a_url_names_the_backend_and_we_choose_the_driver(url, backend, driver, monkeypatch):
    monkeypatch.setattr(engine, "find_spec", lambda name: object())
    named, parsed = parse_url(url)
    assert (named, parsed.drivername) == (backend, driver)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "not a database URL"),
        ("mysql://u:s3cret@h/d", "'mysql', which is not supported"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("postgresql://u:s3cret@h/d", r"pip install 'dragoman\[postgres\]'"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_in_words_without_its_password(
    url, words, monkeypatch
):
    monkeypatch.setattr(engine, "find_spec", lambda name: None)
    with pytest.raises(HouseError, match=words) as error:
        open_database(url)
    assert error.value.code == "configuration_error"
    assert "s3cret" not in error.value.message


async def test_a_postgresql_engine_has_timeouts_everywhere(monkeypatch):
    made = {}
    monkeypatch.setattr(engine, "find_spec", lambda name: object())
    monkeypatch.setattr(
        engine, "create_async_engine", lambda url, **more: made.update(more, url=url)
    )
    assert open_database("postgresql://u:p@h/d").backend == "postgresql"
    assert made["url"].drivername == "postgresql+asyncpg"
    assert made["pool_timeout"] == 1.0
    assert made["connect_args"] == {"command_timeout": 2.0, "timeout": 2.0}
    open_database("postgresql://u:p@h/d", query_timeout_s=None)
    assert made["connect_args"] == {"command_timeout": None, "timeout": 2.0}


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HouseError, match=r"file/x\.db cannot be opened \(.+\): check"):
        open_database(f"sqlite:///{tmp_path}/file/x.db")


def test_no_statement_is_put_together_from_text():
    # reliability.md A2, CVE-2026-42208
    store = Path(engine.__file__).parent
    calls = 0
    for file in store.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name not in {"execute", "exec_driver_sql", "text", "executemany"}:
                continue
            calls += 1
            for argument in node.args:
                put_together = isinstance(argument, ast.JoinedStr | ast.BinOp) or (
                    isinstance(argument, ast.Call)
                    and getattr(argument.func, "attr", "") in {"format", "join"}
                )
                assert not put_together, f"{file}:{node.lineno}"
    assert calls > 10
