"""The audit log in SQL: entries are added at its end, read and verified, never changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select

from dragoman.audit.chain import FIRST, Deed, Entry, Finding, Verifier, sealed
from dragoman.store.admin_tables import audit
from dragoman.store.sql.counters import move_on, number_of
from dragoman.store.sql.secrets import open_secret
from dragoman.store.tables import meta

if TYPE_CHECKING:
    from sqlalchemy.engine import RowMapping

    from dragoman.core.clock import Clock
    from dragoman.store.engine import Database
    from dragoman.store.seal import Sealer

_LAST = "audit_last"
_SECRET = "audit"  # noqa: S105  the secret's name
_PAGE = 1000


class SqlAudit:
    """The audit log of a database."""

    def __init__(self, database: Database, secret: bytes, clock: Clock) -> None:
        self._database = database
        self._secret = secret
        self._clock = clock

    async def append(self, deed: Deed) -> Entry:
        """Adds an entry; whoever adds at the same time waits for the counter's row.

        Raises:
            HouseError: it cannot be written, so what it tells of must not be done.
        """
        async with self._database.write() as connection:
            await move_on(connection, _LAST)
            number = await number_of(connection, _LAST)
            previous: str | None = (
                await connection.execute(select(audit.c.seal).where(audit.c.number == number - 1))
            ).scalar()
            at_us = int(self._clock.wall() * 1_000_000)
            entry = sealed(Entry(number, at_us, deed, previous or FIRST), self._secret)
            await connection.execute(insert(audit).values(_values(entry)))
        return entry

    async def page(
        self,
        *,
        before: int | None = None,
        limit: int = 100,
        tenant: str | None = None,
        since_us: int | None = None,
        until_us: int | None = None,
        **equal: str | None,
    ) -> list[Entry]:
        """The newest entries before a number and within a span; ``action``, ``actor`` and others as said."""
        query = select(audit).order_by(audit.c.number.desc()).limit(limit)
        if before is not None:
            query = query.where(audit.c.number < before)
        if since_us is not None:
            query = query.where(audit.c.at_us >= since_us)
        if until_us is not None:
            query = query.where(audit.c.at_us < until_us)
        for name, value in {"tenant": tenant, **equal}.items():
            if value is not None:
                query = query.where(audit.c[name] == value)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [_entry(row) for row in rows]

    async def verify(self) -> Finding:
        """Follows the whole chain."""
        verifier = Verifier(self._secret)
        async with self._database.read() as connection:
            last = (
                await connection.execute(select(meta.c.number).where(meta.c.name == _LAST))
            ).scalar()
        async for entries in self._all():
            verifier.feed(entries)
        return verifier.end(last or 0)

    async def _all(self) -> AsyncIterator[list[Entry]]:
        after = -1
        while True:
            query = select(audit).where(audit.c.number > after).order_by(audit.c.number)
            async with self._database.read() as connection:
                rows = (await connection.execute(query.limit(_PAGE))).mappings().all()
            if not rows:
                return
            yield [_entry(row) for row in rows]
            after = rows[-1]["number"]


def _values(entry: Entry) -> dict[str, Any]:
    deed = {name: getattr(entry.deed, name) for name in Deed.__struct_fields__}
    return {
        "number": entry.number,
        "at_us": entry.at_us,
        "previous": entry.previous,
        "seal": entry.seal,
        **deed,
    }


def _entry(row: RowMapping) -> Entry:
    deed = Deed(**{name: row[name] for name in Deed.__struct_fields__})
    return Entry(row["number"], row["at_us"], deed, row["previous"], row["seal"])


async def open_audit(database: Database, sealer: Sealer, clock: Clock) -> SqlAudit:
    """The audit log of ``database``, with the secret that seals it."""
    secret = await open_secret(database, sealer, clock, _SECRET)
    return SqlAudit(database, secret.versions[min(secret.versions)], clock)
