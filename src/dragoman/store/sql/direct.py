"""Statements that every batch of the ledger runs, given to the driver itself where that spares it trips.

SQLite works in a thread of its own. SQLAlchemy goes there for a cursor, for the statement, for its rows and to
close the cursor again; the driver needs one trip for all of it, which with a handful of statements for a hundred
calls is what a batch costs. The transaction is the connection's, as ever.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError

from dragoman.store.engine import driver_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def run_each(
    connection: AsyncConnection, statement: str, rows: list[tuple[Any, ...]]
) -> int:
    """Runs the statement with each of these parameters; how many rows it has changed, where the driver counts.

    Raises:
        DBAPIError: as SQLAlchemy would.
    """
    if connection.dialect.name != "sqlite":
        return (await connection.exec_driver_sql(statement, rows)).rowcount
    with _told(statement):
        done = await (await driver_of(connection)).executemany(statement, rows)
    return int(done.rowcount)


async def ask(
    connection: AsyncConnection, statement: str, values: tuple[Any, ...]
) -> Sequence[Sequence[Any]]:
    """Runs the statement once; its rows.

    Raises:
        DBAPIError: as SQLAlchemy would.
    """
    if connection.dialect.name != "sqlite":
        return (await connection.exec_driver_sql(statement, values)).all()
    with _told(statement):
        return list(await (await driver_of(connection)).execute_fetchall(statement, values))


@contextmanager
def _told(statement: str) -> Iterator[None]:
    """Has the driver's failures be SQLAlchemy's, of the kind that they would be there; without the parameters."""
    try:
        yield
    except sqlite3.Error as error:
        raise DBAPIError.instance(
            statement, None, error, sqlite3.Error, hide_parameters=True
        ) from error
