"""Translating a large body goes to a thread: nobody else waits while megabytes are read and written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from dragoman.attempt.policy import LARGE

T = TypeVar("T")


async def aside(size: int, work: Callable[[], T]) -> T:
    """What the work gives, which translates so many bytes."""
    return work() if size <= LARGE else await asyncio.to_thread(work)
