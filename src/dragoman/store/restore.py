"""Puts a backup into a database, all of it or nothing: one transaction makes the tables and fills them.

The tables are made as they were when the backup was written, filled, and brought up to date; so an older
backup is read by every newer program. The file is read twice: the whole of it is judged before anything
is touched, and once more while its rows go in, in the same transaction.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.exc import SQLAlchemyError

from dragoman.core.errors import HouseError
from dragoman.store.backup import back_up, count, own_tables, sqlite_url
from dragoman.store.backup_file import (
    Head,
    Rows,
    TableHead,
    is_sqlite,
    read_head,
    read_pieces,
    scratch_file,
)
from dragoman.store.engine import Database, open_database
from dragoman.store.schema import (
    lock_upgrades,
    migrate_within,
    newest_version,
    version_of,
    versions,
)

if TYPE_CHECKING:
    from sqlalchemy import Table
    from sqlalchemy.ext.asyncio import AsyncConnection

COUNTERS = "meta"
"""The one table that has rows from its beginning."""


class Restored(Struct, frozen=True):
    """What was put back."""

    head: Head
    schema: str
    """The version that the tables have now."""
    tables: int
    rows: int


async def restore(url: str, path: Path, *, replace: bool = False) -> Restored:
    """Fills the database at ``url`` with the backup at ``path``, of ours or SQLite's own copy.

    Raises:
        HouseError: the file is not whole or too new, or the database has rows and ``replace`` is not said;
            nothing was changed.
    """
    if is_sqlite(path):
        with scratch_file(path) as plain:
            await back_up(sqlite_url(path), plain)
            return await _restore(url, plain, replace=replace)
    return await _restore(url, path, replace=replace)


async def _restore(url: str, path: Path, *, replace: bool) -> Restored:
    head = read_head(path)
    if head.schema not in versions():
        raise _refusal(
            f"The backup has tables of version {head.schema}, made by Dragoman {head.dragoman}; this "
            f"one knows {newest_version()}: install that version or a newer one"
        )
    database = open_database(url, query_timeout_s=None)
    try:
        return await _fill(database, path, head, replace=replace)
    except SQLAlchemyError as error:
        # Its text would show rows.
        raise _refusal(
            f"The backup does not fit its tables ({type(error).__name__}); nothing was changed"
        ) from None
    finally:
        await database.close()


async def _fill(database: Database, path: Path, head: Head, *, replace: bool) -> Restored:
    async with database.write() as connection:
        await lock_upgrades(connection, database.backend)
        await _clear_away(connection, replace=replace)
        await migrate_within(connection, "upgrade", head.schema)
        tables = {table.name: table for table in await own_tables(connection)}
        for table in tables.values():
            await connection.execute(delete(table))
        rows, names = await _insert(connection, tables, path)
        found = sum([await count(connection, table) for table in tables.values()])
        if found != rows:
            raise _refusal(f"The backup has {rows} rows, and {found} arrived; nothing was changed")
        if database.backend == "postgresql":
            await _go_on_counting(connection, tables)
        await migrate_within(connection, "upgrade", "head")
    return Restored(head, newest_version(), len(names), rows)


async def _clear_away(connection: AsyncConnection, *, replace: bool) -> None:
    version = await connection.run_sync(version_of)
    if version is None:
        return
    if version not in versions():
        raise _refusal(
            f"The database has tables of version {version}, made by another Dragoman than this one: "
            "restore with that version, or into an empty database"
        )
    tables = await own_tables(connection)
    if not replace:
        for table in tables:
            if table.name != COUNTERS and (number := await count(connection, table)):
                raise _refusal(
                    f"The database has rows already ({number} in {table.name}): say --replace to lose "
                    "all of them, or restore into an empty one"
                )
    for table in reversed(tables):
        await connection.run_sync(table.drop)
    await connection.execute(text("DROP TABLE alembic_version"))


async def _insert(
    connection: AsyncConnection, tables: dict[str, Table], path: Path
) -> tuple[int, set[str]]:
    table: Table | None = None
    columns: tuple[str, ...] = ()
    names: set[str] = set()
    number = 0
    for piece in read_pieces(path):
        match piece:
            case TableHead(name, columns):
                table = tables.get(name)
                unknown = set(columns) - set(() if table is None else table.c.keys())
                if table is None or unknown:
                    what = f"a column {min(unknown)!r} of it" if table is not None else "it"
                    raise _refusal(f"The backup has a table {name!r}, and there is no {what} here")
                names.add(name)
            case Rows(rows) if table is not None and rows:
                values: list[dict[str, Any]] = [
                    dict(zip(columns, row, strict=True)) for row in rows
                ]
                await connection.execute(insert(table), values)
                number += len(rows)
            case _:
                pass
    return number, names


async def _go_on_counting(connection: AsyncConnection, tables: dict[str, Table]) -> None:
    """Has PostgreSQL's counters go on behind the rows that were put in with their numbers."""
    for table in tables.values():
        for column in table.primary_key.columns:
            # A name that PostgreSQL itself has to read as one.
            quoted = f'"{table.name}"'
            sequence = (
                await connection.execute(select(func.pg_get_serial_sequence(quoted, column.name)))
            ).scalar_one()
            if sequence is not None:
                highest = select(func.coalesce(func.max(column), 0) + 1).scalar_subquery()
                await connection.execute(select(func.setval(sequence, highest, False)))  # noqa: FBT003


def _refusal(what: str) -> HouseError:
    return HouseError("server", f"{what}.", code="configuration_error")
