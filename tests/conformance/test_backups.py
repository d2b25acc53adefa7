"""Backups of either kind of database: what is in them, where they can be restored, and what is refused.

Rows are made for every table that there is (``filled.py``), so a new table is tested with its migration.
"""

from __future__ import annotations

import asyncio
import gzip
import sqlite3
import stat

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from databases import KINDS, database_url
from dragoman.core.clock import SystemClock
from dragoman.core.errors import HouseError
from dragoman.store import restore as restoring
from dragoman.store.backup import back_up
from dragoman.store.backup_file import read_head, read_pieces
from dragoman.store.engine import open_database
from dragoman.store.every_table import every_table
from dragoman.store.restore import restore
from dragoman.store.schema import MIGRATIONS, downgrade, newest_version, schema_version, upgrade
from dragoman.store.seal import open_sealer
from dragoman.store.sql.keys import NewKey, open_keys
from filled import contents, fill

pytestmark = [pytest.mark.anyio, pytest.mark.req("R-STOR-007")]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(params=KINDS)
async def filled(request, tmp_path):
    """A database with rows in every table, how many they are, and what they are."""
    async with database_url(request.param, tmp_path) as url:
        database = open_database(url)
        rows = await fill(database)
        found = await contents(database)
        await database.close()
        yield url, rows, found


@pytest.fixture
def file(tmp_path):
    return tmp_path / "x.backup"


async def contents_at(url):
    database = open_database(url)
    try:
        return await contents(database)
    finally:
        await database.close()


async def test_every_table_of_ours_is_known_to_whoever_backs_up(filled):
    _, _, found = filled
    assert set(found) == set(every_table())
    assert len(found) >= 11
    assert all(len(rows) == 3 for name, rows in found.items() if name != "meta")


@pytest.mark.parametrize(
    ("filled", "target"),
    [
        pytest.param(one, other, marks=[pytest.mark.gate] if one == other else [])
        for one in KINDS
        for other in KINDS
    ],
    indirect=["filled"],
)
async def test_a_backup_of_either_kind_fills_either_kind_with_the_same_rows(
    filled, target, file, tmp_path
):
    # reliability.md D13
    url, rows, found = filled
    made = await back_up(url, file)
    assert made.rows == rows + len(found["meta"])
    assert (made.schema, made.tables) == (newest_version(), len(found))
    assert made.bytes == file.stat().st_size
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (tmp_path / "other").mkdir()
    async with database_url(target, tmp_path / "other", tables=False) as other:
        done = await restore(other, file)
        assert (done.rows, done.schema) == (made.rows, newest_version())
        assert await contents_at(other) == found


async def test_nothing_is_left_beside_a_backup(filled, file, tmp_path):
    before = {each.name for each in tmp_path.iterdir()}
    await back_up(filled[0], file)
    left = {each.name for each in tmp_path.iterdir()} - before
    assert left <= {file.name, "dragoman.db-wal", "dragoman.db-shm"}


async def test_a_database_with_rows_is_filled_only_where_that_is_said(filled, file):
    url, _, found = filled
    await back_up(url, file)
    with pytest.raises(HouseError, match=r"has rows already .* say --replace"):
        await restore(url, file)
    assert await contents_at(url) == found
    database = open_database(url)
    async with database.write() as connection:
        await connection.execute(text("DELETE FROM ledger_attempts"))
        await connection.execute(text("UPDATE keys SET name = 'another'"))
    await database.close()
    await restore(url, file, replace=True)
    assert await contents_at(url) == found


@pytest.mark.parametrize("kind", KINDS)
async def test_a_backup_of_an_older_version_is_brought_up_to_date(kind, file, tmp_path):
    async with database_url(kind, tmp_path) as url:
        await downgrade(url, "0003")
        database = open_database(url)
        rows = await fill(database)
        await database.close()
        made = await back_up(url, file)
        assert made.schema == "0003"
        assert made.rows >= rows
        done = await restore(url, file, replace=True)
        assert (done.head.schema, done.schema) == ("0003", newest_version())
        database = open_database(url)
        assert await schema_version(database) == newest_version()
        async with database.read() as connection:
            found = await connection.execute(text("SELECT count(*) FROM ledger_requests"))
            assert found.scalar_one() == 3
        await database.close()


