"""The client of our own: connections of the event loop's, kept and used again.

On the data path a client library is most of what a request costs: one that runs beside the event
loop has two threads hand each request to and fro, and one that runs in it has layers. Here a
request is one write, its reply one parse, and a kept connection is taken from a dict.

What it repeats: a request whose kept connection ended within a second and without a byte, once,
over a new connection (U15). Which connection that was it knows, and so never repeats another.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from dragoman.attempt.ports import Again, UpstreamReply, UpstreamRequest
from dragoman.transport.connections import STALE_S
from dragoman.transport.deadline import Deadlines
from dragoman.transport.direct_connection import DirectConnection
from dragoman.transport.direct_dial import dial
from dragoman.transport.direct_idle import Idle
from dragoman.transport.direct_reply import LEFT, DirectReply, UnderWay
from dragoman.transport.direct_request import Origin, head_of, place_of
from dragoman.transport.failures import (
    BAD_REQUEST,
    BROKEN,
    CLOSED,
    CONNECTION_LIMIT,
    ENCODING,
    LOST,
    RESET,
    Fault,
    failure,
)
from dragoman.transport.inflated import InflatedReply
from dragoman.transport.limits import Corrupt, inflation
from dragoman.transport.names import Names
from dragoman.transport.tls import context_of
from dragoman.transport.trust import authorities
from dragoman.transport.tunnel import Tunnel

READ_SIZE = 256 * 1024
"""Bytes that are read at once."""


class DirectTransport:
    """``Transport`` over the event loop alone."""

    def __init__(
        self,
        *,
        max_connections: int,
        tls_ca: Path | None,
        names: Names | None = None,
        keep: bool = True,
        tunnels: Mapping[str, Tunnel] | None = None,
    ) -> None:
        """``names``: who resolves them; ``keep``: whether a connection serves a second request.

        ``tunnels``: proxies by the hosts that are reached through them.
        """
        self._tunnels = dict(tunnels or {})
        self._limit = max_connections
        self._authorities = authorities(tls_ca)
        self._context: ssl.SSLContext | None = None
        self._names = names or Names()
        self._keep = keep
        self._book: UnderWay | None = None
        self._idle: Idle[DirectConnection] | None = None
        self._dialling: set[asyncio.Timeout] = set()
        """The time limits of the connections that are being made."""
        self._buffer = memoryview(bytearray(READ_SIZE))
        self._closed = False

    async def send(self, request: UpstreamRequest, again: Again | None = None) -> UpstreamReply:
        """Sends a request and waits for the head of the reply."""
        place = place_of(request.url)
        if place is None:
            raise failure(BAD_REQUEST, "the provider")
        host = place.authority
        if self._closed:
            raise failure(CLOSED, host)
        try:
            head = head_of(request, place)
        except (ValueError, TypeError):
            raise failure(BAD_REQUEST, host) from None
        book, idle = self._book, self._idle
        if book is None or idle is None:
            book, idle = self._open()
        if len(book.replies) >= self._limit:
            raise failure(CONNECTION_LIMIT, host)
        loop, deadlines = book.loop, book.deadlines
        started = loop.time()
        reply = DirectReply(book, host, started + request.first_byte_timeout_s)
        book.replies.add(reply)
        origin, body, bodiless = place.origin, request.body, request.method == "HEAD"
        connection = idle.take(origin) or await self._dial(origin, reply, request)
        while True:
            connection.send(reply, head, body, bodiless)
            # Waited for in here: a coroutine of its own would cost every request its making.
            deadlines.set(loop, reply)
            try:
                while not reply.status and reply.fault is None:
                    reply.waiter = waiter = loop.create_future()
                    await waiter
            except LEFT:
                reply.drop(LOST)
                raise
            finally:
                deadlines.lift(reply)
            if reply.status:
                break
            if (
                reply.fault is not RESET
                or not connection.used
                or connection.heard
                or loop.time() - started >= STALE_S
            ):
                raise reply.failure(cast("Fault", reply.fault))
            if again is not None:
                repeated = await again(request)
                if repeated is None:
                    raise reply.failure(reply.fault)
                request = repeated
                head, body = head_of(request, place), request.body
            reply.again()
            connection = await self._dial(origin, reply, request)
        if "content-encoding" in reply.headers:
            return _inflated(reply)
        return reply

    async def close(self) -> None:
        """Closes every connection; a request under way fails."""
        self._closed = True
        if self._book is not None:
            for limit in self._dialling:
                if not limit.expired():
                    limit.reschedule(self._book.loop.time())
            for reply in list(self._book.replies):
                reply.drop(LOST if reply.status else BROKEN)
        if self._idle is not None:
            self._idle.close()
        self._names.close()

    def _open(self) -> tuple[UnderWay, Idle[DirectConnection]]:
        """What belongs to the loop, which runs when the first request comes."""
        loop = asyncio.get_running_loop()
        self._book = UnderWay(loop, Deadlines(), set())
        self._idle = Idle(loop)
        if not self._keep:
            self._idle.close()
        return self._book, self._idle

    async def _dial(
        self, origin: Origin, reply: DirectReply, request: UpstreamRequest
    ) -> DirectConnection:
        """A new connection, within the time that is left."""
        book, idle = self._book, self._idle
        assert book is not None
        assert idle is not None, "a request is under way"
        limit = asyncio.timeout(min(request.connect_timeout_s, reply.until - book.loop.time()))
        self._dialling.add(limit)
        try:
            connection = await dial(
                origin,
                self._names,
                self._tls() if origin.secure else None,
                limit,
                lambda: DirectConnection(origin, idle, self._buffer),
                self._tunnels.get(origin.host) if self._tunnels else None,
            )
        except BaseException:
            reply.drop(LOST)
            raise
        finally:
            self._dialling.discard(limit)
        if self._closed:
            if isinstance(connection, DirectConnection):
                connection.abort()
            connection = CLOSED
        if isinstance(connection, Fault):
            reply.drop(connection)
            raise reply.failure(connection)
        return connection

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = context_of(*self._authorities)
        return self._context


def _inflated(reply: DirectReply) -> UpstreamReply:
    """The reply as what its coding holds."""
    try:
        found = inflation(reply.headers["content-encoding"])
    except Corrupt:
        reply.drop(LOST)
        raise reply.failure(ENCODING) from None
    return reply if found is None else InflatedReply(reply, found)
