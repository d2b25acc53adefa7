"""Numbers that other processes watch, in the table ``meta``: whoever changes something moves its number on.

A server looks at all of them at once, again and again (``numbers.py``). Of SQLite that is one trip to the
connection's thread: a transaction and a statement of SQLAlchemy's are ten, and there is nothing to hold together.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sqlalchemy import select, update

from dragoman.store.tables import meta

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from dragoman.store.engine import Database


NAMES = "names_generation"
"""Moves on with what lies over the configuration file: names, providers, tiers."""
LATELY_S = 0.5
"""How old a look may be for who does not look itself: a server's is 0.4 s old at most, and what reading takes."""
_ALL = select(meta.c.name, meta.c.number)
_ALL_SAID = str(_ALL)
"""Spelt once: that costs five times the look."""


async def number_of(connection: AsyncConnection, name: str) -> int:
    """Where a counter stands."""
    found = await connection.execute(select(meta.c.number).where(meta.c.name == name))
    number: int = found.scalar_one()
    return number


async def look(database: Database, name: str) -> int:
    """Where a counter stands now; whoever watches another one learns of it, too.

    Raises:
        HouseError: the database cannot be asked.
    """
    began = time.monotonic()
    if database.backend == "sqlite":
        rows = await database.glance(_ALL_SAID)
    else:
        async with database.read() as connection:
            rows = [(row.name, row.number) for row in await connection.execute(_ALL)]
    database.numbers.take(dict(rows), began)
    return database.numbers.known[name]


async def lately(database: Database, name: str) -> int:
    """Where a counter stood within the last ``LATELY_S``: by somebody's look, or one of its own."""
    known = database.numbers.lately(name, time.monotonic() - LATELY_S)
    return await look(database, name) if known is None else known


async def move_on(connection: AsyncConnection, name: str) -> None:
    """Moves a counter on by one; who else does so waits for this transaction."""
    await connection.execute(
        update(meta).where(meta.c.name == name).values(number=meta.c.number + 1)
    )
