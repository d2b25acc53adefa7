"""What a gateway does for its database: old calls go, what is too much of labels, and what deleted tenants left.

A few rows at a time, an hour apart; of several gateways with one database one does it, while it has its turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

from dragoman.core.errors import GatewayError
from dragoman.store.sql.forgetting import BATCH, PAUSE_S, SqlForgetting
from dragoman.store.sql.retention import SqlRetention
from dragoman.store.sql.tenancy import SqlTenancy
from dragoman.store.sql.thinning import MOST_NAMES, SqlThinning

if TYPE_CHECKING:
    from dragoman.core.clock import Clock
    from dragoman.store.engine import Database

TURN = "upkeep"
FIRST_S = 20.0
"""How long after a start: it has other things to do first."""
EVERY_S = 3600.0
LATE_S = 8 * 86_400.0
"""How long after a tenant was deleted something of it may still be written down, by calls that were under way."""

Take: TypeAlias = Callable[[str, float], Awaitable[bool]]
Tell: TypeAlias = Callable[..., None]
"""Takes a level, a message and members for the log."""


class Upkeep:
    """What one process does of it."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        keep_days: int | None,
        take: Take,
        tell: Tell,
        most_names: int = MOST_NAMES,
    ) -> None:
        """``keep_days``: how long calls are kept; None: for ever. ``take`` says whose turn it is.

        ``most_names``: of one kind of label, that a tenant keeps of a day.
        """
        self._retention = None if keep_days is None else SqlRetention(database, clock, keep_days)
        self._thinning = SqlThinning(database, clock, most_names)
        self._tenancy = SqlTenancy(database, clock)
        self._forgetting = SqlForgetting(database, clock)
        self._clock = clock
        self._take = take
        self._tell = tell

    async def run(self, first_s: float = FIRST_S, every_s: float = EVERY_S) -> None:
        """Does what is due, until it is cancelled."""
        await asyncio.sleep(first_s)
        while True:
            try:
                if await self._take(TURN, 2 * every_s):
                    await self.once()
            except GatewayError as error:
                self._tell("warn", "upkeep was not done", error=error.message)
            await asyncio.sleep(every_s)

    async def once(self) -> None:
        """Removes what is to go now.

        Raises:
            HouseError: the database cannot be used; the rest goes the next time.
        """
        gone = 0
        while self._retention is not None and (some := await self._retention.expire(BATCH)):
            gone += some
            await asyncio.sleep(PAUSE_S)
        if gone:
            self._tell("info", "old calls removed", calls=gone)
        if rows := await self._thinning.thin():
            self._tell("info", "rarer labels of past days put together", rows=rows)
        for tenant in await self._tenancy.deleted_since(self._clock.wall() - LATE_S):
            await self._forgetting.forget_content(tenant)
            calls = await self._forgetting.forget_names(tenant)
            if calls:
                self._tell(
                    "info", "a deleted tenant's calls name nobody", tenant=tenant, calls=calls
                )
