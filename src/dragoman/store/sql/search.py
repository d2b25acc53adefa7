"""Looking through the ledger's calls: pages by id, and the newest failures by their kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from dragoman.accounting.ports import Line
from dragoman.accounting.search import Failures, Hit, Search
from dragoman.store.ledger_tables import requests
from dragoman.store.sql.ledger_rows import UNFAILED
from dragoman.store.sql.sums import has_tag

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

    from dragoman.store.engine import Database

_LINE = [requests.c[name] for name in Line.__struct_fields__]
_EQUAL = (
    "tenant",
    "key_id",
    "provider",
    "model",
    "requested_model",
    "status",
    "error_code",
    "project",
    "end_user",
)


class SqlSearch:
    """A ``SearchLedger`` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def calls(self, search: Search, *, before: str | None, limit: int) -> list[Hit]:
        """The newest calls; ids are ordered by time, and the table by ids."""
        call = requests.c.call_id
        query = (
            select(requests.c.tenant, requests.c.key_id, *_LINE)
            .where(*_wanted(search))
            .order_by(call.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(call < before)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return [Hit(row[0], row[1], Line(*row[2:])) for row in rows]

    async def failures(self, search: Search, most: int) -> Failures:
        """The newest failed calls, at most so many, by code and provider."""
        failed = (
            select(requests.c.error_code, requests.c.provider, requests.c.status)
            .where(*_wanted(search), requests.c.status.not_in(UNFAILED))
            .order_by(requests.c.call_id.desc())
        )
        newest = failed.limit(most).subquery()
        code = func.coalesce(newest.c.error_code, newest.c.status)
        provider = func.coalesce(newest.c.provider, "")
        query = select(code, provider, func.count()).group_by(code, provider)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
            counts = {(str(row[0]), str(row[1])): int(row[2]) for row in rows}
            total = sum(counts.values())
            beyond = failed.offset(most).limit(1)
            more = total == most and (await connection.execute(beyond)).first() is not None
        return Failures(total, more, counts)


def _wanted(search: Search) -> list[ColumnElement[bool]]:
    said: list[Any] = [
        requests.c[name] == value
        for name in _EQUAL
        if (value := getattr(search, name)) is not None
    ]
    if search.tag is not None:
        said.append(has_tag(search.tag))
    if search.since_us is not None:
        said.append(requests.c.created_us >= search.since_us)
    if search.until_us is not None:
        said.append(requests.c.created_us < search.until_us)
    return said
