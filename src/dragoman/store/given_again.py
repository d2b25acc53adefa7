"""Opens what answers are recorded with: their table, their cache, and the sweep behind them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from dragoman.keeping.sweep import sweep
from dragoman.reuse.recorder import Recorder
from dragoman.store.memory.answers import MemoryAnswers
from dragoman.store.redis.answers import RedisAnswers
from dragoman.store.sql.answers import SqlAnswers
from dragoman.store.sql.tenant_keys import TenantKeys

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from dragoman.core.call import Call
    from dragoman.core.clock import Clock
    from dragoman.reuse.policy import ReusePolicy
    from dragoman.store.engine import Database
    from dragoman.store.seal import Sealer


@asynccontextmanager
async def open_recorder(
    database: Database,
    sealer: Sealer,
    clock: Clock,
    policy: ReusePolicy,
    report: Callable[[Exception, Call], None],
    failed: Callable[[str, Exception], None],
    redis: Redis | None = None,
    prefix: str = "dragoman",
) -> AsyncIterator[Recorder]:
    """The recorder while the block runs; at its end those who still follow it are told.

    Args:
        database: where answers are.
        sealer: seals the keys of tenants.
        clock: tells when an answer expires.
        policy: the bounds of it all.
        report: told which answer could not be kept, and why.
        failed: told what was not done behind the calls, and why.
        redis: what the cache is in, for all processes; without one it is in memory.
        prefix: what its keys begin with.
    """
    keys = TenantKeys(database, sealer, clock)
    store = SqlAnswers(database, keys, clock, policy)
    cache: MemoryAnswers | RedisAnswers | None = None
    if policy.cache_s and redis is not None:
        cache = RedisAnswers(redis, keys, clock, failed, prefix)
    elif policy.cache_s:
        cache = MemoryAnswers(clock, policy.cache_bytes)
    recorder = Recorder(store, cache, clock, policy, report)

    def unswept(error: Exception) -> None:
        failed("expired answers not removed", error)

    sweeping = asyncio.create_task(sweep(store, unswept))
    try:
        yield recorder
    finally:
        await recorder.close()
        sweeping.cancel()
        await asyncio.wait({sweeping})
