"""The transport of our own: connections of the event loop's, kept and used again.

On the data path a client library is most of what a request costs: one that runs beside the event
loop has two threads hand each request to and fro. Here a request is one write, its reply one
parse, and a kept connection is taken from a list. The rules above it (deadlines, the free retry,
decompression, the translation of failures) are those of every client, and one suite holds
all of them to the same contract.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from dragoman.attempt.ports import UpstreamRequest
from dragoman.transport import failures
from dragoman.transport.connections import IDLE_S
from dragoman.transport.direct_connection import DirectConnection, Exchange, FaultError
from dragoman.transport.failures import Fault
from dragoman.transport.tls import CERTIFICATE, context_of
from dragoman.transport.trust import authorities

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(r"[\x21-\x7e]+")
_NAMES: set[str] = set()
"""Header names that are known to be well formed."""
_MOST_NAMES = 1000


class Place(NamedTuple):
    """Where a URL leads: the connections to it, and what stands in the head of a request."""

    host: str
    port: int
    secure: bool
    target: str
    authority: str


class DirectDriver:
    """``Driver`` over the event loop alone."""

    repeats: frozenset[str] = frozenset()

    def __init__(self, tls_ca: Path | None) -> None:
        self._authorities = authorities(tls_ca)
        self._context: ssl.SSLContext | None = None
        self._idle: dict[tuple[str, int, bool], list[DirectConnection]] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    async def fetch(self, request: UpstreamRequest, *, fresh: bool) -> Exchange:
        """Sends the request and waits for the head."""
        place = place_of(request.url)
        head = _head(request, place)
        body = request.body
        connection = None if fresh else self._kept(place)
        if connection is None:
            connection = await self._connect(place, request.connect_timeout_s)
        exchange = connection.send(head + body if body else head)
        try:
            await exchange.head()
        except BaseException:
            exchange.drop()
            raise
        return exchange

    def fault(self, error: BaseException, *, in_body: bool) -> Fault:
        """What an exception means."""
        if isinstance(error, FaultError):
            return error.fault
        if in_body:
            return failures.LOST
        match error:
            case TimeoutError():
                return failures.CONNECT_TIMEOUT
            case ssl.SSLCertVerificationError():
                return CERTIFICATE.get(error.verify_code, failures.TLS_CERTIFICATE)
            case ssl.SSLError():
                return failures.TLS_HANDSHAKE
            case socket.gaierror():
                return failures.DNS
            case ConnectionRefusedError():
                return failures.REFUSED
            case OSError():
                return failures.UNREACHABLE
            case ValueError() | TypeError():
                return failures.BAD_REQUEST
            case _:
                return failures.BROKEN

    async def close(self) -> None:
        """Closes the idle connections."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for connections in self._idle.values():
            for connection in connections:
                connection.abort()
        self._idle.clear()

    # --- connections

    def _kept(self, place: Place) -> DirectConnection | None:
        """The connection that was used last, if it is still worth anything."""
        connections = self._idle.get(place[:3])
        while connections:
            connection = connections.pop()
            if connection.is_open:
                return connection
        return None

    async def _connect(self, place: Place, timeout_s: float) -> DirectConnection:
        """A new connection; of several addresses each gets its share of the time."""
        loop = asyncio.get_running_loop()
        key = place[:3]

        def keep(connection: DirectConnection) -> None:
            self._keep(key, connection, loop)

        until = loop.time() + timeout_s
        async with asyncio.timeout_at(until):
            found = await loop.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        while True:
            address = addresses.pop(0)
            share = (until - loop.time()) / (len(addresses) + 1)
            try:
                async with asyncio.timeout(share):
                    _, connection = await loop.create_connection(
                        lambda: DirectConnection(keep),
                        address,
                        place.port,
                        ssl=self._tls() if place.secure else None,
                        server_hostname=place.host if place.secure else None,
                    )
            except ConnectionResetError as error:
                if place.secure:
                    raise FaultError(failures.TLS_HANDSHAKE) from error
                raise
            except ssl.SSLError:
                raise
            except OSError:
                if not addresses:
                    raise
            else:
                return connection

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = context_of(*self._authorities)
        return self._context

    def _keep(
        self,
        key: tuple[str, int, bool],
        connection: DirectConnection,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        if self._closed:
            connection.abort()
            return
        connection.idle_since = loop.time()
        connections = self._idle.get(key)
        if connections is None:
            connections = self._idle[key] = []
        connections.append(connection)
        if self._sweeper is None:
            self._sweeper = loop.call_later(IDLE_S, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Closes what was idle for too long; the oldest stand first in their lists."""
        due = loop.time() - IDLE_S + 0.01
        self._sweeper = None
        oldest: float | None = None
        for key, connections in list(self._idle.items()):
            while connections and (connections[0].idle_since <= due or not connections[0].is_open):
                connections.pop(0).abort()
            if not connections:
                del self._idle[key]
            elif oldest is None or connections[0].idle_since < oldest:
                oldest = connections[0].idle_since
        if oldest is not None:
            self._sweeper = loop.call_at(oldest + IDLE_S, self._sweep, loop)


@lru_cache(maxsize=1024)
def place_of(url: str) -> Place:
    """Where a URL leads.

    Raises:
        ValueError: it is none that a request can be sent to.
    """
    if not _TARGET.fullmatch(url):
        raise ValueError("a URL holds visible ASCII alone")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        raise ValueError("a URL names a host by http or https")
    secure = parts.scheme == "https"
    port = parts.port if parts.port is not None else (443 if secure else 80)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Place(parts.hostname, port, secure, target, parts.netloc)


def _head(request: UpstreamRequest, place: Place) -> bytes:
    """The head of a request.

    Raises:
        ValueError: the method or a header cannot be sent as it is.
    """
    if not _TOKEN.fullmatch(request.method):
        raise ValueError("a method is a token")
    lines = [f"{request.method} {place.target} HTTP/1.1", f"host: {place.authority}"]
    for name, value in request.headers.items():
        if name not in _NAMES:
            if not _TOKEN.fullmatch(name) or name.lower() in _FRAMING:
                raise ValueError("a header's name is a token, and none that frames the body")
            if len(_NAMES) < _MOST_NAMES:
                _NAMES.add(name)
        lines.append(f"{name}: {value}")
    body = request.body
    if body is not None:
        lines.append(f"content-length: {len(body)}")
    head = "\r\n".join(lines)
    breaks = len(lines) - 1
    if not head.count("\n") == head.count("\r") == breaks or "\0" in head:
        raise ValueError("a header holds a line break or a zero byte")
    return head.encode("latin-1") + b"\r\n\r\n"


_FRAMING = frozenset({"host", "content-length", "transfer-encoding", "connection"})
"""What the client itself says."""
