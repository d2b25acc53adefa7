"""Statements that every batch of the ledger runs, given to the driver itself where that spares it trips.

SQLite works in a thread of its own. SQLAlchemy goes there for a cursor, for the statement, for its rows and to
close the cursor again; here all of it is one trip, for several statements too, which with a handful of them for
some hundred calls is what a batch costs. The transaction is the connection's, as ever.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy.exc import DBAPIError

from dragoman.store.engine import driver_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


class Step(NamedTuple):
    """A statement, and the parameters with each of which it is run."""

    statement: str
    rows: list[tuple[Any, ...]]


async def run_each(
    connection: AsyncConnection, statement: str, rows: list[tuple[Any, ...]]
) -> int:
    """Runs the statement with each of these parameters; how many rows it has changed, where the driver counts.

    Raises:
        DBAPIError: as SQLAlchemy would.
    """
    (changed,) = await run_all(connection, [Step(statement, rows)])
    return changed


async def run_all(connection: AsyncConnection, steps: Sequence[Step]) -> list[int]:
    """Runs several statements one after the other; how many rows each has changed, where the driver counts.

    One without parameters is not run, and has changed none.

    Raises:
        DBAPIError: as SQLAlchemy would.
    """
    if not any(step.rows for step in steps):
        return [0] * len(steps)
    if connection.dialect.name != "sqlite":
        return [
            (await connection.exec_driver_sql(step.statement, step.rows)).rowcount
            if step.rows
            else 0
            for step in steps
        ]
    return (await _trip(connection, steps))[1]


async def ask(
    connection: AsyncConnection,
    statement: str,
    values: tuple[Any, ...],
    then: Sequence[Step] = (),
) -> Sequence[Sequence[Any]]:
    """Runs the statement once; its rows. ``then`` is run after it.

    Raises:
        DBAPIError: as SQLAlchemy would.
    """
    if connection.dialect.name != "sqlite":
        found = (await connection.exec_driver_sql(statement, values)).all()
        await run_all(connection, then)
        return found
    return (await _trip(connection, then, (statement, values)))[0]


async def _trip(
    connection: AsyncConnection,
    steps: Sequence[Step],
    question: tuple[str, tuple[Any, ...]] | None = None,
) -> tuple[list[Any], list[int]]:
    """The rows that answer the question, and what each of the steps behind it has changed; of SQLite alone."""

    def go(database: sqlite3.Connection) -> tuple[list[Any], list[int]]:
        found = [] if question is None else answer(database, *question)
        return found, [run(database, step) if step.rows else 0 for step in steps]

    driver = await driver_of(connection)
    # What aiosqlite has for everybody does one thing in a trip.
    found, changed = await driver._execute(go, driver._conn)  # noqa: SLF001
    return found, changed


def answer(database: sqlite3.Connection, statement: str, values: tuple[Any, ...]) -> list[Any]:
    """The statement's rows."""
    with _told(statement):
        return database.execute(statement, values).fetchall()


def run(database: sqlite3.Connection, step: Step) -> int:
    """How many rows the step has changed."""
    with _told(step.statement):
        return database.executemany(*step).rowcount


@contextmanager
def _told(statement: str) -> Iterator[None]:
    """Has the driver's failures be SQLAlchemy's, of the kind that they would be there; without the parameters."""
    try:
        yield
    except sqlite3.Error as error:
        raise DBAPIError.instance(
            statement, None, error, sqlite3.Error, hide_parameters=True
        ) from error
