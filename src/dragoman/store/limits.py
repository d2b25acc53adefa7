"""Which store of limits a process counts in: its own memory, its host's files, or Redis."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal, TypeAlias

from dragoman.accounting.ports import Scope
from dragoman.admission.ports import Past
from dragoman.admission.rules import LONG_S
from dragoman.store.memory.limits import MemoryLimits

if TYPE_CHECKING:
    from pathlib import Path

    from redis.asyncio import Redis

    from dragoman.accounting.account import Accountant
    from dragoman.accounting.ports import Sums
    from dragoman.admission.ports import LimitStore
    from dragoman.admission.rules import Rule
    from dragoman.core.call import Caller
    from dragoman.core.clock import Clock

Kept: TypeAlias = Literal["memory", "host", "redis", "alone"]
"""Where limits are counted now; ``alone``: in this process, by its part, until the others can be reached."""


@asynccontextmanager
async def open_limits(
    clock: Clock,
    told: Callable[[str, Exception | None], None],
    *,
    workers: int = 1,
    folder: Path | None = None,
    redis: Redis | None = None,
    prefix: str = "dragoman",
    secret: str = "",
) -> AsyncIterator[tuple[LimitStore, Callable[[], Kept]]]:
    """The store, and what tells where it counts, open while the block runs.

    Args:
        clock: of this process.
        told: hears when the others cannot be reached any more, and when they can be again.
        workers: how many processes there are on this host.
        folder: what they have in common; it ends with them.
        redis: what all gateways have in common.
        prefix: what keys there begin with.
        secret: keys' ids stand there as digests under it.
    """
    if redis is None and (workers == 1 or folder is None):
        yield MemoryLimits(clock), lambda: "memory"
        return
    from dragoman.store.shared.limits import SharedLimits, open_shared  # noqa: PLC0415  where several count

    if redis is not None:
        from dragoman.store.redis.limits import RedisCounter  # noqa: PLC0415  only where it is used (D32)

        process = f"{os.getpid()}-{os.urandom(6).hex()}"
        limits = SharedLimits(RedisCounter(redis, prefix, secret, process), clock, told, workers)
        async with open_shared(limits):
            yield limits, lambda: "redis" if limits.state == "shared" else "alone"
        return
    from dragoman.store.shared.host import HostCounter  # noqa: PLC0415

    assert folder is not None, "workers have one"
    counter = HostCounter(folder / "limits", workers)
    limits = SharedLimits(counter, clock, told, workers)
    try:
        async with open_shared(limits):
            yield limits, lambda: "host" if limits.state == "shared" else "alone"
    finally:
        counter.close()


async def past_of(accountant: Accountant, clock: Clock, caller: Caller, rule: Rule) -> Past:
    """What the ledger knows that a key has used of the rule's unit, this process's own calls included.

    Of the last day by the hour; each hour as if all of it was used at its end, so that no window is
    taken for emptier than it is. Requests are those that were answered.

    Raises:
        HouseError: the database cannot be asked.
    """
    await accountant.flush()
    ledger, wall = accountant.writer.ledger, clock.wall()
    total, lately = 0, dict[int, int]()
    if rule.total:
        ever = Scope(caller.tenant, caller.key_id, caller.counts_since_us)
        total = _amount(await ledger.sums(ever), rule)
    if any(bound.seconds >= LONG_S for bound in rule.bounds):
        since = int((wall - LONG_S) * 1_000_000)
        found = await ledger.by_hour(Scope(caller.tenant, caller.key_id, since))
        lately = {hour: _amount(sums, rule) for hour, sums in found.items()}
    told = tuple(
        (max(0.0, wall - (hour + 1) * 3600.0), amount)
        for hour, amount in sorted(lately.items())
        if amount
    )
    return Past(total, told)


def _amount(sums: Sums, rule: Rule) -> int:
    if rule.unit == "requests":
        return max(0, sums.requests - sums.failed)
    return sums.tokens
