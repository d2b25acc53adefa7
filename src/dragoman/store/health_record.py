"""Keeps health in the record: read at the start, exchanged every few seconds, written at the end.

SQL is the record. Where Redis is configured, it is what is exchanged with, and SQL gets a copy of what came
of it; while Redis is away, SQL takes its place. No request waits for any of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Literal

from dragoman.core.errors import HouseError
from dragoman.health.sharing import Entry, FiguresTold, Record, Sharing, Spot, State
from dragoman.store.sql.health import SqlHealth

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from dragoman.core.clock import Clock
    from dragoman.health.health import Health
    from dragoman.store.engine import Database

EVERY_S = 2.0
"""Who is disabled and which keys rest is exchanged that often."""
FIGURES_EVERY = 3
"""Figures are written at each so manieth exchange: nobody waits for them."""
OVERLAP_MS = 60_000
"""By so much the clocks of hosts may differ."""
PATIENCE_S = 3.0
"""For the last exchange of a process that ends."""

SharedState = Literal["none", "up", "down"]


MOST_COPIED = 10_000
"""Spots whose copies are remembered: there may be one for any name that a caller makes up."""


class Exchange:
    """One process's exchange with the record."""

    def __init__(
        self,
        health: Health,
        sql: SqlHealth,
        redis: Record | None,
        clock: Clock,
        failed: Callable[[str, Exception], None],
        *,
        shared: bool,
    ) -> None:
        self._sharing = Sharing(health, clock.wall() - clock.monotonic())
        self._sql = sql
        self._redis = redis
        self._clock = clock
        self._failed = failed
        self._shared = shared or redis is not None
        self._since: dict[str, int] = {}
        self._copied: dict[Spot, State] = {}
        """What SQL has of Redis."""
        self._turn = 0
        self._sql_works = True
        self.redis: SharedState = "none" if redis is None else "up"
        """Whether Redis is configured, and was there when it was last asked."""

    async def begin(self) -> None:
        """Takes over what an earlier process has left."""
        await self._exchange(figures=True, ask=True)
        if self._redis is not None and self.redis == "up":
            try:
                entries = await self._sql.exchange([], 0, self._now_ms())
            except HouseError as error:
                self._failed("health not read", error)
                return
            # Redis goes first: it has been learnt from, and figures of SQL are copies of its own.
            self._sharing.learn_missing(entries, self._clock.monotonic())

    async def newest_ms(self) -> int:
        """When the database was last told how somebody does, in Unix milliseconds; 0: never."""
        return await self._sql.newest_ms()

    async def take(self, entries: list[Entry]) -> None:
        """Puts entries in the place of what the database has, and takes them over.

        Raises:
            HouseError: the database cannot be reached; nothing was taken over.
        """
        await self._sql.put(entries, self._now_ms())
        self._sharing.learn(entries, self._clock.monotonic())
        self._sharing.say_again()  # Redis has not heard of it

    async def run(self, over: asyncio.Event) -> None:
        """Exchanges until it is over; then writes what is not written yet."""
        is_last = False
        while not is_last:
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), EVERY_S)
            is_last = over.is_set()
            self._turn += 1
            figures = is_last or self._turn % FIGURES_EVERY == 0
            try:
                await self._exchange(figures=figures, ask=self._shared)
            except Exception as error:  # noqa: BLE001  one that fails is told, and the next one comes
                self._failed("health not exchanged", error)

    async def _exchange(self, *, figures: bool, ask: bool) -> None:
        """``ask``: what others have told is wanted even where there is nothing to tell."""
        if self._redis is not None and await self._with_redis(self._redis, figures=figures):
            return
        told = self._told(figures=figures)
        if not (told or ask):
            return
        try:
            await self._with(self._sql, "sql", told)
        except HouseError as error:
            if self._sql_works:
                self._failed("health not exchanged", error)
            self._sql_works = False
        else:
            self._sql_works = True

    async def _with_redis(self, record: Record, *, figures: bool) -> bool:
        try:
            if self.redis == "down":
                self._since.pop("redis", None)
                await self._with(record, "redis", [])
                # Whether it still knows what it was told nobody can say.
                self._sharing.say_again()
                self.redis = "up"
            found = await self._with(record, "redis", self._told(figures=figures))
        except HouseError as error:
            if self.redis == "up":
                self._failed("Redis is away: health is shared through the database alone", error)
                self._sharing.say_again()
            self.redis = "down"
            return False
        copied = [
            entry
            for entry in (found if figures else _urgent(found))
            if self._copied.get(entry.spot) != entry.state
        ]
        try:
            await self._sql.put(copied, self._now_ms())
        except HouseError as error:
            if self._sql_works:
                self._failed("health not written", error)
            self._sql_works = False
        else:
            self._sql_works = True
            if len(self._copied) > MOST_COPIED:
                self._copied.clear()  # what is copied once more is the same row
            self._copied.update((entry.spot, entry.state) for entry in copied)
        return True

    async def _with(self, record: Record, name: str, told: list[Entry]) -> list[Entry]:
        now_ms = self._now_ms()
        found = await record.exchange(told, self._since.get(name, 0), now_ms)
        self._since[name] = now_ms - OVERLAP_MS
        self._sharing.settled(told)
        self._sharing.learn(found, self._clock.monotonic())
        return found

    def _told(self, *, figures: bool) -> list[Entry]:
        told = self._sharing.told(self._clock.monotonic(), self._clock.wall())
        return told if figures else _urgent(told)

    def _now_ms(self) -> int:
        return round(self._clock.wall() * 1000)


def _urgent(entries: list[Entry]) -> list[Entry]:
    return [entry for entry in entries if not isinstance(entry.state, FiguresTold)]


@asynccontextmanager
async def open_record(
    health: Health,
    database: Database,
    clock: Clock,
    failed: Callable[[str, Exception], None],
    *,
    shared: bool,
    redis: Redis | None = None,
    prefix: str = "dragoman",
) -> AsyncIterator[Exchange]:
    """Health is kept while the block runs.

    Args:
        health: whose.
        database: where it is kept.
        clock: tells the record's time.
        failed: told what was not done behind the calls, and why.
        shared: whether other processes use the database too.
        redis: what other gateways share it through.
        prefix: what its keys begin with.
    """
    record: Record | None = None
    if redis is not None:
        from dragoman.store.redis.health import RedisHealth  # noqa: PLC0415  only where it is used (D32)

        record = RedisHealth(redis, prefix)
    several = shared or database.backend == "postgresql"
    exchange = Exchange(health, SqlHealth(database), record, clock, failed, shared=several)
    await exchange.begin()
    over = asyncio.Event()
    running = asyncio.create_task(exchange.run(over))
    try:
        yield exchange
    finally:
        over.set()
        await asyncio.wait({running}, timeout=PATIENCE_S)
        running.cancel()
