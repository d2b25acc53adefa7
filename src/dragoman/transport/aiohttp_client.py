"""The transport over aiohttp: all of it in Python's loop, and what websockets will need.

What has to be known of it, each shown by the conformance suite: it repeats a GET by itself
when an idle connection proved stale, and a POST never (the free retry is ours); bytes that
arrived together with a cut, and were not yet asked for, are lost.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.client import IDEMPOTENT_METHODS
from yarl import URL

from dragoman.attempt.ports import UpstreamRequest
from dragoman.transport import failures
from dragoman.transport.connections import IDLE_S
from dragoman.transport.failures import Fault
from dragoman.transport.tls import CERTIFICATE, context_of
from dragoman.transport.trust import authorities
from dragoman.transport.wire import Pieces

if TYPE_CHECKING:
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace
    from typing_extensions import Buffer

MAX_FIELD = 16 * 1024
"""The longest header line that is read."""

LARGE_BODY = 2**20
"""Beyond it aiohttp writes a body in parts."""

_LARGE = ("Got more than", "Too many headers")
"""How the parser says that a head is too large."""

_FAULTS: tuple[tuple[type[BaseException], Fault], ...] = (
    (aiohttp.ConnectionTimeoutError, failures.CONNECT_TIMEOUT),
    (aiohttp.ClientConnectorDNSError, failures.DNS),
    (aiohttp.ClientSSLError, failures.TLS_HANDSHAKE),
    (aiohttp.ClientConnectorError, failures.UNREACHABLE),
    (aiohttp.ServerDisconnectedError, failures.RESET),
    (aiohttp.ClientConnectionResetError, failures.RESET),
    (aiohttp.ClientOSError, failures.RESET),
    (aiohttp.InvalidURL, failures.BAD_REQUEST),
    (aiohttp.ClientResponseError, failures.MALFORMED),
    (ValueError, failures.BAD_REQUEST),
    (TypeError, failures.BAD_REQUEST),
)
"""What an exception before the head of the reply means, the narrowest class first."""


class AiohttpArrival:
    """``Arrival`` over a response of aiohttp."""

    __slots__ = ("_closed", "_response", "headers", "length", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.length = response.content_length
        # The raw ones: aiohttp reads header values as UTF-8.
        self.headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in response.raw_headers
        }
        self._closed: asyncio.Future[None] | None = None
        self._watch()

    def pieces(self) -> Pieces:
        """The body as it arrives."""
        pieces = self._response.content.iter_any()
        if self.length is None and "transfer-encoding" not in self.headers:
            return _UntilClosed(pieces, self._closed)
        return pieces

    def drop(self) -> None:
        """Closes the connection; a piece that is awaited fails."""
        self._response.close()

    async def close(self) -> None:
        """The same."""
        self.drop()

    def _watch(self) -> None:
        """Has the body fail with its connection.

        aiohttp 3.14 closes the connection over a chunk that is none, and tells the reader
        nothing, who would wait for ever.
        """
        connection = self._response.connection
        protocol = connection.protocol if connection is not None else None
        self._closed = protocol.closed if protocol is not None else None
        if self._closed is not None:  # else the whole body is here
            self._closed.add_done_callback(self._lost)
            # The connection outlives this reply in the pool.
            self._response.content.on_eof(self._read)

    def _read(self) -> None:
        assert self._closed is not None
        self._closed.remove_done_callback(self._lost)

    def _lost(self, closed: asyncio.Future[None]) -> None:
        closed.exception()  # taken note of, so that the loop does not log it
        content = self._response.content
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("closed over a broken body"))


class _UntilClosed:
    """A body that its connection's end ends: aiohttp takes a reset for that end too."""

    def __init__(self, pieces: Pieces, closed: asyncio.Future[None] | None) -> None:
        self._pieces = pieces
        self._closed = closed

    async def __anext__(self) -> Buffer:
        try:
            return await self._pieces.__anext__()
        except StopAsyncIteration:
            closed = self._closed
            if closed is not None and closed.done() and closed.exception() is not None:
                raise aiohttp.ClientPayloadError("reset") from None
            raise


class _Connector(aiohttp.TCPConnector):
    """A pool that does not hand out a connection on which bytes came while it was idle.

    aiohttp 3.14 keeps such bytes and reads them as the answer to the next request, whosever
    that is.
    """

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the name is aiohttp's
    ) -> Connection:
        """A connection from the pool, or a new one."""
        while True:
            connection = await super().connect(req, traces, timeout)
            if connection.protocol is None or not connection.protocol.should_close:
                return connection
            connection.close()


class AiohttpDriver:
    """``Driver`` over aiohttp: a session with a pool, and one that never keeps a connection."""

    repeats: frozenset[str] = IDEMPOTENT_METHODS

    def __init__(self, tls_ca: Path | None) -> None:
        self._system, self._own = authorities(tls_ca)
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def fetch(self, request: UpstreamRequest, *, fresh: bool) -> AiohttpArrival:
        """Sends the request and waits for the head."""
        headers = request.headers
        if "" in headers:
            raise ValueError("a header without a name, which aiohttp would write")
        session = self._sessions.get(fresh)
        if session is None:
            session = self._sessions[fresh] = self._session(fresh=fresh)
        response = await session.request(
            request.method,
            URL(request.url, encoded=True),
            data=_body(request.body),
            headers=headers,
            allow_redirects=False,
            timeout=_timeout(request.connect_timeout_s),
        )
        return AiohttpArrival(response)

    def fault(self, error: BaseException, *, in_body: bool) -> Fault:
        """What an exception of aiohttp means."""
        if in_body:
            return failures.LOST
        match error:
            case aiohttp.ClientConnectorCertificateError():
                code = getattr(error.certificate_error, "verify_code", 0)
                return CERTIFICATE.get(code, failures.TLS_CERTIFICATE)
            case aiohttp.ClientResponseError() if error.message.startswith(_LARGE):
                return failures.HEAD_TOO_LARGE
            case aiohttp.ClientConnectorError() if isinstance(
                error.os_error, ConnectionRefusedError
            ):
                return failures.REFUSED
            case aiohttp.ClientConnectorError() if isinstance(
                error.os_error, ConnectionResetError
            ):
                return failures.TLS_HANDSHAKE if error.ssl else failures.UNREACHABLE
            case _:
                return next(
                    (fault for kind, fault in _FAULTS if isinstance(error, kind)), failures.BROKEN
                )

    async def close(self) -> None:
        """Closes the sessions and their idle connections."""
        while self._sessions:
            await self._sessions.popitem()[1].close()

    def _session(self, *, fresh: bool) -> aiohttp.ClientSession:
        keep = {"force_close": True} if fresh else {"keepalive_timeout": IDLE_S}
        return aiohttp.ClientSession(
            connector=_Connector(
                ssl=context_of(self._system, self._own), limit=0, limit_per_host=0, **keep
            ),
            loop=asyncio.get_running_loop(),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=("user-agent", "accept-encoding", "content-type"),
            max_line_size=MAX_FIELD,
            max_field_size=MAX_FIELD,
        )


def _body(body: bytes | None) -> bytes | BytesIO | None:
    """The body as aiohttp wants it: of large bytes it warns."""
    return BytesIO(body) if body is not None and len(body) > LARGE_BODY else body


@lru_cache(maxsize=16)
def _timeout(connect_timeout_s: float) -> aiohttp.ClientTimeout:
    """Without the ceiling, which rounds up to whole seconds of the loop's clock."""
    return aiohttp.ClientTimeout(
        total=None, connect=connect_timeout_s, ceil_threshold=float("inf")
    )
