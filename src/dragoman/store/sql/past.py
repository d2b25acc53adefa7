"""The last calls of all tenants, newest first: what an operator's plan of another configuration replays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from sqlalchemy import select

from dragoman.accounting.entry import RequestRow
from dragoman.core.ids import uuid7_of
from dragoman.store.ledger_tables import requests
from dragoman.store.sql.ledger_entry import request_of_row

if TYPE_CHECKING:
    from dragoman.store.engine import Database

_PAGE = 5000
_SLACK_S = 60
"""By how much an id may be older than the moment that its row tells."""


async def past_calls(
    database: Database, since_us: int, limit: int
) -> AsyncIterator[list[RequestRow]]:
    """At most ``limit`` calls since a moment, in lists of some thousands.

    They are read in the order of their ids, which is that of time, and which the table has.
    """
    row = requests.c
    earliest = uuid7_of(max(0, since_us) / 1_000_000 - _SLACK_S, 0)
    query = (
        select(requests)
        .where(row.call_id >= earliest, row.created_us >= since_us)
        .order_by(row.call_id.desc())
    )
    page, left = query, limit
    while left > 0:
        async with database.read() as connection:
            found = (await connection.execute(page.limit(min(left, _PAGE)))).all()
        if found:
            yield [request_of_row(each) for each in found]
        if len(found) < min(left, _PAGE):
            return
        left -= len(found)
        page = query.where(row.call_id < found[-1].call_id)
