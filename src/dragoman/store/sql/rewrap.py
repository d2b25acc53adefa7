"""Seals the database's secrets anew under the key in force, a few at a time, while others go on reading them (K3).

What they seal in turn stays as it is, so nothing of what tenants have is touched. Each row is changed by
itself, and only if it is still what was read: whoever is killed in the middle, or runs twice at once, leaves
every row whole, and the next run finds what is left by its mark.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec import Struct, field
from sqlalchemy import func, select, tuple_, update

from dragoman.core.errors import HouseError
from dragoman.store.seal import Sealed
from dragoman.store.tables import secrets

if TYPE_CHECKING:
    from collections.abc import Callable

    from dragoman.store.engine import Database
    from dragoman.store.seal import Sealer

BATCH = 200
"""Rows of one transaction: others write in between."""
PAUSE_S = 0.005


class Rewrapped(Struct):
    """What came of it."""

    done: int = 0
    left: int = 0
    """Rows that another key than the one in force has sealed, at the end."""
    errors: dict[str, int] = field(default_factory=dict)
    """Why rows could not be opened, and how many."""


async def sealed_by(database: Database) -> dict[str, int]:
    """How many secrets each key has sealed, by its mark."""
    counted = select(secrets.c.sealed_by, func.count()).group_by(secrets.c.sealed_by)
    async with database.read() as connection:
        return {row[0]: row[1] for row in await connection.execute(counted)}


async def rewrap(
    database: Database, sealer: Sealer, told: Callable[[int, int], object] | None = None
) -> Rewrapped:
    """Seals anew whatever another key than the one in force has sealed.

    Args:
        database: whose secrets.
        sealer: with the key in force, and all that were before it.
        told: how many rows are done, and how many are left, after each batch.
    """
    found = Rewrapped()
    place = ("", -1)
    while True:
        query = (
            select(secrets.c.name, secrets.c.version, secrets.c.sealed, secrets.c.sealed_by)
            .where(secrets.c.sealed_by != sealer.current)
            .where(tuple_(secrets.c.name, secrets.c.version) > place)
            .order_by(secrets.c.name, secrets.c.version)
            .limit(BATCH)
        )
        async with database.read() as connection:
            rows = (await connection.execute(query)).all()
        if not rows:
            break
        fresh = []
        for name, version, token, by in rows:
            try:
                opened = sealer.open(Sealed(bytes(token), by))
            except HouseError as error:
                found.errors[error.message] = found.errors.get(error.message, 0) + 1
            else:
                fresh.append((name, version, token, sealer.seal(opened)))
        async with database.write() as connection:
            for name, version, token, sealed in fresh:
                changed = await connection.execute(
                    update(secrets)
                    .where(secrets.c.name == name, secrets.c.version == version)
                    .where(secrets.c.sealed == token)
                    .values(sealed=sealed.token, sealed_by=sealed.by)
                )
                found.done += changed.rowcount
        place = (rows[-1][0], rows[-1][1])
        if told is not None:
            told(found.done, await _left(database, sealer))
        await asyncio.sleep(PAUSE_S)
    found.left = await _left(database, sealer)
    return found


async def _left(database: Database, sealer: Sealer) -> int:
    counted = await sealed_by(database)
    return sum(number for mark, number in counted.items() if mark != sealer.current)
