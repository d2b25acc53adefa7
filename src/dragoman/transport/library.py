"""The transport over a client library: what every such client needs above it, once.

The deadline for the first byte, the limit of connections, one free retry over a new connection
where an idle one turned out to be stale, and the border at which a library's exceptions become
``UpstreamError``. A library does not say which connection a request took, nor when: so deadlines
cancel the task that waits, and stale connections are guessed at by counting (``connections``).
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias, assert_never

from dragoman.attempt.ports import Again, UpstreamReply, UpstreamRequest
from dragoman.transport.connections import STALE_S, Connections
from dragoman.transport.deadline import Deadline, Deadlines
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
from dragoman.transport.inflated import InflatedReply
from dragoman.transport.library_reply import PASSES, Book, Reply
from dragoman.transport.limits import Corrupt, Inflation, inflation
from dragoman.transport.wire import Arrival, Driver

Library: TypeAlias = Literal["ry", "aiohttp"]


def driver_of(name: Library, tls_ca: Path | None) -> Driver:
    """The driver of a client library."""
    try:
        match name:
            case "ry":
                from dragoman.transport.ry_client import RyDriver  # noqa: PLC0415

                return RyDriver(tls_ca)
            case "aiohttp":
                from dragoman.transport.aiohttp_client import AiohttpDriver  # noqa: PLC0415

                return AiohttpDriver(tls_ca)
            case _:
                assert_never(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"The transport {name!r} needs the package {name}; install it with: "
            f"pip install 'dragoman[{name}]'",
            name=error.name,
        ) from error


class LibraryTransport:
    """``Transport`` over any driver."""

    def __init__(self, driver: Driver, *, max_connections: int) -> None:
        self._driver = driver
        self._book = Book(Connections(max_connections), Deadlines())
        self._closed = False

    async def send(self, request: UpstreamRequest, again: Again | None = None) -> UpstreamReply:
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
        deadline = Deadline(loop, until)
        self._book.deadlines.set(loop, deadline)
        try:
            arrival = await self._fetch(request, fresh=False)
            if (
                arrival is RESET
                and request.method not in self._driver.repeats
                and self._was_stale(host, taken, loop.time() - started)
            ):
                repeated = request if again is None else await again(request)
                if repeated is not None:
                    arrival = await self._fetch(repeated, fresh=True)
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
