"""Makes a backup while the gateway serves: all rows of one moment, from either kind of database.

Of SQLite a copy is made by its own online backup, which writers do not wait for, and is looked through
before a row of it is believed. PostgreSQL gives all rows in one transaction that sees one moment. Which
tables there are is asked of the database itself, so a database of an older version is backed up as it
is: the backup before an upgrade.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import MetaData, func, select

from dragoman import __version__
from dragoman.core.errors import HouseError
from dragoman.store.backup_file import (
    PIECE,
    Head,
    Rows,
    TableHead,
    new_backup,
    scratch_file,
    whole_file,
)
from dragoman.store.engine import Backend, Database, is_there, mapped, open_database, parse_url
from dragoman.store.every_table import every_table
from dragoman.store.schema import version_of

if TYPE_CHECKING:
    from sqlalchemy import Table
    from sqlalchemy.ext.asyncio import AsyncConnection


class Made(Struct, frozen=True):
    """What was backed up."""

    schema: str
    tables: int
    rows: int
    bytes: int


async def back_up(url: str, path: Path, *, as_sqlite: bool = False) -> Made:
    """Writes all rows at ``url`` to ``path``, in the form of ``backup_file.py``.

    Args:
        url: of the database; it is not changed.
        path: written whole or not at all.
        as_sqlite: writes SQLite's own copy instead, which only SQLite can open.

    Raises:
        HouseError: there is no database, it is damaged, or the file cannot be written.
    """
    backend, parsed = parse_url(url)
    if backend == "postgresql":
        if as_sqlite:
            raise _refusal("is PostgreSQL's: SQLite's own copy can be had of SQLite alone")
        return await _write(url, path, backend)
    file = Path(parsed.database or "")
    if not is_there(url):
        raise _refusal(f"is not there ({file})")
    with (whole_file if as_sqlite else scratch_file)(path) as part:
        copy_sqlite(file, part)
        if not as_sqlite:
            return await _write(sqlite_url(part), path, backend)
        made = await _counted(part)
    return replace(made, bytes=_size(path))


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file."""
    return f"sqlite:///{path.absolute()}"


def copy_sqlite(file: Path, target: Path) -> None:
    """Copies a database that may be in use, and looks the copy through.

    Raises:
        HouseError: it is damaged.
    """
    source = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)
    try:
        copy = sqlite3.connect(target)
        try:
            source.backup(copy)
            trouble = [row[0] for row in copy.execute("PRAGMA integrity_check(5)")]
        finally:
            copy.close()
    except sqlite3.Error as error:
        raise _refusal(f"cannot be copied ({error})") from None
    finally:
        source.close()
    if trouble != ["ok"]:
        raise _refusal(f"is damaged, and was not backed up: {trouble[0]}")


async def _write(url: str, path: Path, backend: Backend) -> Made:
    database = open_database(url, query_timeout_s=None)
    try:
        async with one_moment(database) as connection:
            tables = await own_tables(connection)
            version = await version_or_refuse(connection)
            with new_backup(path) as writer:
                made_ms = int(time.time() * 1000)
                writer.put(Head(version, backend, __version__, made_ms))
                for table in tables:
                    # SQLAlchemy has a class of its own for names.
                    columns = tuple(str(column.name) for column in table.c)
                    writer.put(TableHead(str(table.name), columns))
                    async for rows in _pieces(connection, table):
                        writer.put(rows)
                rows_written = writer.rows
    finally:
        await database.close()
    return Made(version, len(tables), rows_written, _size(path))


async def _pieces(connection: AsyncConnection, table: Table) -> AsyncIterator[Rows]:
    with mapped():
        async with connection.stream(select(table)) as found:
            async for rows in found.partitions(PIECE):
                yield Rows([list(row) for row in rows])


def _size(path: Path) -> int:
    return path.stat().st_size


async def _counted(copy: Path) -> Made:
    database = open_database(sqlite_url(copy), query_timeout_s=None)
    try:
        async with one_moment(database) as connection:
            tables = await own_tables(connection)
            version = await version_or_refuse(connection)
            rows = sum([await count(connection, table) for table in tables])
    finally:
        await database.close()
    _alone(copy)  # whoever opens a database here puts it into WAL mode
    return Made(version, len(tables), rows, 0)


def _alone(copy: Path) -> None:
    """Has a copy need no log beside it, which could be left behind."""
    connection = sqlite3.connect(copy)
    try:
        connection.execute("PRAGMA journal_mode = DELETE")
    finally:
        connection.close()


@asynccontextmanager
async def one_moment(database: Database) -> AsyncIterator[AsyncConnection]:
    """A connection all of whose queries see the database as it is now."""
    with mapped():
        async with database.engine.connect() as connection:
            if database.backend == "postgresql":
                await connection.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
            async with connection.begin():
                yield connection


async def own_tables(connection: AsyncConnection) -> list[Table]:
    """All tables of ours that the database has, those first that others refer to."""
    ours = every_table()
    found = MetaData()
    await connection.run_sync(partial(found.reflect, only=lambda name, _: name in ours))
    return found.sorted_tables


async def count(connection: AsyncConnection, table: Table) -> int:
    """The rows of a table."""
    number: int = (await connection.execute(select(func.count()).select_from(table))).scalar_one()
    return number


async def version_or_refuse(connection: AsyncConnection) -> str:
    """The version of the tables.

    Raises:
        HouseError: there are none.
    """
    version = await connection.run_sync(version_of)
    if version is None:
        raise _refusal("has no tables of Dragoman's")
    return version


def _refusal(what: str) -> HouseError:
    return HouseError("server", f"The database {what}.", code="configuration_error")
