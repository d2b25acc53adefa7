"""Work on large bodies goes to a thread: nobody else waits while megabytes are read, sealed or opened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LARGE = 256 * 1024
"""Bytes from which on the work takes longer than a thread costs."""


async def aside(size: int, work: Callable[[], T]) -> T:
    """What the work gives, which reads or writes so many bytes."""
    return work() if size <= LARGE else await asyncio.to_thread(work)
