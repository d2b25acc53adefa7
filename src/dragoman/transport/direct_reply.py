"""A request under way over a connection of our own, and its reply: the head, pieces, the end.

The connection puts in what arrives; whoever reads takes it out. A future is made only where
nothing is there yet: a small reply that came in one piece is read without another turn of the
loop, and pieces that came together are handed on as one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from msgspec import Struct

from dragoman.core.errors import UpstreamError
from dragoman.transport.deadline import Deadlines
from dragoman.transport.failures import (
    BODY_TIMEOUT,
    FIRST_BYTE_TIMEOUT,
    LOST,
    TOO_LARGE,
    Fault,
    failure,
)

LEFT = (asyncio.CancelledError, GeneratorExit)
"""How a coroutine is told that nobody waits for it any more."""


class Carrier(Protocol):
    """The connection of a reply that has not all arrived."""

    def resume(self) -> None:
        """There is room again."""
        ...

    def abort(self) -> None:
        """Closes the socket at once."""
        ...


class UnderWay(Struct, frozen=True):
    """What the replies of one transport share."""

    loop: asyncio.AbstractEventLoop
    deadlines: Deadlines
    replies: set[DirectReply]
    """Those that hold a connection, or wait for one."""


class DirectReply(Struct, eq=False):
    """``UpstreamReply`` of our own client; a Struct, as one is made for every request."""

    _book: UnderWay
    _host: str
    until: float
    status: int = 0
    """0 until the head is there."""
    headers: dict[str, str] = {}
    length: int | None = None
    """What ``content-length`` promises."""
    pieces: list[bytes] = []
    """What has come and was not yet read."""
    size: int = 0
    """Bytes that came for these pieces, chunk lines included."""
    ended: bool = False
    """Whether the body has come to its regular end, read or not."""
    fault: Fault | None = None
    """Why nothing more will come."""
    carrier: Carrier | None = None
    waiter: asyncio.Future[None] | None = None
    """Done when there is more to look at; see ``more``."""
    _take: Callable[[bytes], bool] | None = None
    """Who is given the pieces while a reader waits in ``pour``."""
    _refused: bytes | BaseException | None = None
    """The piece that was not taken, or what went wrong in the taking."""

    # What it holds is an answer.
    __repr__ = object.__repr__

    # --- what the connection says

    def end(self) -> None:
        """The body is whole, and the connection no longer this reply's."""
        self.ended = True
        self.carrier = None
        self._book.replies.discard(self)
        waiter = self.waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def fail(self, fault: Fault) -> None:
        """Nothing more will come; what has come can still be read."""
        self.fault = fault
        self.carrier = None
        self._book.replies.discard(self)
        self.wake()

    def wake(self) -> None:
        """Whoever waits looks again."""
        waiter = self.waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def arrived(self) -> None:
        """There is more of the body, and more is to come."""
        take, waiter, pieces = self._take, self.waiter, self.pieces
        if take is None or not pieces or waiter is None or waiter.done():
            self.wake()
            return
        if len(pieces) == 1:
            piece = pieces.pop()
            self.size = 0
        else:
            piece = self._taken_out()
        try:
            if take(piece):
                return
            self._refused = piece
        except BaseException as error:  # noqa: BLE001  it is the reader's, and not the socket's
            self._refused = error
        self._take = None
        waiter.set_result(None)

    # --- what the transport says

    def more(self) -> asyncio.Future[None]:
        """Done when there is more to look at."""
        self.waiter = waiter = self._book.loop.create_future()
        return waiter

    def again(self) -> None:
        """The request is sent once more."""
        self.fault = None
        self._book.replies.add(self)

    def drop(self, fault: Fault) -> None:
        """Closes the connection; whoever waits for a piece is told the fault."""
        carrier = self.carrier
        self.pieces.clear()
        self.ended = False
        self.fail(fault)
        if carrier is not None:
            carrier.abort()

    def expire(self) -> None:
        """The time of the request is over."""
        self.drop(BODY_TIMEOUT if self.status else FIRST_BYTE_TIMEOUT)

    def failure(self, fault: Fault) -> UpstreamError:
        """The error that tells of a fault of this reply."""
        return failure(fault, self._host, self.status or None)

    # --- what the reader asks for

    async def next(self) -> bytes | None:
        """All that has come since the last piece, None at the body's regular end."""
        pieces = self.pieces
        try:
            while not pieces:
                if self.ended:
                    return None
                if self.fault is not None:
                    raise self.failure(self.fault)
                await self.more()
        except LEFT:
            self.drop(LOST)
            raise
        if self.carrier is not None:
            self.carrier.resume()
        return self._taken_out()

    def at_hand(self) -> bytes | None:
        """All that has come since the last piece; None where that is nothing."""
        if not self.pieces:
            return None
        if self.carrier is not None:
            self.carrier.resume()
        return self._taken_out()

    def is_over(self) -> bool:
        """Whether all of the body was read, and the connection given back."""
        return self.ended and not self.pieces

    async def pour(self, take: Callable[[bytes], bool]) -> bytes | None:
        """Each piece to ``take`` as it arrives, without another turn of the loop; see the contract."""
        while True:
            piece = await self.next()
            if piece is None or not take(piece):
                return piece
            self._take = take
            try:
                while self._refused is None and not (self.pieces or self.ended or self.fault):
                    await self.more()
            except LEFT:
                self.drop(LOST)
                raise
            finally:
                self._take = None
                refused, self._refused = self._refused, None
            if isinstance(refused, BaseException):
                raise refused
            if refused is not None:
                return refused

    def _taken_out(self) -> bytes:
        """What has come, in one piece."""
        pieces = self.pieces
        self.size = 0
        if len(pieces) == 1:
            return pieces.pop()
        piece = b"".join(pieces)
        pieces.clear()
        return piece

    async def read(self, limit: int) -> bytes:
        """The whole body, at most ``limit`` bytes, within the time that the request was given."""
        if self.length is not None and self.length > limit:
            self.drop(LOST)
            raise self.failure(TOO_LARGE)
        if not self.ended:
            return await self.gather(self.next, limit)
        body = b"".join(self.pieces)
        self.pieces = []
        if len(body) > limit:
            raise self.failure(TOO_LARGE)
        return body

    async def gather(self, next_piece: Callable[[], Awaitable[bytes | None]], limit: int) -> bytes:
        """All pieces in one, as ``read`` promises."""
        pieces: list[bytes] = []
        size = 0
        deadlines = self._book.deadlines
        deadlines.set(self._book.loop, self)
        try:
            while (piece := await next_piece()) is not None:
                size += len(piece)
                if size > limit:
                    self.drop(LOST)
                    raise self.failure(TOO_LARGE)
                pieces.append(piece)
        finally:
            deadlines.lift(self)
        return b"".join(pieces)

    async def close(self) -> None:
        """Closes the connection, unless all of the body has come: then it is kept already."""
        if self.pieces or not self.ended:
            self.drop(self.fault or LOST)
