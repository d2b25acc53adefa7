"""The only door upstream: chooses the client, sends, and translates every failure once.

The rules that all clients share stand here: the deadline for the first byte, the limit of
connections, one free retry over a new connection where an idle one turned out to be stale,
and the border at which a library's exceptions become ``UpstreamError``. Which client is the
default, and why, is told with figures in ``docs/transport.md``.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias, assert_never

from dragoman.attempt.ports import Transport, UpstreamReply, UpstreamRequest
from dragoman.transport.connections import STALE_S, Connections
from dragoman.transport.deadline import Deadlines
from dragoman.transport.failures import (
    BAD_REQUEST,
    CLOSED,
    ENCODING,
    FIRST_BYTE_TIMEOUT,
    MALFORMED,
    RESET,
    Fault,
    failure,
)
from dragoman.transport.limits import Corrupt, Inflation, inflation
from dragoman.transport.reply import PASSES, Book, InflatedReply, Reply
from dragoman.transport.wire import Arrival, Driver

Client: TypeAlias = Literal["direct", "ry", "aiohttp"]

DEFAULT: Client = "direct"

MAX_CONNECTIONS = 10_000
"""In use at once, idle ones not counted; beyond it a request is refused at once."""


def open_transport(
    name: Client | None = None,
    *,
    max_connections: int = MAX_CONNECTIONS,
    tls_ca: Path | None = None,
) -> Transport:
    """A transport over the named client; it opens no socket before the first request.

    ``tls_ca`` is a PEM file of authorities trusted beside the system's.
    """
    return HttpTransport(_driver(name or DEFAULT, tls_ca), max_connections=max_connections)


def _driver(name: Client, tls_ca: Path | None) -> Driver:
    # Imported here: the client that is not used costs no memory (D32).
    match name:
        case "direct":
            from dragoman.transport.direct_client import DirectDriver  # noqa: PLC0415

            return DirectDriver(tls_ca)
        case "ry":
            try:
                from dragoman.transport.ry_client import RyDriver  # noqa: PLC0415
            except ModuleNotFoundError as error:
                raise _missing(name, error) from error
            return RyDriver(tls_ca)
        case "aiohttp":
            try:
                from dragoman.transport.aiohttp_client import AiohttpDriver  # noqa: PLC0415
            except ModuleNotFoundError as error:
                raise _missing(name, error) from error
            return AiohttpDriver(tls_ca)
        case _:
            assert_never(name)


def _missing(name: Client, error: ModuleNotFoundError) -> ModuleNotFoundError:
    return ModuleNotFoundError(
        f"The transport {name!r} needs the package {name}; install it with: "
        f"pip install 'dragoman[{name}]'",
        name=error.name,
    )


class HttpTransport:
    """``Transport`` over any driver."""

    def __init__(self, driver: Driver, *, max_connections: int) -> None:
        self._driver = driver
        self._book = Book(Connections(max_connections), Deadlines())
        self._closed = False

    async def send(self, request: UpstreamRequest) -> UpstreamReply:
        """Sends a request and waits for the head of the response."""
        host = _host(request.url)
        if host is None:
            raise failure(BAD_REQUEST, "the provider")
        if self._closed:
            raise failure(CLOSED, host)
        loop = asyncio.get_running_loop()
        started = loop.time()
        until = started + request.first_byte_timeout_s
        taken = self._book.connections.take(host, started)
        deadline = self._book.deadlines.set(loop, until)
        try:
            arrival = await self._fetch(request, fresh=False)
            if (
                arrival is RESET
                and request.method not in self._driver.repeats
                and self._was_stale(host, taken, loop.time() - started)
            ):
                arrival = await self._fetch(request, fresh=True)
        except asyncio.CancelledError:
            if not deadline.is_own():
                self._book.connections.discard()
                raise
            arrival = FIRST_BYTE_TIMEOUT
        finally:
            self._book.deadlines.lift(deadline)
        if isinstance(arrival, Fault):
            self._book.connections.discard()
            raise failure(arrival, host)
        inflating = self._inflating(arrival)
        if isinstance(inflating, Fault):
            # Of an empty body the client has already kept the connection.
            self._book.connections.give_back(host, loop.time())
            await arrival.close()
            raise failure(inflating, host, arrival.status)
        reply = Reply(arrival, self._driver, self._book, host, until)
        return reply if inflating is None else InflatedReply(reply, inflating)

    async def _fetch(self, request: UpstreamRequest, *, fresh: bool) -> Arrival | Fault:
        """One try; this is the border at which a library's exceptions end."""
        try:
            return await self._driver.fetch(request, fresh=fresh)
        except PASSES:
            raise
        except BaseException as error:  # noqa: BLE001 - a panic in Rust is no Exception
            return self._driver.fault(error, in_body=False)

    def _was_stale(self, host: str, taken: int | None, after_s: float) -> bool:
        """Whether a connection that ended without a byte may have been an idle one."""
        used = self._book.connections.may_be_used(host, taken)
        return used and after_s < STALE_S and not self._closed

    def _inflating(self, arrival: Arrival) -> Inflation | Fault | None:
        """How the body is to be read; a fault if the reply cannot be used at all."""
        if self._closed:
            return CLOSED
        if arrival.status < 200:
            # 101: a switch that nobody asked for; below 100: no status at all.
            return MALFORMED
        encoding = arrival.headers.get("content-encoding")
        if encoding is None:
            return None
        try:
            return inflation(encoding)
        except Corrupt:
            return ENCODING

    async def close(self) -> None:
        """Closes every connection; a request under way fails when its reply arrives."""
        self._closed = True
        for reader in list(self._book.connections.readers):
            await reader.close()
        await self._driver.close()


@lru_cache(maxsize=1024)
def _host(url: str) -> str | None:
    """Host and port as they stand in the URL, None if it is not one to send a key to.

    A user name in it is refused: what stands before the ``@`` reads as the host to people
    and to some parsers (F6).
    """
    scheme, separator, rest = url.partition("://")
    authority = rest.partition("/")[0].partition("?")[0].partition("#")[0]
    if not separator or scheme not in {"http", "https"} or not _is_authority(authority):
        return None
    return authority


def _is_authority(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable() and not set(text) & set("@\\ ")
