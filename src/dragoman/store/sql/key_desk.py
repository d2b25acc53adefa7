"""Callers' keys as they are managed: looked through in pages, changed, given another secret, counted anew.

Making and revoking a key, and finding it when it is presented, stand in ``keys.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from sqlalchemy import and_, insert, or_, select, update

from dragoman.core.secret import Secret
from dragoman.identity.ports import KeyChange, KeyRecord, KeySearch, KeyState
from dragoman.store.admin_tables import usage_resets
from dragoman.store.sql.keys import OWN_LIMITS, NewKey, move_generation, record_of
from dragoman.store.tables import keys

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

    from dragoman.core.clock import Clock
    from dragoman.store.engine import Database
    from dragoman.store.sql.keys import SqlKeys


class SqlKeyDesk:
    """The keys of a database, for whoever manages them."""

    def __init__(self, database: Database, store: SqlKeys, clock: Clock) -> None:
        self._database = database
        self._store = store
        self._clock = clock

    async def page(
        self, search: KeySearch, *, after: tuple[int, str] | None, limit: int
    ) -> list[KeyRecord]:
        """The oldest first; ``after`` is when the last one of the page before was made (ms), and its id."""
        created, key_id = keys.c.created_ms, keys.c.id
        query = select(keys).where(*self._wanted(search)).order_by(created, key_id).limit(limit)
        if after is not None:
            moment, last = after
            query = query.where(or_(created > moment, and_(created == moment, key_id > last)))
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [record_of(row) for row in rows]

    def _wanted(self, search: KeySearch) -> list[ColumnElement[bool]]:
        state: KeyState | None = search.state
        said: list[Any] = [
            keys.c[column] == value
            for column, value in (
                ("tenant", search.tenant),
                ("id", search.key_id),
                ("role", search.role),
                ("user_id", search.user_id),
            )
            if value is not None
        ]
        now = self._now_ms()
        lasts = or_(keys.c.expires_ms.is_(None), keys.c.expires_ms > now)
        match state:
            case "active":
                said += [keys.c.revoked_ms.is_(None), lasts]
            case "revoked":
                said.append(keys.c.revoked_ms.is_not(None))
            case "expired":
                said += [keys.c.revoked_ms.is_(None), keys.c.expires_ms <= now]
            case None:
                pass
        return said

    async def get(self, key_id: str, *, tenant: str | None = None) -> KeyRecord | None:
        """One key, in ``tenant`` if that is said."""
        return await self._store.get(key_id, tenant=tenant)

    async def create(self, like: KeyRecord) -> tuple[KeyRecord, Secret]:
        """Makes a key with the members of ``like`` but its id; it is given out here and never again."""
        return await self._store.create(
            NewKey(
                like.name,
                like.tenant,
                like.role,
                like.limits,
                like.expires,
                like.user_id,
                like.tier,
            )
        )

    async def revoke(self, key_id: str) -> KeyRecord | None:
        """Revokes a key for good."""
        return await self._store.revoke(key_id)

    async def change(self, key_id: str, change: KeyChange) -> KeyRecord | None:
        """Changes what is said of a key; None where there is none."""
        values: dict[str, Any] = {}
        if change.name is not None:
            values["name"] = change.name
        if change.role is not None:
            values["role"] = change.role
        if change.tier is not None:
            values["tier"] = change.tier or None
        if change.limits is not None:
            for name in OWN_LIMITS:
                values[name] = getattr(change.limits, name)
        if change.expires is not None:
            # A moment of 0 is none.
            values["expires_ms"] = int(change.expires * 1000) or None
        if values:
            async with self._database.write() as connection:
                await connection.execute(update(keys).where(keys.c.id == key_id).values(**values))
                await move_generation(connection)
        return await self.get(key_id)

    async def rotate(self, old: KeyRecord, overlap_s: float) -> tuple[KeyRecord, Secret]:
        """A key like the old one, which ends after so many seconds, or with its own end if that is sooner."""
        like = NewKey(old.name, old.tenant, old.role, old.limits, old.expires, tier=old.tier)
        new, secret = await self._store.create(like)
        end_ms = self._now_ms() + int(overlap_s * 1000)
        if old.expires is not None:
            end_ms = min(end_ms, int(old.expires * 1000))
        async with self._database.write() as connection:
            # The user is the new key's: each has one. Whatever fails before, the old one still serves.
            await connection.execute(
                update(keys).where(keys.c.id == old.id).values(expires_ms=end_ms, user_id=None)
            )
            await connection.execute(
                update(keys).where(keys.c.id == new.id).values(user_id=old.user_id)
            )
            await move_generation(connection)
        return replace(new, user_id=old.user_id), secret

    async def reset_usage(self, key_id: str) -> int:
        """Has the key's use count anew from now on; the moment in microseconds."""
        at_us = int(self._clock.wall() * 1_000_000)
        async with self._database.write() as connection:
            changed = await connection.execute(
                update(usage_resets).where(usage_resets.c.key_id == key_id).values(at_us=at_us)
            )
            if not changed.rowcount:
                await connection.execute(insert(usage_resets).values(key_id=key_id, at_us=at_us))
        return at_us

    async def counts_since_us(self, key_id: str) -> int | None:
        """Since when the key's use counts; None: ever."""
        query = select(usage_resets.c.at_us).where(usage_resets.c.key_id == key_id)
        async with self._database.read() as connection:
            found: int | None = (await connection.execute(query)).scalar()
        return found

    def _now_ms(self) -> int:
        return int(self._clock.wall() * 1000)
