"""A provider made of raw bytes: each connection runs a script, and says what it saw.

No HTTP library takes part, so that no library's opinion can hide a client's fault: the
script writes the very bytes of the reply, when it wants, and cuts, resets or hangs where it
wants. What the peer did is noted with the loop's clock: every request, and the moment at
which a connection was closed by the client.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass
class Seen:
    """One request as it came in."""

    connection: int
    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header, None if it was not sent."""
        return next((value for key, value in self.headers if key.lower() == name), None)


@dataclass
class Connection:
    """One accepted connection; ``closed_at`` is when the client's close arrived."""

    number: int
    closed_at: float | None = None
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when nothing is left of the connection on this side either."""
    made: bool = False
    """False until the TLS handshake, where there is one, has succeeded."""


class _Watched(asyncio.StreamReaderProtocol):
    """Notes the peer's close at once, even while no script is reading."""

    def __init__(self, reader: asyncio.StreamReader, run: Any, connection: Connection) -> None:
        super().__init__(reader, run)
        self._connection = connection

    def _note(self) -> None:
        if self._connection.closed_at is None:
            self._connection.closed_at = asyncio.get_running_loop().time()
            self._connection.closed.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connection.made = True
        super().connection_made(transport)

    def eof_received(self) -> bool | None:
        self._note()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._note()
        self._connection.lost.set()
        super().connection_lost(exc)


class Exchange:
    """What a script holds: the request, and the wire."""

    def __init__(
        self, seen: Seen, connection: Connection, writer: asyncio.StreamWriter, served: int
    ) -> None:
        self.seen = seen
        self.connection = connection
        self.served = served
        """How many requests this connection has answered before."""
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Writes bytes as they are."""
        self._writer.write(data)
        await self._writer.drain()

    async def head(self, status: int = 200, *lines: str) -> None:
        """Writes a status line, header lines and the empty line."""
        text = "\r\n".join([f"HTTP/1.1 {status} Said", *lines, "", ""])
        await self.send(text.encode("latin-1"))

    async def reply(self, body: bytes, status: int = 200, *lines: str) -> None:
        """Writes a whole, honest reply."""
        await self.head(status, f"content-length: {len(body)}", *lines)
        await self.send(body)

    async def chunk(self, data: bytes) -> None:
        """Writes one chunk of a chunked body; the empty one ends it."""
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def agreed(self) -> str | None:
        """The protocol that was agreed on in the TLS handshake."""
        protocol: str | None = self._writer.get_extra_info("ssl_object").selected_alpn_protocol()
        return protocol

    def close(self) -> None:
        """Ends the connection with FIN."""
        self._writer.close()

    def reset(self) -> None:
        """Ends the connection with RST: a linger of zero seconds throws away what is unsent."""
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def hang(self) -> None:
        """Says nothing more until the client leaves."""
        await self.connection.closed.wait()


Script = Callable[[Exchange], Awaitable[None]]


class Upstream:
    """A listening provider; open it with ``upstream``."""

    def __init__(self, script: Script, *, tls: bool) -> None:
        self.script = script
        self.requests: list[Seen] = []
        self.connections: list[Connection] = []
        self.port = 0
        self._tls = tls
        self._tasks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def url(self, path: str = "/", host: str | None = None) -> str:
        """An address of this provider; certificates are made for ``localhost``."""
        if self._tls:
            return f"https://{host or 'localhost'}:{self.port}{path}"
        return f"http://{host or '127.0.0.1'}:{self.port}{path}"

    async def all_closed(self, timeout_s: float = 2.0) -> None:
        """Waits until the client has closed every connection."""
        async with asyncio.timeout(timeout_s):
            for connection in list(self.connections):
                await connection.closed.wait()

    def _accept(self) -> asyncio.Protocol:
        connection = Connection(len(self.connections))
        self.connections.append(connection)

        async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks[task] = writer
            try:
                # Cancelled by ``stop`` alone, which streams would report as a failure;
                # uvloop says RuntimeError of a peer that went between two writes.
                with suppress(
                    OSError, RuntimeError, asyncio.IncompleteReadError, asyncio.CancelledError
                ):
                    await self._serve(reader, writer, connection)
            finally:
                writer.close()

        return _Watched(asyncio.StreamReader(limit=2**20), run, connection)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: Connection
    ) -> None:
        served = 0
        while not writer.is_closing():
            seen = await _read_request(reader, connection.number)
            self.requests.append(seen)
            await self.script(Exchange(seen, connection, writer, served))
            served += 1

    async def stop(self, server: asyncio.Server) -> None:
        """Ends every script and connection."""
        server.close()
        for task, writer in self._tasks.items():
            task.cancel()
            if not writer.transport.is_closing():
                writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in self.connections:
            if connection.made:
                await connection.lost.wait()


async def _read_request(reader: asyncio.StreamReader, number: int) -> Seen:
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    body = await reader.readexactly(int(length[1])) if length else b""
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    return Seen(number, method, target, headers, body)


@asynccontextmanager
async def upstream(
    script: Script,
    *,
    tls: ssl.SSLContext | None = None,
    backlog: int = 4096,
    kind: type[Upstream] = Upstream,
) -> AsyncIterator[Upstream]:
    """Serves a script on a free loopback port until the block ends."""
    provider = kind(script, tls=tls is not None)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(provider._accept, "127.0.0.1", 0, ssl=tls, backlog=backlog)
    provider.port = server.sockets[0].getsockname()[1]
    try:
        yield provider
    finally:
        await provider.stop(server)


def say(body: bytes = b"{}", status: int = 200, *lines: str) -> Script:
    """A script that answers every request with the same whole reply."""

    async def script(exchange: Exchange) -> None:
        await exchange.reply(body, status, *lines)

    return script


def wire(*pieces: bytes, then: str = "close", pause_s: float = 0.0) -> Script:
    """A script that writes raw pieces, then closes, resets, hangs or keeps the connection."""

    async def script(exchange: Exchange) -> None:
        for piece in pieces:
            await exchange.send(piece)
            await asyncio.sleep(pause_s)
        match then:
            case "close":
                exchange.close()
            case "reset":
                exchange.reset()
            case "hang":
                await exchange.hang()
            case "keep":
                pass
            case other:
                raise AssertionError(other)

    return script


@asynccontextmanager
async def black_hole() -> AsyncIterator[int]:
    """A port whose SYNs go unanswered: a listener that never accepts, its backlog full."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    port: int = listener.getsockname()[1]
    fillers: Sequence[socket.socket] = [socket.socket() for _ in range(4)]
    try:
        for filler in fillers:
            filler.settimeout(0)
            with suppress(BlockingIOError):
                filler.connect(("127.0.0.1", port))
        yield port
    finally:
        for sock in (*fillers, listener):
            sock.close()
