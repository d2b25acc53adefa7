"""Tiers that administrators have added or changed, in SQL; every change moves the names' generation on.

The generation is the names', for both are of one overlay that other processes read again as a whole.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import delete, func, insert, select, update

from dragoman.catalog.stored import StoredTier
from dragoman.core.call import Limits, said_limits
from dragoman.store.admin_tables import stored_tiers
from dragoman.store.sql.counters import NAMES, move_on
from dragoman.store.tables import keys

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from dragoman.core.clock import Clock
    from dragoman.store.engine import Database


class SqlTiers:
    """The stored tiers of a database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def all(self) -> tuple[StoredTier, ...]:
        """All of them, by the alphabet: there are few."""
        async with self._database.read() as connection:
            return await read_stored_tiers(connection)

    async def change(self, put: Collection[StoredTier], gone: Collection[str] = ()) -> None:
        """Stores tiers in the place of what they were and forgets others, all at once."""
        now = int(self._clock.wall() * 1000)
        async with self._database.write() as connection:
            for tier in put:
                body = msgspec.json.encode(said_limits(tier.limits)).decode()
                changed = await connection.execute(
                    update(stored_tiers)
                    .where(stored_tiers.c.name == tier.name)
                    .values(body=body, changed_ms=now)
                )
                if not changed.rowcount:
                    fresh = {"name": tier.name, "body": body, "created_ms": now, "changed_ms": now}
                    await connection.execute(insert(stored_tiers).values(**fresh))
            if gone:
                await connection.execute(delete(stored_tiers).where(stored_tiers.c.name.in_(gone)))
            await move_on(connection, NAMES)

    async def keys_with(self, name: str) -> int:
        """How many keys that are not revoked have the tier."""
        query = select(func.count()).where(keys.c.tier == name, keys.c.revoked_ms.is_(None))
        async with self._database.read() as connection:
            return (await connection.execute(query)).scalar_one()


async def read_stored_tiers(connection: AsyncConnection) -> tuple[StoredTier, ...]:
    """All of them, by the alphabet, in whoever's transaction."""
    rows = await connection.execute(select(stored_tiers).order_by(stored_tiers.c.name))
    return tuple(
        StoredTier(
            row["name"],
            msgspec.json.decode(row["body"], type=Limits),
            row["created_ms"],
            row["changed_ms"],
        )
        for row in rows.mappings()
    )
