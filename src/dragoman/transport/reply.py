"""A reply being read: pieces as they come, or the whole, inflated where it is compressed.

This is the hot path of every stream. A plain piece costs one await on the library and one
check of its end; no timer and no extra task stands around it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Literal, TypeAlias

from dragoman.core.errors import UpstreamError
from dragoman.transport.connections import Connections
from dragoman.transport.deadline import Deadline
from dragoman.transport.failures import (
    BODY_TIMEOUT,
    BOMB,
    CORRUPT,
    LOST,
    TOO_LARGE,
    Fault,
    failure,
)
from dragoman.transport.limits import Bomb, Corrupt, Inflation
from dragoman.transport.wire import Arrival, Driver, Pieces

_Ended: TypeAlias = Literal["open", "whole", "broken"]

PASSES = (asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit)
"""What is never translated."""


class Reply:
    """``UpstreamReply`` over any driver."""

    __slots__ = (
        "_arrival",
        "_connections",
        "_driver",
        "_ended",
        "_host",
        "_inflated",
        "_inflation",
        "_pieces",
        "_until",
        "headers",
        "status",
    )

    def __init__(
        self,
        arrival: Arrival,
        driver: Driver,
        connections: Connections,
        host: str,
        inflation: Inflation | None,
        until: float,
    ) -> None:
        self.status = arrival.status
        self.headers = arrival.headers if inflation is None else _plain(arrival.headers)
        self._arrival: Arrival | None = arrival
        self._driver = driver
        self._connections = connections
        self._host = host
        self._inflation = inflation
        self._inflated: Iterator[bytes] = iter(())
        self._pieces: Pieces | None = None
        self._until = until
        self._ended: _Ended = "open"
        connections.readers.add(self)

    async def next(self) -> bytes | None:
        """The next piece of the body, None at its regular end."""
        if self._inflation is None:
            return await self._next_raw()
        return await self._next_inflated(self._inflation)

    async def _next_raw(self) -> bytes | None:
        pieces = self._pieces
        if pieces is None:
            if self._ended == "whole":
                return None
            if self._arrival is None:
                raise self._failure(LOST)
            pieces = self._pieces = self._arrival.pieces()
        try:
            # ry gives a buffer of its own kind; of bytes this makes no copy.
            return bytes(await pieces.__anext__())
        except StopAsyncIteration:
            if self._ended != "open":
                # Closed by somebody else while this piece was awaited: no regular end.
                raise self._failure(LOST) from None
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
        raise self._failure(fault)

    async def _next_inflated(self, inflation: Inflation) -> bytes | None:
        try:
            while True:
                for piece in self._inflated:
                    return piece
                raw = await self._next_raw()
                if raw is None:
                    inflation.finish()
                    return None
                self._inflated = inflation.feed(raw)
        except Bomb:
            fault = BOMB
        except Corrupt:
            fault = CORRUPT
        await self.close()
        self._ended = "broken"
        raise self._failure(fault)

    async def read(self, limit: int) -> bytes:
        """The whole body, at most ``limit`` bytes, within the time that the request was given."""
        if self._arrival is None:
            raise self._failure(LOST)
        length = self._arrival.length
        if length is not None and length > limit:
            await self.close()
            raise self._failure(TOO_LARGE)
        deadline = Deadline(self._until - asyncio.get_running_loop().time())
        try:
            return await self._gather(limit)
        except asyncio.CancelledError:
            if not deadline.is_own():
                raise
        finally:
            deadline.lift()
        raise self._failure(BODY_TIMEOUT)

    async def _gather(self, limit: int) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while (piece := await self.next()) is not None:
            size += len(piece)
            if size > limit:
                await self.close()
                raise self._failure(TOO_LARGE)
            pieces.append(piece)
        return b"".join(pieces)

    async def close(self) -> None:
        """Closes the connection unless the body was read to its end."""
        arrival = self._arrival
        if arrival is not None:
            self._leave("broken")
            self._connections.discard()
            await arrival.close()

    def _end(self) -> None:
        """The body is whole, its connection idle again."""
        self._leave("whole")
        if self.headers.get("connection", "").lower() == "close":
            self._connections.discard()
        else:
            self._connections.give_back(self._host, asyncio.get_running_loop().time())

    def _break(self) -> None:
        """The body broke off, or nobody wants the rest of it."""
        arrival = self._arrival
        if arrival is not None:
            self._leave("broken")
            self._connections.discard()
            arrival.drop()

    def _leave(self, ended: _Ended) -> None:
        self._ended = ended
        self._arrival = self._pieces = None
        self._connections.readers.discard(self)

    def _failure(self, fault: Fault) -> UpstreamError:
        return failure(fault, self._host, self.status)


def _plain(headers: dict[str, str]) -> dict[str, str]:
    """The headers of the body as it comes out, of which neither coding nor length is known."""
    return {
        name: value
        for name, value in headers.items()
        if name not in {"content-encoding", "content-length"}
    }
