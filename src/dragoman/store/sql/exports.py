"""Calls from end to end, whoever's they are: by windows of the table's own order.

The table is ordered by its calls' ids, which is the order of time. Each window is one short query over so many
calls in a row, whichever of them are wanted: nothing is held between two of them, no lock and no
snapshot, and a tenant with few calls among many costs no query more than a busy one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from sqlalchemy import select

from dragoman.accounting.ports import Line, Only, Scope
from dragoman.accounting.search import Hit
from dragoman.store.ledger_tables import requests
from dragoman.store.sql.summing import ids_within
from dragoman.store.sql.sums import only_terms, within

if TYPE_CHECKING:
    from dragoman.store.engine import Database

_WINDOW = 10_000
_LINE = [requests.c[name] for name in Line.__struct_fields__]


class SqlExports:
    """``accounting.usage.Exports`` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def calls(self, scope: Scope, only: Only) -> AsyncIterator[list[Hit]]:
        """All calls of a scope, the oldest first; those that come meanwhile may be among them."""
        row = requests.c
        span = ids_within((scope.since_us, scope.until_us))
        wanted = (
            within(requests, row.created_us, scope, scope.since_us, scope.until_us),
            *only_terms(only, self._database.backend),
        )
        after = ""
        while True:
            ahead = select(row.call_id).where(row.call_id > after, *span).order_by(row.call_id)
            async with self._database.read() as connection:
                end = (await connection.execute(ahead.offset(_WINDOW - 1).limit(1))).scalar()
                window = [row.call_id > after, *([] if end is None else [row.call_id <= end])]
                query = select(row.tenant, row.key_id, *_LINE).where(*window, *span, *wanted)
                found = (await connection.execute(query.order_by(row.call_id))).all()
            if found:
                yield [Hit(each[0], each[1], Line(*each[2:])) for each in found]
            if end is None:
                return
            after = end
