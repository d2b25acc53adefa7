"""Removes what has expired: a little at a time, so that nobody waits behind it for the database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from dragoman.keeping.ports import ResponseStore

BATCH = 200
START_S = 30.0
"""A process that has just started has better things to do."""
BETWEEN_S = 0.2
REST_S = 600.0


async def sweep(
    store: ResponseStore,
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
