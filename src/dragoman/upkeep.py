"""What a gateway does for its database: what deleted tenants left goes, old calls, and what is too much of labels.

A few rows at a time, an hour apart; of several gateways with one database one does it, while it has its turn.
Nobody waits for it, hence its statements have more time than those behind requests, over connections of its own.
What fails is told, and keeps nothing else from being done.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from sqlalchemy.exc import SQLAlchemyError

from dragoman.core.errors import GatewayError
from dragoman.store.engine import Database, open_database
from dragoman.store.sql.forgetting import BATCH, PAUSE_S, SqlForgetting
from dragoman.store.sql.retention import SqlRetention
from dragoman.store.sql.tenancy import SqlTenancy
from dragoman.store.sql.thinning import MOST_NAMES, SqlThinning

if TYPE_CHECKING:
    from dragoman.core.clock import Clock

TURN = "upkeep"
FIRST_S = 20.0
"""How long after a start: it has other things to do first."""
EVERY_S = 3600.0
LATE_S = 8 * 86_400.0
"""How long after a tenant was deleted something of it may still be written down, by calls that were under way."""

UNHURRIED_S = 600.0
"""After this a statement has failed: a server that went away without a word would be waited for for ever."""

Take: TypeAlias = Callable[[str, float], Awaitable[bool]]
Tell: TypeAlias = Callable[..., None]
"""Takes a level, a message and members for the log."""
Opened: TypeAlias = Callable[[], AbstractAsyncContextManager[Database]]


@asynccontextmanager
async def unhurried(database: Database, url: str) -> AsyncIterator[Database]:
    """The same database for statements that may take long; SQLite's may anyway."""
    if database.backend == "sqlite":
        yield database
        return
    own = open_database(url, query_timeout_s=UNHURRIED_S)
    try:
        yield own
    finally:
        await own.close()


class Upkeep:
    """What one process does of it."""

    def __init__(
        self,
        opened: Opened,
        clock: Clock,
        keep_days: int | None,
        take: Take,
        tell: Tell,
        most_names: int = MOST_NAMES,
    ) -> None:
        """``opened``: the database, while there is something to do; see ``unhurried``.

        ``keep_days``: how long calls are kept; None: for ever. ``take`` says whose turn it is.
        ``most_names``: of one kind of label, that a tenant keeps of a day.
        """
        self._opened = opened
        self._keep_days = keep_days
        self._most_names = most_names
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
        """Does what is due now; what fails is told, and done the next time."""
        async with self._opened() as database:
            await self._do("deleted tenants", partial(self._forget, database))
            await self._do("old calls", partial(self._expire, database))
            await self._do("labels", partial(self._thin, database))

    async def _do(self, what: str, deed: Callable[[], Awaitable[None]]) -> None:
        try:
            await deed()
        except GatewayError as error:
            self._tell("warn", "upkeep was not done", what=what, error=error.message)
        except SQLAlchemyError as error:  # what ``mapped`` leaves to whoever knows better
            self._tell("error", "upkeep was not done", what=what, error=type(error).__name__)

    async def _forget(self, database: Database) -> None:
        forgetting = SqlForgetting(database, self._clock)
        tenancy = SqlTenancy(database, self._clock)
        for tenant in await tenancy.deleted_since(self._clock.wall() - LATE_S):
            await self._do(
                f"deleted tenant {tenant}", partial(self._forget_one, forgetting, tenant)
            )

    async def _forget_one(self, forgetting: SqlForgetting, tenant: str) -> None:
        await forgetting.forget_content(tenant)
        if calls := await forgetting.forget_names(tenant):
            self._tell("info", "a deleted tenant's calls name nobody", tenant=tenant, calls=calls)

    async def _expire(self, database: Database) -> None:
        if self._keep_days is None:
            return
        retention = SqlRetention(database, self._clock, self._keep_days)
        gone = 0
        while some := await retention.expire(BATCH):
            gone += some
            await asyncio.sleep(PAUSE_S)
        if gone:
            self._tell("info", "old calls removed", calls=gone)

    async def _thin(self, database: Database) -> None:
        if rows := await SqlThinning(database, self._clock, self._most_names).thin():
            self._tell("info", "rarer labels of past days put together", rows=rows)
