"""The database's own random secrets: made once, versioned, sealed at rest.

The pepper of the keys is the first of them (D19). A new version is added beside the old
ones; which version a row was made with stands in that row.
"""

from __future__ import annotations

import secrets as dice
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from dragoman.store.seal import Sealed
from dragoman.store.tables import secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncConnection

    from dragoman.core.clock import Clock
    from dragoman.store.engine import Database
    from dragoman.store.seal import Sealer

SIZE = 32


@dataclass(frozen=True, slots=True)
class SecretVersions:
    """One secret in all its versions."""

    versions: Mapping[int, bytes]

    @property
    def newest(self) -> int:
        """The version that new things are made with."""
        return max(self.versions)

    def __repr__(self) -> str:
        return f"SecretVersions({sorted(self.versions)})"


async def open_secret(
    database: Database, sealer: Sealer, clock: Clock, name: str
) -> SecretVersions:
    """The secret ``name``, made if the database has none, sealed anew if its key was rotated."""
    async with database.read() as connection:
        rows = await _rows(connection, name)
    opened = {version: sealer.open(sealed) for version, sealed in rows.items()}
    if opened and all(sealer.is_current(sealed) for sealed in rows.values()):
        return SecretVersions(opened)
    try:
        return await _make_or_reseal(database, sealer, clock, name)
    except IntegrityError:  # another process has made it between our look and our insert
        return await _make_or_reseal(database, sealer, clock, name)


async def _make_or_reseal(
    database: Database, sealer: Sealer, clock: Clock, name: str
) -> SecretVersions:
    async with database.write() as connection:
        rows = await _rows(connection, name)
        if not rows:
            return SecretVersions({1: await _make(connection, sealer, clock, name)})
        opened = {version: sealer.open(sealed) for version, sealed in rows.items()}
        for version, sealed in rows.items():
            if not sealer.is_current(sealed):
                await _seal_anew(connection, sealer.seal(opened[version]), name, version)
    return SecretVersions(opened)


async def _rows(connection: AsyncConnection, name: str) -> dict[int, Sealed]:
    found = await connection.execute(
        select(secrets.c.version, secrets.c.sealed, secrets.c.sealed_by).where(
            secrets.c.name == name
        )
    )
    return {version: Sealed(bytes(token), by) for version, token, by in found}


async def _make(connection: AsyncConnection, sealer: Sealer, clock: Clock, name: str) -> bytes:
    secret = dice.token_bytes(SIZE)
    sealed = sealer.seal(secret)
    await connection.execute(
        insert(secrets).values(
            name=name,
            version=1,
            sealed=sealed.token,
            sealed_by=sealed.by,
            created_ms=int(clock.wall() * 1000),
        )
    )
    return secret


async def _seal_anew(connection: AsyncConnection, sealed: Sealed, name: str, version: int) -> None:
    await connection.execute(
        update(secrets)
        .where(secrets.c.name == name, secrets.c.version == version)
        .values(sealed=sealed.token, sealed_by=sealed.by)
    )
