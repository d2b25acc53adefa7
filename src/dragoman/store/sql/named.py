"""Names and providers that administrators have added, in SQL; every change moves a generation on.

Other processes watch the generation, and read all of it again when it has moved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import delete, insert, select, update

from dragoman.catalog.stored import HOUSE, Kind, Named, Overlay, StoredProvider
from dragoman.store.admin_tables import named, stored_providers, submitted
from dragoman.store.sql.counters import NAMES, lately, look, move_on, number_of
from dragoman.store.sql.stored_tiers import read_stored_tiers

if TYPE_CHECKING:
    from sqlalchemy.engine import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection

    from dragoman.core.clock import Clock
    from dragoman.store.engine import Database
    from dragoman.store.sql.tenant_keys import TenantKeys

OWNER = "\x00house"
"""Whose key seals what is the house's; no tenant can be called so."""


class SqlNamed:
    """The names and providers of a database."""

    def __init__(self, database: Database, sealing: TenantKeys, clock: Clock) -> None:
        self._database = database
        self._sealing = sealing
        self._clock = clock

    # --- names

    async def page(
        self, kind: Kind, *, tenant: str = HOUSE, after: str | None = None, limit: int = 100
    ) -> list[Named]:
        """The names of a kind, by the alphabet."""
        query = (
            select(named)
            .where(named.c.kind == kind, named.c.tenant == tenant)
            .order_by(named.c.name)
            .limit(limit)
        )
        if after is not None:
            query = query.where(named.c.name > after)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [_named(row) for row in rows]

    async def get(self, kind: Kind, name: str, *, tenant: str = HOUSE) -> Named | None:
        """One name."""
        async with self._database.read() as connection:
            return await _get(connection, kind, name, tenant)

    async def put(self, new: Named) -> Named:
        """Stores a name, in the place of what it was."""
        now = self._now_ms()
        body = msgspec.json.encode(
            {"targets": new.targets, "weights": new.weights, "strategy": new.strategy}
        ).decode()
        async with self._database.write() as connection:
            changed = await connection.execute(
                update(named)
                .where(*_is(new.kind, new.name, new.tenant))
                .values(body=body, changed_ms=now)
            )
            if not changed.rowcount:
                await connection.execute(
                    insert(named).values(
                        kind=new.kind,
                        name=new.name,
                        tenant=new.tenant,
                        body=body,
                        created_ms=now,
                        changed_ms=now,
                    )
                )
            await move_names(connection)
            found = await _get(connection, new.kind, new.name, new.tenant)
        assert found is not None, "it was just written"
        return found

    async def remove(self, kind: Kind, name: str, *, tenant: str = HOUSE) -> bool:
        """Removes a name; whether it was there."""
        async with self._database.write() as connection:
            gone = await connection.execute(delete(named).where(*_is(kind, name, tenant)))
            if gone.rowcount:
                await move_names(connection)
        return bool(gone.rowcount)

    # --- providers

    async def providers(self) -> list[StoredProvider]:
        """All stored providers, by the alphabet: there are few."""
        query = select(stored_providers).order_by(stored_providers.c.name)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [_provider(row) for row in rows]

    async def put_provider(self, new: StoredProvider, key: str | None) -> None:
        """Stores a provider; a key of None leaves the stored one as it is."""
        now = self._now_ms()
        values: dict[str, Any] = {
            "body": msgspec.json.encode(
                {
                    "base_url": new.base_url,
                    "dialect": new.dialect,
                    "models": new.models,
                    "rotation": new.rotation,
                }
            ).decode(),
            "disabled": new.disabled,
            "changed_ms": now,
        }
        if key is not None:
            sealing = await self._sealing.key(OWNER)
            sealed = sealing.seal(key.encode(), "stored_providers", new.name, "sealed_key")
            values |= {"sealed_key": sealed, "key_preview": new.key_preview}
        async with self._database.write() as connection:
            changed = await connection.execute(
                update(stored_providers)
                .where(stored_providers.c.name == new.name)
                .values(**values)
            )
            if not changed.rowcount:
                fresh = {"key_preview": "", "created_ms": now, "name": new.name, **values}
                await connection.execute(insert(stored_providers).values(**fresh))
            await move_names(connection)

    async def remove_provider(self, name: str) -> bool:
        """Forgets what was stored of a provider; whether there was anything."""
        async with self._database.write() as connection:
            gone = await connection.execute(
                delete(stored_providers).where(stored_providers.c.name == name)
            )
            if gone.rowcount:
                await move_names(connection)
        return bool(gone.rowcount)

    # --- all of it, for the assembly

    async def generation(self) -> int:
        """A number that every change moves on, in whichever process."""
        return await look(self._database, NAMES)

    async def lately(self) -> int:
        """The same, as it stood half a second ago at most."""
        return await lately(self._database, NAMES)

    async def overlay(self) -> Overlay:
        """All that is stored, with its keys open.

        Raises:
            HouseError: a key was sealed for another place, or by another key.
        """
        async with self._database.read() as connection:
            generation = await number_of(connection, NAMES)
            names = (
                (await connection.execute(select(named).order_by(named.c.name))).mappings().all()
            )
            rows = (
                (
                    await connection.execute(
                        select(stored_providers).order_by(stored_providers.c.name)
                    )
                )
                .mappings()
                .all()
            )
            tiers = await read_stored_tiers(connection)
            taken = (
                (
                    await connection.execute(
                        select(submitted)
                        .where(submitted.c.adopted_ms.is_not(None))
                        .order_by(submitted.c.id)
                    )
                )
                .mappings()
                .all()
            )
        keys: dict[str, tuple[str, ...]] = {}
        adopted: dict[str, tuple[str, ...]] = {}
        if any(row["sealed_key"] is not None for row in rows) or taken:
            sealing = await self._sealing.key(OWNER)
            for row in rows:
                if row["sealed_key"] is not None:
                    place = ("stored_providers", row["name"], "sealed_key")
                    keys[row["name"]] = (sealing.open(bytes(row["sealed_key"]), *place).decode(),)
            for row in taken:
                place = ("submitted_keys", row["id"], "sealed_key")
                key = sealing.open(bytes(row["sealed_key"]), *place).decode()
                adopted[row["provider"]] = (*adopted.get(row["provider"], ()), key)
        return Overlay(
            generation,
            tuple(_named(row) for row in names),
            tuple(_provider(row) for row in rows),
            keys,
            adopted,
            tiers,
        )

    def _now_ms(self) -> int:
        return int(self._clock.wall() * 1000)


