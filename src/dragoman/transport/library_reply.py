"""A reply that a client library brings: pieces as they come, or the whole.

A plain piece costs one await on the library and one check of its end; no timer and no extra task
stands around it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

from msgspec import Struct

from dragoman.core.errors import UpstreamError
from dragoman.transport.connections import Connections
from dragoman.transport.deadline import Deadline, Deadlines
from dragoman.transport.failures import (
    BODY_TIMEOUT,
    LOST,
    TOO_LARGE,
    Fault,
    failure,
)
from dragoman.transport.pour import pour_by_next
from dragoman.transport.wire import Arrival, Driver, Pieces

_Ended: TypeAlias = Literal["open", "whole", "broken"]

PASSES = (asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit)
"""What is never translated."""


class Book(Struct, frozen=True):
    """What the replies of one transport share."""

    connections: Connections
    deadlines: Deadlines


class Reply:
    """``UpstreamReply`` over any driver."""

    __slots__ = (
        "_arrival",
        "_book",
        "_driver",
        "_ended",
        "_host",
        "_pieces",
        "_until",
        "headers",
        "status",
    )

    def __init__(
        self, arrival: Arrival, driver: Driver, book: Book, host: str, until: float
    ) -> None:
        self.status = arrival.status
        self.headers = arrival.headers
        self._arrival: Arrival | None = arrival
        self._driver = driver
        self._book = book
        self._host = host
        self._until = until
        self._pieces: Pieces | None = None
        self._ended: _Ended = "open"
        book.connections.readers.add(self)

    async def next(self) -> bytes | None:
        """The next piece of the body, None at its regular end."""
        pieces = self._pieces
        if pieces is None:
            if self._ended == "whole":
                return None
            if self._arrival is None:
                raise self.failure(LOST)
            pieces = self._pieces = self._arrival.pieces()
        try:
            # ry gives a buffer of its own kind; of bytes this makes no copy.
            return bytes(await pieces.__anext__())
        except StopAsyncIteration:
            if self._ended != "open":
                # Closed by somebody else while this piece was awaited: no regular end.
                raise self.failure(LOST) from None
            self._end()
            return None
        except BaseException as error:
            # A cancelled task keeps its traceback, and that this frame: without this
            # reference ry's stream can be dropped, which closes the connection.
            pieces = None
            self._break()
            if isinstance(error, PASSES):
                raise
            fault = self._driver.fault(error, in_body=True)
        raise self.failure(fault)

    def at_hand(self) -> bytes | None:
        """None: what is there is told by ``next`` alone."""
        return None

    def is_over(self) -> bool:
        """False, as that is told by ``next`` alone."""
        return False

    async def pour(self, take: Callable[[bytes], bool]) -> bytes | None:
        """Each piece to ``take``, until it refuses one."""
        return await pour_by_next(self.next, take)

    async def read(self, limit: int) -> bytes:
        """The whole body, at most ``limit`` bytes, within the time that the request was given."""
        length = self._arrival.length if self._arrival is not None else None
        if length is not None and length > limit:
            await self.close()
            raise self.failure(TOO_LARGE)
        return await self.gather(self.next, limit)

    async def gather(self, next_piece: Callable[[], Awaitable[bytes | None]], limit: int) -> bytes:
        """All pieces in one, as ``read`` promises."""
        if self._arrival is None:
            raise self.failure(LOST)
        pieces: list[bytes] = []
        size = 0
        deadlines = self._book.deadlines
        loop = asyncio.get_running_loop()
        deadline = Deadline(loop, self._until)
        deadlines.set(loop, deadline)
        try:
            while (piece := await next_piece()) is not None:
                size += len(piece)
                if size > limit:
                    await self.close()
                    raise self.failure(TOO_LARGE)
                pieces.append(piece)
        except asyncio.CancelledError:
            if not deadline.is_own():
                raise
        else:
            return b"".join(pieces)
        finally:
            deadlines.lift(deadline)
        raise self.failure(BODY_TIMEOUT)

    async def close(self) -> None:
        """Closes the connection unless the body was read to its end."""
        arrival = self._arrival
        if arrival is not None:
            self._leave("broken")
            self._book.connections.discard()
            await arrival.close()

    def _end(self) -> None:
        """The body is whole, its connection idle again."""
        self._leave("whole")
        if self.headers.get("connection", "").lower() == "close":
            self._book.connections.discard()
        else:
            self._book.connections.give_back(self._host, asyncio.get_running_loop().time())

    def _break(self) -> None:
        """The body broke off, or nobody wants the rest of it."""
        arrival = self._arrival
        if arrival is not None:
            self._leave("broken")
            self._book.connections.discard()
            arrival.drop()

    def _leave(self, ended: _Ended) -> None:
        self._ended = ended
        self._arrival = self._pieces = None
        self._book.connections.readers.discard(self)

    def failure(self, fault: Fault) -> UpstreamError:
        """The error that tells of a fault of this reply."""
        return failure(fault, self._host, self.status)
