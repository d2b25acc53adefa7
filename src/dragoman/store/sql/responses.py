"""Responses that are kept, in SQL: sealed by tenant, found by tenant, gone when they expire.

A chain is walked inside the database, by one recursive query over ids; what was said is read
and opened only for the responses that the caller of this module then asks for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    and_,
    bindparam,
    case,
    delete,
    func,
    literal,
    or_,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from dragoman.keeping.aside import aside
from dragoman.keeping.ports import Content, Held, Kept, Link
from dragoman.store.response_tables import items, lasting, responses
from dragoman.store.sql.together import Together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Table
    from sqlalchemy.engine import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection

    from dragoman.core.clock import Clock
    from dragoman.store.engine import Database
    from dragoman.store.sql.tenant_keys import TenantKey, TenantKeys

TABLE = str(responses.name)
RENEW_MS = 24 * 60 * 60 * 1000
"""A response whose end would move by less is left as it is: renewing writes all of it anew."""
_LINK = (
    responses.c.id,
    responses.c.previous,
    responses.c.size,
    responses.c.reply.is_not(None).label("here"),
    responses.c.provider,
    responses.c.credential,
)
_KEEPER = (lasting.c.id, lasting.c.provider, lasting.c.credential)
_CONTENT = (responses.c.id, responses.c.size, responses.c.input, responses.c.reply)
_HOLDS = and_(responses.c.tenant == items.c.tenant, responses.c.id == items.c.response)
_FORGET = delete(items).where(
    items.c.tenant == bindparam("of"), items.c.response == bindparam("in")
)
_AT_ONCE = 200
"""Ids in one statement; SQLite binds a thousand values."""


@dataclass(frozen=True, slots=True)
class _Put:
    row: dict[str, Any]
    items: tuple[str, ...]
    lasting: tuple[str, ...]
    renewed: tuple[str, ...]


class SqlResponses:
    """The responses in a database."""

    def __init__(self, database: Database, keys: TenantKeys, clock: Clock) -> None:
        self.database = database
        self.keys = keys
        self.clock = clock
        self._upsert = _upsert(database, responses)
        self._add_items = _insert(database, items).on_conflict_do_nothing()
        self._add_lasting = _upsert(database, lasting)
        self._together = Together(self._write)

    async def put(
        self,
        tenant: str,
        kept: Kept,
        renewed: tuple[str, ...] = (),
        patience_s: float | None = None,
    ) -> None:
        """Keeps a response, in the place of one with its id; ``renewed`` live as long as it does."""
        put = _Put(await self._row(tenant, kept), kept.items, kept.lasting, renewed)
        await self._together.put(put, patience_s)

    async def _write(self, puts: Sequence[_Put]) -> None:
        ordered = _ordered(puts)
        async with self.database.write() as connection:
            # The rows are locked from here on: of two who put the same id the second waits.
            await connection.execute(self._upsert, [put.row for put in ordered])
            # A response of a provider's own may have items beside those that are known now.
            anew = [
                {"of": put.row["tenant"], "in": put.row["id"]}
                for put in ordered
                if put.row["reply"] is not None
            ]
            if anew:
                await connection.execute(_FORGET, anew)
            deleted = await _deleted(connection, ordered)
            names = [
                {"tenant": put.row["tenant"], "id": item, "response": put.row["id"]}
                for put in ordered
                if (put.row["tenant"], put.row["id"]) not in deleted
                for item in dict.fromkeys(put.items)
            ]
            if names:
                await connection.execute(self._add_items, names)
            if beyond := _lasting(puts):
                await connection.execute(self._add_lasting, beyond)
            for put in puts:
                await self._renew(connection, put)

    async def _renew(self, connection: AsyncConnection, put: _Put) -> None:
        until = put.row["expires_ms"]
        for some in _portions(put.renewed):
            await connection.execute(
                update(responses)
                .where(
                    responses.c.tenant == put.row["tenant"],
                    responses.c.id.in_(some),
                    responses.c.expires_ms < until - RENEW_MS,
                )
                .values(expires_ms=until)
            )

    async def get(self, tenant: str, response_id: str) -> Kept | None:
        """The response, without its items' ids."""
        async with self.database.read() as connection:
            found = await connection.execute(
                select(responses).where(_is(tenant, response_id), self._lives())
            )
            row = found.mappings().first()
        if row is None:
            return None
        content = None
        if row["reply"] is not None:
            key = await self.keys.key(tenant)
            content = await aside(row["size"], partial(_content, key, row))
        return Kept(
            id=row["id"],
            created=row["created_ms"] / 1000,
            expires=row["expires_ms"] / 1000,
            provider=row["provider"],
            credential=row["credential"],
            previous=row["previous"],
            content=content,
        )

    async def chain(self, tenant: str, response_id: str, most: int) -> tuple[Link, ...]:
        """The response, what it continues, and so on, the newest first; at most ``most`` of them."""
        start = select(*_LINK, literal(1).label("place")).where(
            _is(tenant, response_id), self._lives()
        )
        walk = start.cte("walk", recursive=True)
        walk = walk.union_all(
            select(*_LINK, walk.c.place + 1).where(
                responses.c.tenant == tenant,
                responses.c.id == walk.c.previous,
                walk.c.place < most,
                self._lives(),
            )
        )
        async with self.database.read() as connection:
            found = await connection.execute(select(walk).order_by(walk.c.place))
            rows = found.mappings().all()
        return tuple(_link(row) for row in rows)

    async def contents(self, tenant: str, response_ids: tuple[str, ...]) -> dict[str, Content]:
        """What was said in each of the responses that are kept here."""
        if not response_ids:
            return {}
        rows: list[RowMapping] = []
        async with self.database.read() as connection:
            for some in _portions(response_ids):
                found = await connection.execute(
                    select(*_CONTENT).where(
                        responses.c.tenant == tenant,
                        responses.c.id.in_(some),
                        responses.c.reply.is_not(None),
                        self._lives(),
                    )
                )
                rows += found.mappings().all()
        if not rows:
            return {}
        key = await self.keys.key(tenant)
        size = sum(row["size"] for row in rows)
        return await aside(size, lambda: {row["id"]: _content(key, row) for row in rows})

    async def holders(self, tenant: str, item_ids: tuple[str, ...]) -> dict[str, Link]:
        """Item → the newest response that it stands in; unknown ones are left out."""
        holders: dict[str, Link] = {}
        if not item_ids:
            return holders
        async with self.database.read() as connection:
            for some in _portions(item_ids):
                found = await connection.execute(
                    select(*_KEEPER)
                    .where(lasting.c.tenant == tenant, lasting.c.id.in_(some))
                    .order_by(lasting.c.noted_ms, lasting.c.provider)
                )
                holders.update({row["id"]: _alone(row) for row in found.mappings()})
                found = await connection.execute(
                    select(items.c.id.label("item"), *_LINK)
                    .join(responses, _HOLDS)
                    .where(items.c.tenant == tenant, items.c.id.in_(some), self._lives())
                    .order_by(responses.c.created_ms, responses.c.id)
                )
                holders.update({row["item"]: _link(row) for row in found.mappings()})
        return holders

    async def places(self, tenant: str, item_id: str) -> frozenset[str]:
        """The responses in which an item stands."""
        async with self.database.read() as connection:
            found = await connection.execute(
                select(items.c.response).where(items.c.tenant == tenant, items.c.id == item_id)
            )
            return frozenset(found.scalars())

    async def strangers(
        self, tenant: str, ids: tuple[str, ...], *, elsewhere: bool = False
    ) -> frozenset[str]:
        """Those of the ids, of responses or items, that other tenants have; it says not who."""
        of_responses = select(responses.c.id).where(
            responses.c.tenant != tenant, responses.c.deleted_ms.is_(None)
        )
        of_items = select(items.c.id).where(items.c.tenant != tenant)
        of_lasting = select(lasting.c.id).where(lasting.c.tenant != tenant)
        if elsewhere:
            of_responses = of_responses.where(responses.c.reply.is_(None))
            of_items = of_items.join(responses, _HOLDS).where(responses.c.reply.is_(None))
        found: set[str] = set()
        async with self.database.read() as connection:
            for some in _portions(ids):
                query = union_all(
                    of_responses.where(responses.c.id.in_(some)),
                    of_items.where(items.c.id.in_(some)),
                    of_lasting.where(lasting.c.id.in_(some)),
                )
                found.update((await connection.execute(query)).scalars())
        return frozenset(found)

    async def held(self, tenant: str) -> Held:
        """What is kept here for the tenant; read from an index alone."""
        size = responses.c.size
        async with self.database.read() as connection:
            found = await connection.execute(
                select(func.count(), func.coalesce(func.sum(size), 0)).where(
                    responses.c.tenant == tenant, size > 0, self._lives()
                )
            )
            number, total = found.one()
        return Held(number, int(total))

    async def delete(self, tenant: str, response_id: str) -> bool:
        """Removes the response; whether there was one.

        A late note must not bring it back: of one that a provider kept the row stays, as a mark.
        """
        mine = _is(tenant, response_id)
        async with self.database.write() as connection:
            done = await connection.execute(
                delete(responses).where(mine, responses.c.reply.is_not(None), self._lives())
            )
            if done.rowcount:
                return True
            # Whose clock is ahead has noted it later than now.
            now, made = self._now_ms(), responses.c.created_ms
            moment = case((made > now, made), else_=now)
            done = await connection.execute(
                update(responses).where(mine, self._lives()).values(deleted_ms=moment)
            )
            await connection.execute(_FORGET, {"of": tenant, "in": response_id})
            return bool(done.rowcount)

    async def expire(self, most: int) -> int:
        """Removes at most ``most`` responses that have expired, of any tenant; how many it were."""
        over = responses.c.expires_ms <= self._now_ms()
        oldest = (
            select(responses.c.tenant, responses.c.id)
            .where(over)
            .order_by(responses.c.expires_ms)
            .limit(most)
        )
        # Looked for first: most often there is none, and nobody has to wait for the lock.
        async with self.database.read() as connection:
            found = await connection.execute(oldest)
            rows = tuple((tenant, response_id) for tenant, response_id in found)
        if not rows:
            return 0
        gone = 0
        async with self.database.write() as connection:
            for some in _portions(rows):
                # One that was renewed since lives on.
                done = await connection.execute(
                    delete(responses).where(
                        tuple_(responses.c.tenant, responses.c.id).in_(some), over
                    )
                )
                gone += done.rowcount
        return gone

    async def _row(self, tenant: str, kept: Kept) -> dict[str, Any]:
        said, reply, size = None, None, 0
        if kept.content is not None:
            key = await self.keys.key(tenant)
            content = kept.content
            size = len(content.input) + len(content.reply)
            said, reply = await aside(size, partial(_sealed, key, kept.id, content))
        return {
            "tenant": tenant,
            "id": kept.id,
            "previous": kept.previous,
            "provider": kept.provider,
            "credential": kept.credential,
            "input": said,
            "reply": reply,
            "size": size,
            "created_ms": int(kept.created * 1000),
            "expires_ms": int(kept.expires * 1000),
            "deleted_ms": None,
        }

    def _now_ms(self) -> int:
        return int(self.clock.wall() * 1000)

    def _lives(self) -> Any:
        return and_(responses.c.expires_ms > self._now_ms(), responses.c.deleted_ms.is_(None))