async def test_a_restore_that_fails_at_its_last_step_has_changed_nothing(
    filled, file, monkeypatch
):
    url, _, _ = filled
    await back_up(url, file)
    database = open_database(url)
    async with database.write() as connection:
        await connection.execute(text("UPDATE keys SET name = 'newer than the backup'"))
    await database.close()
    before = await contents_at(url)
    migrate = restoring.migrate_within

    async def fail_at_the_end(connection, direction, version):
        await migrate(connection, direction, version)
        if version == "head":
            raise KeyboardInterrupt

    monkeypatch.setattr(restoring, "migrate_within", fail_at_the_end)
    with pytest.raises(KeyboardInterrupt):
        await restore(url, file, replace=True)
    assert await contents_at(url) == before


async def test_a_file_that_changes_between_two_readings_is_noticed(filled, file, monkeypatch):
    url, _, _ = filled
    await back_up(url, file)
    before = await contents_at(url)
    data = bytearray(gzip.decompress(file.read_bytes()))
    at = data.index(b"v1")
    data[at + 1] = ord("7")
    read = restoring.read_head

    def read_then_change(path):
        head = read(path)
        path.write_bytes(gzip.compress(bytes(data)))
        return head

    monkeypatch.setattr(restoring, "read_head", read_then_change)
    with pytest.raises(HouseError, match="was changed since it was written"):
        await restore(url, file, replace=True)
    assert await contents_at(url) == before


async def test_a_backup_is_of_one_moment_while_others_write(filled, file):
    url, _, _ = filled
    database = open_database(url)
    begun, over = asyncio.Event(), asyncio.Event()
    written = 0

    async def write():
        nonlocal written
        while not over.is_set():
            async with database.write() as connection:
                written += 1
                await connection.execute(
                    text("INSERT INTO meta (name, number) VALUES (:name, 0)"),
                    {"name": f"w{written}"},
                )
                await connection.execute(
                    text("UPDATE meta SET number = :number WHERE name LIKE 'w%'"),
                    {"number": written},
                )
            if written == 5:
                begun.set()

    writer = asyncio.create_task(write())
    await begun.wait()
    await back_up(url, file)
    over.set()
    await writer
    await database.close()
    numbers = [
        row[1]
        for piece in read_pieces(file)
        for row in getattr(piece, "rows", [])
        if isinstance(row[0], str) and row[0].startswith("w") and row[0][1:].isdigit()
    ]
    assert len(numbers) >= 5
    assert set(numbers) == {len(numbers)}


async def test_no_secret_is_unsealed_in_it(tmp_path, file):
    async with database_url("sqlite", tmp_path) as url:
        database = open_database(url)
        key = Fernet.generate_key().decode()
        keys = await open_keys(database, open_sealer(tmp_path, key), SystemClock())
        _, secret = await keys.create(NewKey("ci"))
        pepper = keys._pepper
        await database.close()
        await back_up(url, file)
        plain = gzip.decompress(file.read_bytes())
        assert b"ci" in plain
        for each in (
            secret.reveal().encode(),
            secret.reveal()[-49:].encode(),
            pepper,
            key.encode(),
        ):
            assert each not in plain


# --------------------------------------------------------------------------- files


@pytest.fixture
async def small(tmp_path, file):
    async with database_url("sqlite", tmp_path) as url:
        await back_up(url, file)
    return file


