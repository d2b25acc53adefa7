"""A reply whose body is compressed: what comes out of it, under a cap, whoever brought it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Protocol

from dragoman.core.errors import UpstreamError
from dragoman.transport.failures import BOMB, CORRUPT, LOST, Fault
from dragoman.transport.limits import Bomb, Corrupt, Inflation
from dragoman.transport.pour import pour_by_next


class Raw(Protocol):
    """The reply as it came."""

    status: int
    headers: dict[str, str]

    async def next(self) -> bytes | None:
        """The next piece of the body, None at its regular end."""
        ...

    async def gather(self, next_piece: Callable[[], Awaitable[bytes | None]], limit: int) -> bytes:
        """All pieces in one, at most ``limit`` bytes, within the time of the request."""
        ...

    async def close(self) -> None:
        """Closes the connection unless the body was read to its end."""
        ...

    def failure(self, fault: Fault) -> UpstreamError:
        """The error that tells of a fault of this reply."""
        ...


class InflatedReply:
    """``UpstreamReply`` of a compressed body."""

    __slots__ = ("_ended", "_inflation", "_pieces", "_reply", "headers", "status")

    def __init__(self, reply: Raw, inflation: Inflation) -> None:
        self.status = reply.status
        self.headers = {
            name: value
            for name, value in reply.headers.items()
            # Of what comes out neither is known.
            if name not in {"content-encoding", "content-length"}
        }
        self._reply = reply
        self._inflation = inflation
        self._pieces: Iterator[bytes] = iter(())
        self._ended = False

    async def next(self) -> bytes | None:
        """The next piece of the body, None at its regular end."""
        if self._ended:
            raise self._reply.failure(LOST)
        try:
            while True:
                for piece in self._pieces:
                    return piece
                raw = await self._reply.next()
                if raw is None:
                    self._inflation.finish()
                    return None
                self._pieces = self._inflation.feed(raw)
        except Bomb:
            fault = BOMB
        except Corrupt:
            fault = CORRUPT
        self._ended = True
        await self._reply.close()
        raise self._reply.failure(fault)

    async def read(self, limit: int) -> bytes:
        """The whole body, at most ``limit`` bytes, within the time that the request was given."""
        return await self._reply.gather(self.next, limit)

    def at_hand(self) -> bytes | None:
        """None: what is there is told by ``next`` alone."""
        return None

    def is_over(self) -> bool:
        """False, as that is told by ``next`` alone."""
        return False

    async def pour(self, take: Callable[[bytes], bool]) -> bytes | None:
        """Each piece to ``take``, until it refuses one."""
        return await pour_by_next(self.next, take)

    async def close(self) -> None:
        """Closes the connection unless the body was read to its end."""
        self._pieces = iter(())
        await self._reply.close()