def _insert(database: Database, table: Table) -> Any:
    """The statement that can say what happens where a row is there already."""
    return (postgresql.insert if database.backend == "postgresql" else sqlite.insert)(table)


def _upsert(database: Database, table: Table) -> Any:
    """Takes rows in the place of those with their ids."""
    row = _insert(database, table)
    keys = list(table.primary_key)
    others = {column.name: row.excluded[column.name] for column in table.c if column not in keys}
    # What was deleted does not come back by what was said of it before.
    living = None
    if table is responses:
        deleted = responses.c.deleted_ms
        living = or_(deleted.is_(None), row.excluded.created_ms > deleted)
    return row.on_conflict_do_update(index_elements=keys, set_=others, where=living)


def _is(tenant: str, response_id: str) -> Any:
    return and_(responses.c.tenant == tenant, responses.c.id == response_id)


def _link(row: RowMapping) -> Link:
    return Link(
        row["id"],
        row["previous"],
        row["size"],
        bool(row["here"]),
        row["provider"],
        row["credential"],
    )


def _ordered(puts: Sequence[_Put]) -> list[_Put]:
    """One put a response, in one order in every process: nobody then waits for who waits for him.

    Of several the last counts, with the items of all notes that came one after the other.
    """
    last: dict[tuple[str, str], _Put] = {}
    for put in puts:
        key = put.row["tenant"], put.row["id"]
        before = last.get(key)
        is_note = before is not None and put.row["reply"] is None
        last[key] = replace(put, items=(*before.items, *put.items)) if before and is_note else put
    return [last[key] for key in sorted(last)]


