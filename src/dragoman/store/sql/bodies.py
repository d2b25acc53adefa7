"""Bodies of calls in SQL: sealed by tenant, found by tenant, gone when they are old."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, delete, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from dragoman.keeping.aside import aside
from dragoman.keeping.bodies import Said
from dragoman.store.body_tables import bodies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dragoman.store.engine import Database
    from dragoman.store.sql.tenant_keys import TenantKey, TenantKeys

TABLE = str(bodies.name)


class SqlBodies:
    """The bodies in a database."""

    def __init__(self, database: Database, keys: TenantKeys) -> None:
        self._database = database
        self._keys = keys
        insert = postgresql.insert if database.backend == "postgresql" else sqlite.insert
        self._put = insert(bodies).on_conflict_do_nothing()

    async def put(self, said: Sequence[Said]) -> None:
        """Keeps them; one that is there already stays as it is."""
        rows = []
        for each in said:
            key = await self._keys.key(each.tenant)
            size = len(each.request) + len(each.answer)
            rows.append(await aside(size, partial(_row, key, each)))
        async with self._database.write() as connection:
            await connection.execute(self._put, rows)

    async def get(self, tenant: str, call_id: str, since_ms: int) -> Said | None:
        """Those of one call of a tenant, if they are not older than that."""
        query = select(bodies).where(_is(tenant, call_id), bodies.c.created_ms >= since_ms)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).mappings().first()
        if row is None:
            return None
        key = await self._keys.key(tenant)

        def opened() -> Said:
            return Said(
                tenant,
                call_id,
                row["created_ms"] / 1000,
                key.open(bytes(row["request"]), TABLE, call_id, "request"),
                key.open(bytes(row["answer"]), TABLE, call_id, "answer"),
                row["request_size"],
                row["answer_size"],
            )

        return await aside(len(row["request"]) + len(row["answer"]), opened)

    async def delete(self, tenant: str, call_id: str) -> bool:
        """Removes those of one call; whether there were any."""
        async with self._database.write() as connection:
            done = await connection.execute(delete(bodies).where(_is(tenant, call_id)))
        return bool(done.rowcount)

    async def expire(self, before_ms: int, most: int) -> int:
        """Removes at most ``most`` that are older, of any tenant; how many it were."""
        key = (bodies.c.tenant, bodies.c.call_id)
        old = select(*key).where(bodies.c.created_ms < before_ms).order_by(bodies.c.created_ms)
        # Looked for first: most often there is none, and nobody has to wait for the lock.
        async with self._database.read() as connection:
            rows = [tuple(row) for row in await connection.execute(old.limit(most))]
        if not rows:
            return 0
        async with self._database.write() as connection:
            done = await connection.execute(delete(bodies).where(tuple_(*key).in_(rows)))
        return done.rowcount


def _row(key: TenantKey, said: Said) -> dict[str, Any]:
    return {
        "tenant": said.tenant,
        "call_id": said.call_id,
        "request": key.seal(said.request, TABLE, said.call_id, "request"),
        "answer": key.seal(said.answer, TABLE, said.call_id, "answer"),
        "request_size": said.request_size,
        "answer_size": said.answer_size,
        "created_ms": int(said.created * 1000),
    }


def _is(tenant: str, call_id: str) -> Any:
    return and_(bodies.c.tenant == tenant, bodies.c.call_id == call_id)
