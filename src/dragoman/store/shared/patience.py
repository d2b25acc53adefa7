"""Waits for so long and no longer, and takes it for no failure of others that this process itself was held up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

_T = TypeVar("_T")
LAST = 0.2
"""The part of the time that begins only when the loop has its turn: an answer that is there then is read."""


async def patiently(asked: Awaitable[_T], seconds: float) -> _T:
    """What comes within the time.

    Raises:
        TimeoutError: nothing did.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:

        def begin_last() -> None:
            limit.reschedule(loop.time() + seconds * LAST)

        first = loop.call_later(seconds * (1 - LAST), begin_last)
        try:
            return await asked
        finally:
            first.cancel()
