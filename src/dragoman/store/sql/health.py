"""The record of providers' health in SQL: it outlives the process, and other workers read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import msgspec
from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from dragoman.health.sharing import (
    CLEAR_MS,
    Entry,
    Kind,
    Spot,
    State,
    encode_state,
    kept_s,
    merged,
    read_entry,
)
from dragoman.store.health_table import health

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy.engine import CursorResult
    from sqlalchemy.ext.asyncio import AsyncConnection

    from dragoman.store.engine import Database

_KEY = (health.c.kind, health.c.provider, health.c.model, health.c.credential)
_READ = select(*_KEY, health.c.state)
_AT_ONCE = 200
"""Rows in one statement; SQLite binds a thousand values."""


class SqlHealth:
    """The table, as a ``Record``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._upsert = _upsert(database)
        self._clear_ms = 0

    async def exchange(self, told: list[Entry], since_ms: int, now_ms: int) -> list[Entry]:
        """Merges what is told into the table, and gives what has changed in it since a moment."""
        if not told:
            async with self._database.read() as connection:
                return await _changed(connection, since_ms)
        async with self._database.write() as connection:
            if now_ms >= self._clear_ms:
                self._clear_ms = now_ms + CLEAR_MS
                await _clear(connection, now_ms)
            stored = await _stored(connection, [entry.spot for entry in told])
            states = {entry.spot: merged(stored.get(entry.spot), entry.state) for entry in told}
            await self._put(connection, [Entry(*item) for item in states.items()], now_ms)
            return await _changed(connection, since_ms)

    async def newest_ms(self) -> int:
        """When figures or switches were last written, in Unix milliseconds; 0: never."""
        told = health.c.kind.in_(("figures", "switch"))
        async with self._database.read() as connection:
            newest = await connection.scalar(select(func.max(health.c.changed_ms)).where(told))
        return newest or 0

    async def put(self, entries: list[Entry], now_ms: int) -> None:
        """Writes entries in the place of those that are there: another record has merged them."""
        if entries:
            async with self._database.write() as connection:
                await self._put(connection, entries, now_ms)

    async def _put(
        self, connection: AsyncConnection, entries: Sequence[Entry], now_ms: int
    ) -> None:
        # In one order, so that of two processes neither waits for the other's rows.
        rows = [
            {
                "kind": entry.spot.kind,
                "provider": entry.spot.provider,
                "model": entry.spot.model,
                "credential": entry.spot.credential,
                "state": encode_state(entry.state).decode(),
                "changed_ms": now_ms,
            }
            for entry in sorted(entries, key=lambda entry: entry.spot)
        ]
        await connection.execute(self._upsert, rows)


async def _clear(connection: AsyncConnection, now_ms: int) -> None:
    for kind in get_args(Kind):
        long_ago = now_ms - round(kept_s(kind) * 1000)
        await connection.execute(
            delete(health).where(health.c.kind == kind, health.c.changed_ms < long_ago)
        )


async def _changed(connection: AsyncConnection, since_ms: int) -> list[Entry]:
    rows = await connection.execute(_READ.where(health.c.changed_ms >= since_ms))
    return list(_entries(rows))


async def _stored(connection: AsyncConnection, spots: list[Spot]) -> dict[Spot, State]:
    """The states of some spots, locked until the end of the transaction."""
    found: dict[Spot, State] = {}
    keys = [msgspec.structs.astuple(spot) for spot in sorted(spots)]
    for start in range(0, len(keys), _AT_ONCE):
        named = tuple_(*_KEY).in_(keys[start : start + _AT_ONCE])
        rows = await connection.execute(_READ.where(named).order_by(*_KEY).with_for_update())
        found.update((entry.spot, entry.state) for entry in _entries(rows))
    return found


def _entries(rows: CursorResult[Any]) -> Iterator[Entry]:
    for row in rows.all():
        values: tuple[Any, ...] = tuple(row)
        entry = read_entry(values[:4], values[4])
        if entry is not None:
            yield entry


def _upsert(database: Database) -> Any:
    """Takes rows in the place of those with their key."""
    insert = postgresql.insert if database.backend == "postgresql" else sqlite.insert
    row = insert(health)
    return row.on_conflict_do_update(
        index_elements=list(_KEY),
        set_={"state": row.excluded.state, "changed_ms": row.excluded.changed_ms},
    )