def _is(kind: str, name: str, tenant: str) -> tuple[Any, ...]:
    return named.c.kind == kind, named.c.name == name, named.c.tenant == tenant


async def _get(connection: AsyncConnection, kind: str, name: str, tenant: str) -> Named | None:
    found = await connection.execute(select(named).where(*_is(kind, name, tenant)))
    row = found.mappings().first()
    return None if row is None else _named(row)


async def move_names(connection: AsyncConnection) -> None:
    """Tells every process that something has changed."""
    await move_on(connection, NAMES)


def _named(row: RowMapping) -> Named:
    body = msgspec.json.decode(row["body"])
    return Named(
        kind=row["kind"],
        name=row["name"],
        targets=tuple(body["targets"]),
        weights=tuple(body["weights"]),
        strategy=body["strategy"],
        tenant=row["tenant"],
        created_ms=row["created_ms"],
        changed_ms=row["changed_ms"],
    )


def _provider(row: RowMapping) -> StoredProvider:
    body = msgspec.json.decode(row["body"])
    return StoredProvider(
        name=row["name"],
        base_url=body["base_url"],
        dialect=body["dialect"],
        models=tuple(body["models"]),
        disabled=row["disabled"],
        key_preview=row["key_preview"],
        rotation=body.get("rotation"),  # those of before have no word of it
        created_ms=row["created_ms"],
        changed_ms=row["changed_ms"],
    )
