"""Opens the budgets over a database: counting, its task beside the calls, and its end after the ledger's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from dragoman.admission.budget_alerts import Alerts, Listener
from dragoman.admission.budgets import Budgets, Untold
from dragoman.core.budget import since_of
from dragoman.store.sql.budget_leases import SqlLeases
from dragoman.store.sql.budgets import SqlBudgets

if TYPE_CHECKING:
    from dragoman.admission.budget_rules import Rule
    from dragoman.core.clock import Clock
    from dragoman.store.engine import Database


@asynccontextmanager
async def open_budgets(
    database: Database,
    holder: str,
    rules: Iterable[Rule],
    clock: Clock,
    listener: Listener,
    untold: Untold,
    *,
    shared: bool,
) -> AsyncIterator[tuple[Budgets, SqlLeases]]:
    """The budgets of a process, called ``holder`` as its journal is; on leaving, its leases are given back.

    ``shared`` says that there are other processes on this host; on PostgreSQL there may be some anywhere.
    """
    leases = SqlLeases(database, clock)
    budgets = Budgets(
        holder,
        leases,
        clock,
        Alerts(listener),
        untold,
        definitions=SqlBudgets(database, clock),
        alone=not shared and database.backend == "sqlite",
    )
    budgets.configure(rules)
    await budgets.open()
    await leases.forget(since_of("day", clock.wall()))
    running = asyncio.create_task(budgets.run(), name="budgets")
    try:
        yield budgets, leases
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await budgets.close()
