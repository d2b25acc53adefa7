"""Keys of providers that were handed in, in SQL: sealed at once, shown never, used once adopted."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from dragoman.catalog.stored import Submission
from dragoman.core.errors import CallerError
from dragoman.store.admin_tables import submitted
from dragoman.store.sql.named import OWNER, move_names

if TYPE_CHECKING:
    from sqlalchemy.engine import RowMapping

    from dragoman.core.clock import Clock
    from dragoman.store.engine import Database
    from dragoman.store.sql.tenant_keys import TenantKeys


class SqlSubmissions:
    """The submitted keys of a database."""

    def __init__(self, database: Database, sealing: TenantKeys, clock: Clock) -> None:
        self._database = database
        self._sealing = sealing
        self._clock = clock

    async def add(self, new: Submission, key: str, most: int) -> Submission:
        """Keeps a key; at most so many wait for an administrator.

        Raises:
            CallerError: the same key is there already, or too many wait.
        """
        sealing = await self._sealing.key(OWNER)
        row = {
            "id": new.id,
            "provider": new.provider,
            "tier": new.tier,
            "preview": new.preview,
            # Of a random key, salted by its provider: it only tells whether the same one is there.
            "digest": hashlib.sha256(f"{new.provider}\n{key}".encode()).digest(),
            "sealed_key": sealing.seal(key.encode(), "submitted_keys", new.id, "sealed_key"),
            "submitted_by": new.submitted_by,
            "created_ms": int(self._clock.wall() * 1000),
            "adopted_ms": None,
        }
        waiting = (
            select(func.count()).select_from(submitted).where(submitted.c.adopted_ms.is_(None))
        )
        try:
            async with self._database.write() as connection:
                if (await connection.execute(waiting)).scalar_one() >= most:
                    raise CallerError(
                        "quota",
                        f"{most} submitted keys wait already: an administrator has to adopt or delete some.",
                        code="insufficient_quota",
                    )
                await connection.execute(insert(submitted).values(row))
        except IntegrityError:
            raise CallerError(
                "conflict", "This key was submitted before; nothing was changed.", code="conflict"
            ) from None
        found = await self.get(new.id)
        assert found is not None, "it was just written"
        return found

    async def page(
        self, *, before: str | None = None, limit: int = 100, provider: str | None = None
    ) -> list[Submission]:
        """The newest first; ids are ordered by time."""
        query = select(submitted).order_by(submitted.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(submitted.c.id < before)
        if provider is not None:
            query = query.where(submitted.c.provider == provider)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [_submission(row) for row in rows]

    async def get(self, name: str) -> Submission | None:
        """One of them."""
        async with self._database.read() as connection:
            found = await connection.execute(select(submitted).where(submitted.c.id == name))
            row = found.mappings().first()
        return None if row is None else _submission(row)

    async def adopt(self, name: str, *, off: bool = False) -> bool:
        """Has the key used from now on, or no longer; whether that changed anything."""
        now = None if off else int(self._clock.wall() * 1000)
        adopted = submitted.c.adopted_ms
        other = adopted.is_not(None) if off else adopted.is_(None)
        async with self._database.write() as connection:
            changed = await connection.execute(
                update(submitted).where(submitted.c.id == name, other).values(adopted_ms=now)
            )
            if changed.rowcount:
                await move_names(connection)
        return bool(changed.rowcount)

    async def remove(self, name: str) -> bool:
        """Forgets the key; whether there was one."""
        async with self._database.write() as connection:
            gone = await connection.execute(delete(submitted).where(submitted.c.id == name))
            if gone.rowcount:
                await move_names(connection)
        return bool(gone.rowcount)


def _submission(row: RowMapping) -> Submission:
    return Submission(**{name: row[name] for name in Submission.__struct_fields__})
