"""One HTTP/1.1 connection to a provider: a request goes out whole, a head and pieces come back.

A protocol of the event loop's own, with httptools as its parser: no task, no thread and no copy
stands between the socket and whoever awaits a piece. What is parsed belongs to the ``Exchange``
that is under way; bytes that come while none is are nobody's, and end the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NoReturn, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from dragoman.transport.failures import HEAD_TOO_LARGE, LOST, MALFORMED, RESET, Fault

HEAD_LIMIT = 64 * 1024
"""Bytes of a reply's status line and headers."""
HIGH_WATER = 256 * 1024
"""Bytes of a body that may wait for their reader; beyond it nothing more is read."""


class FaultError(Exception):
    """Carries a fault to the border where it becomes an ``UpstreamError``."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.code)
        self.fault = fault


class Exchange:
    """A request under way and its reply: ``Arrival`` and ``Pieces`` in one."""

    __slots__ = (
        "_body",
        "_connection",
        "_ended",
        "_fault",
        "_paused",
        "_size",
        "_waiter",
        "headers",
        "length",
        "status",
    )

    def __init__(self, connection: DirectConnection) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.length: int | None = None
        self._connection: DirectConnection | None = connection
        self._body: list[bytes] = []
        self._size = 0
        self._paused = False
        self._ended = False
        self._fault: Fault | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def is_over(self) -> bool:
        """Whether the body is whole, read or not."""
        return self._ended

    # --- what the connection tells

    def take(self, piece: bytes) -> None:
        """A piece of the body has come."""
        self._body.append(piece)
        self._size += len(piece)
        if self._size > HIGH_WATER and not self._paused and self._connection is not None:
            self._paused = True
            self._connection.pause()
        self.wake()

    def end(self) -> None:
        """The body is whole."""
        self._ended = True
        self.wake()

    def fail(self, fault: Fault) -> None:
        """Nothing more will come."""
        if self._fault is None and not self._ended:
            self._fault = fault
        self.wake()

    def wake(self) -> None:
        """Whoever waits looks again."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # --- what the reader asks for

    async def head(self) -> None:
        """Returns when the head is there.

        Raises:
            FaultError: there will be none.
        """
        while not self.status:
            if self._fault is not None:
                raise FaultError(self._fault)
            await self._wait()

    def pieces(self) -> Exchange:
        """The body as it arrives."""
        return self

    def whole(self) -> bytes | None:
        """The whole body, where all of it is here already; the connection is idle then."""
        if not self._ended or self._fault is not None:
            return None
        body = b"".join(self._body)
        self._leave()
        return body

    async def __anext__(self) -> bytes:
        """All that has come since the last piece, at least one byte.

        Raises:
            StopAsyncIteration: the body is whole.
            FaultError: it broke off; what had come before was handed out.
        """
        while not self._body:
            if self._ended:
                self._leave()
                raise StopAsyncIteration
            if self._fault is not None:
                raise FaultError(self._fault)
            if self._connection is None:
                raise StopAsyncIteration  # closed by whoever held it
            await self._wait()
        body, self._body = self._body, []
        self._size = 0
        if self._paused and self._connection is not None:
            self._paused = False
            self._connection.resume()
        return body[0] if len(body) == 1 else b"".join(body)

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _leave(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.finish(resume=self._paused)

    def drop(self) -> None:
        """Closes the connection, unless the reply was read to its end."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()

    async def close(self) -> None:
        """The same; a piece that is awaited ends as if the body did."""
        self.drop()
        self.wake()


class DirectConnection(asyncio.Protocol):
    """A socket, a parser, and the exchange that is under way."""

    def __init__(self, idle: Callable[[DirectConnection], None]) -> None:
        self._idle = idle
        """Told when a reply was read to its end and the connection may serve another request."""
        self._parser = HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._headers: dict[str, str] = {}
        self._head_size = 0
        self._in_head = True
        self._announced = False
        """Whether a reply of 1xx has come in this piece: the head after it begins anew."""
        self._big_piece = False
        self._until_closed = False
        self._keep = False
        self._fault: Fault | None = None
        self.idle_since = 0.0

    def _size_of_head(self) -> int:
        return sum(len(name) + len(value) + 4 for name, value in self._headers.items())

    def _refuse(self, fault: Fault) -> NoReturn:
        """Stops the parser, which tells of it as an error of its own."""
        self._fault = fault
        raise FaultError(fault)

    # --- requests

    @property
    def is_open(self) -> bool:
        """Whether another request may be sent."""
        transport = self._transport
        return transport is not None and not transport.is_closing()

    def send(self, request: bytes) -> Exchange:
        """Sends a request whose reply the exchange will be."""
        assert self._transport is not None, "it is open"
        exchange = self._exchange = Exchange(self)
        self._in_head = True
        self._head_size = 0
        self._until_closed = False
        self._transport.write(request)
        return exchange

    def finish(self, *, resume: bool) -> None:
        """The reply was read to its end."""
        self._exchange = None
        if not self._keep or self._until_closed:
            self.abort()
            return
        if resume:
            self.resume()
        if self.is_open:
            self._idle(self)

    def abort(self) -> None:
        """Closes the socket at once."""
        self._exchange = None
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        """Reads nothing more for now."""
        if self.is_open:
            cast("asyncio.Transport", self._transport).pause_reading()

    def resume(self) -> None:
        """Reads on."""
        if self.is_open:
            cast("asyncio.Transport", self._transport).resume_reading()

    # --- what the loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands, its TLS handshake included."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Bytes of a reply."""
        exchange = self._exchange
        if exchange is None:
            self.abort()
            return
        self._big_piece = len(data) > HEAD_LIMIT
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            self._keep = False  # 101: a switch that nobody asked for; the head says so
        except HttpParserError:
            self._break(self._fault or (MALFORMED if self._in_head else LOST))
            return
        if self._in_head:
            self._head_size = 0 if self._announced else self._head_size + len(data)
            self._announced = False
            if self._head_size > HEAD_LIMIT:
                self._break(HEAD_TOO_LARGE)

    def eof_received(self) -> None:
        """The provider has sent all that it will send."""
        exchange = self._exchange
        if exchange is not None and not self._in_head and self._until_closed:
            exchange.end()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The connection is gone, with or without a word."""
        self._transport = None
        exchange = self._exchange
        if exchange is not None:
            exchange.fail(LOST if exchange.status else RESET)

    def _break(self, fault: Fault) -> None:
        exchange = self._exchange
        if exchange is not None:
            exchange.fail(fault)
        if self._transport is not None:
            self._transport.abort()

    # --- what the parser tells

    def on_message_begin(self) -> None:
        """A head begins; behind a reply that is whole it is nobody's."""
        if not self._in_head:
            self._keep = False
        self._headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        """Of repeated ones the last counts."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """A head is whole."""
        exchange = self._exchange
        if exchange is None or not self._in_head:
            return
        parser = self._parser
        status = parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            return  # the reply itself is still to come
        headers = self._headers
        if status < 100:
            self._refuse(MALFORMED)
        if self._big_piece and self._size_of_head() > HEAD_LIMIT:
            self._refuse(HEAD_TOO_LARGE)
        self._in_head = False
        self._keep = parser.should_keep_alive()
        length = headers.get("content-length")
        if length is not None:
            exchange.length = int(length)
        elif "transfer-encoding" not in headers and status not in {204, 304}:
            self._until_closed = True
        exchange.headers = headers
        exchange.status = status
        exchange.wake()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        exchange = self._exchange
        # What follows a whole reply in one piece is parsed as another, and nobody's.
        if exchange is not None and not (self._in_head or exchange.is_over):
            exchange.take(body)

    def on_message_complete(self) -> None:
        """A reply is whole; one that only announces another is forgotten."""
        exchange = self._exchange
        if self._in_head:
            self._announced = True
        elif exchange is not None and not exchange.is_over:
            exchange.end()
