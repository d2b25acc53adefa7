"""Removes what has expired: a little at a time, so that nobody waits behind it for the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from dragoman.core.errors import HouseError
from dragoman.keeping.ports import ResponseStore

BATCH = 200
BETWEEN_S = 0.2
REST_S = 600.0


async def sweep(store: ResponseStore, failed: Callable[[Exception], None]) -> None:
    """Sweeps until it is cancelled; every process may have one."""
    while True:
        gone = 0
        try:
            gone = await store.expire(BATCH)
        except HouseError as error:
            failed(error)
        await asyncio.sleep(BETWEEN_S if gone == BATCH else REST_S)
