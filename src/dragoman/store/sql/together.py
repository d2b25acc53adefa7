"""Writes what several callers wait for in one transaction: a commit costs the same for one and for fifty.

Whoever comes while a transaction is under way goes into the next one, so nobody waits for company.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from dragoman.core.errors import HouseError

T = TypeVar("T")

MOST = 50
"""Of them in one transaction."""


class Together(Generic[T]):
    """One for each kind of thing; ``write`` writes several in one transaction, or none of them."""

    def __init__(self, write: Callable[[Sequence[T]], Awaitable[None]]) -> None:
        self._write = write
        self._waiting: list[tuple[T, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def put(self, thing: T, patience_s: float | None = None) -> None:
        """Returns when the thing is written; raises what writing it alone would raise.

        Who is cancelled has left, and it is written all the same. Where the patience is over its
        turn is over too: whoever asked says that it is not written, so it must not be.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append((thing, done))
        if self._writer is None or self._writer.done():
            self._writer = loop.create_task(self._run())
        try:
            async with asyncio.timeout(patience_s):
                await done
        except TimeoutError:
            self._waiting = [entry for entry in self._waiting if entry[1] is not done]
            raise

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            try:
                await self._write([thing for thing, _ in batch])
            except Exception as error:  # noqa: BLE001  each is told on its own
                if len(batch) == 1 or isinstance(error, HouseError):
                    # A database that is away is so for all of them, and took its time to say so.
                    for _, done in batch:
                        _settle(done, error)
                    continue
                # One of them may be what the others would suffer from.
                for thing, done in batch:
                    await self._alone(thing, done)
            else:
                for _, done in batch:
                    _settle(done, None)

    async def _alone(self, thing: T, done: asyncio.Future[None]) -> None:
        try:
            await self._write([thing])
        except Exception as error:  # noqa: BLE001  it is told to who waits for it
            _settle(done, error)
        else:
            _settle(done, None)


def _settle(done: asyncio.Future[None], error: Exception | None) -> None:
    if done.done():
        return  # who waited has left
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
