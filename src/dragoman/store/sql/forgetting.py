"""What is removed of a tenant that was deleted: all of its content, and whose names stand in its calls (P5).

What it has spent stays, under its id and those of its keys, which name nobody any more. Everything else goes a
little at a time, so that no request notices; done again it does nothing. Calls that were under way when the
tenant was deleted may still write something down, so it is done again for some days (``upkeep.py``). What
somebody copied before, such as a backup, opens no more than the key in it does: the tenant's own key goes last.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sqlalchemy import delete, or_, select, tuple_, update

from dragoman.admission.budget_rules import word_of
from dragoman.store.admin_tables import named
from dragoman.store.answer_tables import answers
from dragoman.store.body_tables import bodies
from dragoman.store.budget_tables import alerts, pots
from dragoman.store.ledger_tables import requests
from dragoman.store.response_tables import items, lasting, responses
from dragoman.store.sql.budgets import SqlBudgets
from dragoman.store.sql.credentials import remove_tenant
from dragoman.store.sql.named import move_names
from dragoman.store.sql.tenant_keys import secret_name
from dragoman.store.tables import keys, secrets
from dragoman.store.usage_tables import labels

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Table

    from dragoman.core.clock import Clock
    from dragoman.store.engine import Database

BATCH = 200
PAUSE_S = 0.02
_PERSONAL = ("caller", "user", "tag")
"""Kinds of sums that are named in the words of callers."""
_SAID = {"caller": "", "end_user": "", "tags": ""}
"""Those words in a call's own row."""


class SqlForgetting:
    """Removes what belonged to tenants that are there no more."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._budgets = SqlBudgets(database, clock)

    async def forget_content(self, tenant: str) -> None:
        """Removes what the tenant had us keep: credentials, names, responses, answers, budgets, and its key."""
        await remove_tenant(self._database, tenant)
        if await self._emptied(named, named.c.tenant == tenant):
            async with self._database.write() as connection:
                await move_names(connection)
        for rule in await self._budgets.rules():
            if rule.tenant == tenant:
                await self._budgets.remove(rule.name)
        for table in (items, responses, lasting, answers, bodies):
            await self._emptied(table, table.c.tenant == tenant)
        async with self._database.write() as connection:
            mine = secrets.c.name == secret_name(tenant)
            await connection.execute(delete(secrets).where(mine))

    async def forget_names(self, tenant: str) -> int:
        """Removes from the tenant's calls and sums the words that its callers wrote; of how many calls."""
        said = (labels.c.tenant == tenant, labels.c.kind.in_(_PERSONAL))
        await self._emptied(labels, *said)
        part = f"{word_of(tenant)}/"
        for table in (alerts, pots):
            of_a_user = table.c.subject.startswith(part, autoescape=True)
            unheld = (pots.c.held_pico == 0,) if table is pots else ()
            await self._emptied(table, of_a_user, *unheld)
        async with self._database.read() as connection:
            found = await connection.execute(select(keys.c.id).where(keys.c.tenant == tenant))
            names = list(found.scalars())
        return sum([await self._unnamed(tenant, name) for name in names])

    async def _unnamed(self, tenant: str, key_id: str) -> int:
        """Goes through the calls of one key, the oldest first; how many said something."""
        row, number, after = requests.c, 0, (0, "")
        mine = (row.key_id == key_id, row.tenant == tenant)
        said = or_(*(row[name] != nothing for name, nothing in _SAID.items()))
        moment = tuple_(row.created_us, row.call_id)
        while True:
            query = select(row.created_us, row.call_id).where(*mine, said, moment > after)
            query = query.order_by(row.created_us, row.call_id).limit(BATCH)
            async with self._database.read() as connection:
                found = (await connection.execute(query)).all()
            if not found:
                return number
            after = (found[-1].created_us, found[-1].call_id)
            these = row.call_id.in_([each.call_id for each in found])
            async with self._database.write() as connection:
                await connection.execute(update(requests).where(these).values(_SAID))
            number += len(found)
            await asyncio.sleep(PAUSE_S)

    async def _emptied(self, table: Table, *which: ColumnElement[bool]) -> int:
        """Removes rows until there are none left; how many it were."""
        key, gone = list(table.primary_key), 0
        while True:
            some = select(*key).where(*which).limit(BATCH)
            async with self._database.read() as connection:
                if (await connection.execute(some.limit(1))).first() is None:
                    return gone
            async with self._database.write() as connection:
                done = await connection.execute(delete(table).where(tuple_(*key).in_(some)))
            gone += done.rowcount
            await asyncio.sleep(PAUSE_S)