async def _deleted(connection: AsyncConnection, puts: Sequence[_Put]) -> set[tuple[str, str]]:
    """Those that were deleted after they were said; nobody has any more of them."""
    noted = tuple(
        (put.row["tenant"], put.row["id"])
        for put in puts
        if put.items and put.row["reply"] is None
    )
    found: set[tuple[str, str]] = set()
    for some in _portions(noted):
        rows = await connection.execute(
            select(responses.c.tenant, responses.c.id).where(
                tuple_(responses.c.tenant, responses.c.id).in_(some),
                responses.c.deleted_ms.is_not(None),
            )
        )
        found.update((tenant, name) for tenant, name in rows)
    return found


def _alone(row: RowMapping) -> Link:
    """What its provider keeps without any response."""
    return Link(
        row["id"], None, 0, here=False, provider=row["provider"], credential=row["credential"]
    )


def _lasting(puts: Sequence[_Put]) -> list[dict[str, Any]]:
    """The rows of what outlives the responses, in one order in every process."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for put in puts:
        row = put.row
        for name in put.lasting:
            found[row["tenant"], name, row["provider"]] = {
                "tenant": row["tenant"],
                "id": name,
                "provider": row["provider"],
                "credential": row["credential"],
                "noted_ms": row["created_ms"],
            }
    return [found[key] for key in sorted(found)]


def _sealed(key: TenantKey, name: str, content: Content) -> tuple[bytes, bytes]:
    return (
        key.seal(content.input, TABLE, name, "input"),
        key.seal(content.reply, TABLE, name, "reply"),
    )


def _content(key: TenantKey, row: RowMapping) -> Content:
    return Content(
        key.open(bytes(row["input"]), TABLE, row["id"], "input"),
        key.open(bytes(row["reply"]), TABLE, row["id"], "reply"),
    )


def _portions(values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    return [values[start : start + _AT_ONCE] for start in range(0, len(values), _AT_ONCE)]
