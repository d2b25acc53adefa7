"""The mock's HTTP/1.1 server: small, fast, and able to break off exactly where it is told.

A server library mends what the mock has to break (content lengths, resets, silence), hence
one protocol on httptools' parser. An answer without pauses is one write, without a task.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast
from urllib.parse import unquote

import httptools

from dragoman.mock.play import Step
from dragoman.mock.service import Exchange, Mock, Received

__all__ = ["Connection", "listen"]

_LARGEST_BODY = 64 * 1024 * 1024
_LINGER_ZERO = struct.pack("ii", 1, 0)


class Connection(asyncio.Protocol):
    """One connection of a caller; requests on it are answered one after another."""

    def __init__(self, mock: Mock, open_connections: set[Connection]) -> None:
        self._mock = mock
        self._all = open_connections
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[Received] = deque()
        self._exchange: Exchange | None = None
        self._output = 0
        self._told = False
        self._playing: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._refusal = b"400 Bad Request"
        self._begin()

    def _begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body = bytearray()

    # What the parser tells.

    def on_url(self, url: bytes) -> None:
        """A piece of the request's target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The head is read; whoever waits for a go-ahead gets it."""
        if self._transport and self._headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self._body += data
        if len(self._body) > _LARGEST_BODY:
            self._refusal = b"413 Content Too Large"
            raise ValueError("The request's body is larger than 64 MiB.")

    def on_message_complete(self) -> None:
        """A request is complete."""
        target, _, query = self._url.decode("latin-1").partition("?")
        request = Received(
            method=self._parser.get_method().decode("latin-1"),
            path=unquote(target),
            query=query,
            headers=self._headers,
            body=bytes(self._body),
            keep_alive=self._parser.should_keep_alive(),
        )
        self._begin()
        if self._exchange is not None or self._waiting:
            self._waiting.append(request)
        else:
            self._start(request)

    # What the event loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The caller is there."""
        # uvloop's transports do not derive from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._all.add(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of requests."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if self._transport is not None and self._exchange is None:
                self._transport.write(
                    b"HTTP/1.1 %b\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
                    % self._refusal
                )
            self.close()

    def eof_received(self) -> bool:
        """The caller has closed its side, which is leaving: clients of APIs never half-close."""
        self._leave()
        return False

    def connection_lost(self, _error: Exception | None) -> None:
        """The connection is gone."""
        self._all.discard(self)
        self._leave()
        self._transport = None

    def pause_writing(self) -> None:
        """The caller reads too slowly."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The caller has caught up."""
        self._writable.set()

    # What happens then.

    def close(self) -> None:
        """Ends the connection in good order."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Ends the connection without regard to what is unsent."""
        if self._transport is not None:
            self._transport.abort()

    def _start(self, request: Received) -> None:
        exchange = self._exchange = self._mock.receive(request)
        self._output = 0
        self._told = False
        if exchange.play.at_once and self._transport is not None:
            for step in exchange.play.steps:
                self._write(exchange, step)
            self._end(exchange)
        else:
            self._playing = asyncio.get_running_loop().create_task(self._play(exchange))

    async def _play(self, exchange: Exchange) -> None:
        for step in exchange.play.steps:
            if step.delay_s:
                await asyncio.sleep(step.delay_s)
            if not self._writable.is_set():
                await self._writable.wait()
            self._write(exchange, step)
        self._playing = None
        if exchange.play.ending != "hang":
            self._end(exchange)

    def _write(self, exchange: Exchange, step: Step) -> None:
        if self._transport is None or not step.data:
            return
        if step is exchange.play.steps[0]:
            self._mock.sent(exchange)
        self._transport.write(step.data)
        self._output += step.output
        self._told = self._told or step.tells

    def _end(self, exchange: Exchange) -> None:
        """The play is over: the log has it, and the connection ends as it says."""
        self._exchange = None
        whole = exchange.play.whole
        self._mock.finish(exchange, self._output, whole=whole, told=self._told)
        match exchange.play.ending:
            case "reset":
                self._reset()
            case "close":
                self.close()
            case _:
                if self._waiting:
                    asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        """The request that came while another was being answered."""
        if self._waiting:
            self._start(self._waiting.popleft())

    def _reset(self) -> None:
        """Ends the connection by RST."""
        if self._transport is not None:
            connection = self._transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
            self._transport.abort()

    def _leave(self) -> None:
        """The caller has gone; what was under way for it stops at once."""
        self._waiting.clear()
        if self._playing is not None:
            self._playing.cancel()
            self._playing = None
        if (exchange := self._exchange) is not None:
            self._exchange = None
            self._mock.finish(exchange, self._output, whole=False, left=True, told=self._told)


@asynccontextmanager
async def listen(mock: Mock, host: str, port: int) -> AsyncIterator[tuple[str, int]]:
    """The mock on a socket while the block lasts; gives the address, the port if it was 0."""
    connections: set[Connection] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(mock, connections), host, port, backlog=2048
    )
    try:
        yield server.sockets[0].getsockname()[:2]
    finally:
        server.close()
        for connection in list(connections):
            connection.abort()
        await asyncio.sleep(0)
