"""Callers' keys as they are managed: looked through in pages, changed, given another secret, counted anew.

Making and revoking a key, and finding it when it is presented, stand in ``keys.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, insert, or_, select, update

from dragoman.core.secret import Secret
from dragoman.identity.ports import KeyChange, KeyRecord, KeySearch, KeyState
from dragoman.store.admin_tables import usage_resets
from dragoman.store.sql.keys import OWN_LIMITS, NewKey, move_generation, record_of
from dragoman.store.sql.scope_text import write_scopes
from dragoman.store.sql.tenancy import ensure_place, suspending
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
                ("project", search.project),
                ("label", search.label),
                ("tier", search.tier),
            )
            if value is not None
        ]
        now = self._now_ms()
        lasts = or_(keys.c.expires_ms.is_(None), keys.c.expires_ms > now)
        match state:
            case "active":
                said += [keys.c.revoked_ms.is_(None), lasts, keys.c.suspended_ms.is_(None)]
            case "suspended":
                said += [keys.c.revoked_ms.is_(None), lasts, keys.c.suspended_ms.is_not(None)]
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
                like.project,
                like.label,
                like.scopes,
            )
        )

    async def revoke(self, key_id: str, *, cut: bool = False) -> KeyRecord | None:
        """Revokes a key for good; ``cut``: its calls that are under way are to end, too."""
        return await self._store.revoke(key_id, cut=cut)

    async def lately(self) -> int:
        """A number that every change of a key moves on, as it stood half a second ago at most."""
        return await self._store.lately()

    async def cuts(self) -> set[tuple[str, int]]:
        """The keys whose calls were to end, each with when that was said last."""
        return await self._store.cuts()

    async def change(self, key_id: str, change: KeyChange) -> KeyRecord | None:
        """Changes what is said of a key; None where there is none.

        Raises:
            CallerError: its tenant has no such project.
        """
        values = _changed(change)
        if not values and change.suspended is None:
            return await self.get(key_id)
        this = keys.c.id == key_id
        async with self._database.write() as connection:
            if change.project is not None:
                whose = await connection.execute(select(keys.c.tenant).where(this))
                tenant = whose.scalar()
                if tenant is None:
                    return None
                await ensure_place(connection, tenant, change.project, self._now_ms())
            if values:
                await connection.execute(update(keys).where(this).values(**values))
            if change.suspended is not None:
                off = not change.suspended
                await connection.execute(suspending(keys, this, self._now_ms(), off=off))
            await move_generation(connection)
        return await self.get(key_id)

    async def rotate(self, old: KeyRecord, overlap_s: float) -> tuple[KeyRecord, Secret]:
        """Gives a key another secret; the one that it has goes on for so many seconds.

        Its id stays, and with it what it has used and what it may spend. A secret of before the last
        rotation ends now.
        """
        key, digest, version = self._store.new_secret(old.id)
        former: dict[str, Any] = {
            "previous_digest": None,
            "previous_pepper_version": None,
            "previous_until_ms": None,
        }
        if overlap_s > 0:
            former = {
                "previous_digest": keys.c.digest,
                "previous_pepper_version": keys.c.pepper_version,
                "previous_until_ms": self._now_ms() + int(overlap_s * 1000),
            }
        async with self._database.write() as connection:
            await connection.execute(
                update(keys)
                .where(keys.c.id == old.id)
                .values(digest=digest, pepper_version=version, **former)
            )
            await move_generation(connection)
        found = await self.get(old.id)
        assert found is not None, "no key is ever removed"
        return found, Secret(key)

    async def reset_usage(self, key_id: str) -> int:
        """Has the key's use count anew from now on; the moment in microseconds."""
        at_us = int(self._clock.wall() * 1_000_000)
        async with self._database.write() as connection:
            changed = await connection.execute(
                update(usage_resets).where(usage_resets.c.key_id == key_id).values(at_us=at_us)
            )
            if not changed.rowcount:
                await connection.execute(insert(usage_resets).values(key_id=key_id, at_us=at_us))
            await move_generation(connection)
        return at_us

    def _now_ms(self) -> int:
        return int(self._clock.wall() * 1000)


def _changed(change: KeyChange) -> dict[str, Any]:
    """The columns that a change gives another value; not whether the key is suspended."""
    values: dict[str, Any] = {}
    for name in ("name", "role", "project"):
        if (said := getattr(change, name)) is not None:
            values[name] = said
    for name in ("tier", "label"):
        if (said := getattr(change, name)) is not None:
            values[name] = said or None
    if change.limits is not None:
        for name in OWN_LIMITS:
            values[name] = getattr(change.limits, name)
    if change.expires is not None:
        # A moment of 0 is none.
        values["expires_ms"] = int(change.expires * 1000) or None
    if change.scopes is not None:
        values["scopes"] = write_scopes(change.scopes)
    return values