async def test_a_file_cut_at_any_byte_or_changed_in_one_is_refused(small, tmp_path):
    data = small.read_bytes()
    other = tmp_path / "cut"
    for end in range(len(data) - 1):
        other.write_bytes(data[:end])
        with pytest.raises(HouseError):
            read_head(other)
    plain = gzip.decompress(data)
    for place in range(len(plain)):
        changed = bytearray(plain)
        changed[place] ^= 0x41
        other.write_bytes(gzip.compress(bytes(changed), 1))
        with pytest.raises(HouseError):
            read_head(other)
    other.write_bytes(gzip.compress(plain + b"x"))
    with pytest.raises(HouseError, match="goes on behind its end"):
        read_head(other)


async def test_what_is_no_backup_is_refused_and_nothing_is_touched(tmp_path):
    other = tmp_path / "notes.txt"
    for content, told in ((b"hello", "no backup"), (gzip.compress(b"hello, world"), "no backup")):
        other.write_bytes(content)
        with pytest.raises(HouseError, match=told):
            await restore(f"sqlite:///{tmp_path}/new.db", other)
    with pytest.raises(HouseError, match="cannot be read"):
        await restore(f"sqlite:///{tmp_path}/new.db", tmp_path / "missing")
    assert not (tmp_path / "new.db").exists()


async def test_a_backup_of_a_newer_version_is_refused(small, tmp_path, monkeypatch):
    monkeypatch.setattr(restoring, "versions", lambda: frozenset({"0001"}))
    with pytest.raises(HouseError, match="install that version or a newer one"):
        await restore(f"sqlite:///{tmp_path}/new.db", small)


async def test_sqlites_own_copy_stands_alone_and_can_be_restored_anywhere(tmp_path):
    url = f"sqlite:///{tmp_path}/a.db"
    await upgrade(url)
    database = open_database(url)
    rows = await fill(database)
    found = await contents(database)  # it stays open: its log has rows that the file has not
    copy = tmp_path / "copy.db"
    made = await back_up(url, copy, as_sqlite=True)
    await database.close()
    assert made.rows == rows + len(found["meta"])
    assert sorted(each.name for each in tmp_path.iterdir() if "copy" in each.name) == ["copy.db"]
    with sqlite3.connect(copy) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert connection.execute("SELECT count(*) FROM keys").fetchone() == (3,)
    connection.close()
    async with database_url("postgresql", tmp_path, tables=False) as other:
        await restore(other, copy)
        assert await contents_at(other) == found


async def test_a_damaged_database_is_not_backed_up(tmp_path, file):
    url = f"sqlite:///{tmp_path}/a.db"
    await upgrade(url)
    database = open_database(url)
    await fill(database, 200)
    await database.close()
    path = tmp_path / "a.db"
    data = bytearray(path.read_bytes())
    for page in range(20, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = b"\xee" * 64
    path.write_bytes(bytes(data))
    with pytest.raises(HouseError, match=r"damaged|cannot be copied"):
        await back_up(url, file)
    assert not file.exists()


async def test_a_database_that_is_not_there_is_not_made_by_backing_it_up(tmp_path, file):
    with pytest.raises(HouseError, match="is not there"):
        await back_up(f"sqlite:///{tmp_path}/none.db", file)
    assert list(tmp_path.iterdir()) == []


async def test_tables_of_others_in_the_same_database_are_left_alone(tmp_path, file):
    async with database_url("postgresql", tmp_path) as url:
        database = open_database(url)
        async with database.write() as connection:
            await connection.execute(text("CREATE TABLE chats (id integer)"))
            await connection.execute(text("INSERT INTO chats VALUES (7)"))
        await fill(database)
        await database.close()
        await back_up(url, file)
        assert b"chats" not in gzip.decompress(file.read_bytes())
        await restore(url, file, replace=True)
        database = open_database(url)
        async with database.read() as connection:
            found = await connection.execute(text("SELECT id FROM chats"))
            assert found.scalar_one() == 7
        await database.close()


def test_every_column_is_of_a_kind_that_a_backup_can_hold():
    kinds = {
        column.type.python_type for table in every_table().values() for column in table.columns
    }
    assert kinds <= {int, str, bytes, float, bool}
    assert (MIGRATIONS / "versions").is_dir()
