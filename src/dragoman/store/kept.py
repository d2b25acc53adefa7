"""Opens what is kept of responses, with all that runs behind it: notes on their way, and the sweep."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dragoman.keeping.sweep import sweep
from dragoman.store.note_journal import open_notes
from dragoman.store.sql.responses import SqlResponses
from dragoman.store.sql.tenant_keys import TenantKeys

if TYPE_CHECKING:
    from dragoman.core.clock import Clock
    from dragoman.keeping.notes import Notes
    from dragoman.store.engine import Database
    from dragoman.store.seal import Sealer

AGAIN_S = 0.1
"""Within which a note of one process has most often come to the database, and is there for others."""


@asynccontextmanager
async def open_kept(
    folder: Path,
    database: Database,
    sealer: Sealer,
    clock: Clock,
    failed: Callable[[str, Exception], None],
    *,
    shared: bool,
) -> AsyncIterator[Notes]:
    """The store of kept responses while the block runs.

    Args:
        folder: where notes wait for the database.
        database: where responses are.
        sealer: seals the keys of tenants.
        clock: tells when a response expires.
        failed: told what was not done behind the calls, and why.
        shared: whether other processes use the database too.

    Raises:
        HouseError: the folder cannot be written, or the database cannot be reached.
    """
    tenants = TenantKeys(database, sealer, clock)
    await tenants.renew()
    responses = SqlResponses(database, tenants, clock)

    def unnoted(error: Exception) -> None:
        failed("notes of kept responses not written", error)

    def unswept(error: Exception) -> None:
        failed("expired responses not removed", error)

    again_s = AGAIN_S if shared or database.backend == "postgresql" else 0.0
    async with open_notes(folder, responses, clock, unnoted, again_s=again_s) as notes:
        sweeping = asyncio.create_task(sweep(responses, unswept))
        try:
            yield notes
        finally:
            sweeping.cancel()
            await asyncio.wait({sweeping})
