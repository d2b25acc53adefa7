"""Removes what has expired: a little at a time, so that nobody waits behind it for the database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

BATCH = 200
START_S = 30.0
"""A process that has just started has better things to do."""
BETWEEN_S = 0.2
REST_S = 600.0


class Expiring(Protocol):
    """A store of what expires."""

    async def expire(self, most: int) -> int:
        """Removes at most ``most`` of what has expired; how many it were."""
        ...


async def sweep(
    store: Expiring,
    failed: Callable[[Exception], None],
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Sweeps until it is cancelled; every process may have one."""
    await pause(START_S)
    while True:
        gone = 0
        try:
            gone = await store.expire(BATCH)
        except Exception as error:  # noqa: BLE001  a sweep that fails is told, and the next one comes
            failed(error)
        await pause(BETWEEN_S if gone else REST_S)
