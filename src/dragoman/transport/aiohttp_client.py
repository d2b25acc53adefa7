"""The transport over aiohttp: all of it in Python's loop, and what websockets will need.

What has to be known of it, each shown by the conformance suite: it repeats a GET by itself
when an idle connection proved stale, and a POST never (the free retry is ours); bytes that
arrived together with a cut, and were not yet asked for, are lost.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
from yarl import URL

from dragoman.attempt.ports import UpstreamRequest
from dragoman.transport import failures
from dragoman.transport.connections import IDLE_S
from dragoman.transport.failures import Fault
from dragoman.transport.trust import authorities

MAX_FIELD = 16 * 1024
"""The longest header line that is read."""

# OpenSSL's verify results (x509_vfy.h).
_CERTIFICATE: dict[int, Fault] = {
    9: failures.TLS_NOT_YET_VALID,
    10: failures.TLS_EXPIRED,
    18: failures.TLS_UNTRUSTED,
    19: failures.TLS_UNTRUSTED,
    20: failures.TLS_UNTRUSTED,
    21: failures.TLS_UNTRUSTED,
    62: failures.TLS_WRONG_HOST,
    64: failures.TLS_WRONG_HOST,
}

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

    __slots__ = ("_response", "headers", "length", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.length = response.content_length
        # The raw ones: aiohttp reads header values as UTF-8.
        self.headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in response.raw_headers
        }

    def pieces(self) -> AsyncIterator[bytes]:
        """The body as it arrives."""
        return self._response.content.iter_any()

    async def whole(self) -> bytes:
        """The rest of the body in one."""
        return await self._response.read()

    def drop(self) -> None:
        """Closes the connection; a piece that is awaited fails."""
        self._response.close()

    async def close(self) -> None:
        """The same."""
        self.drop()


class AiohttpDriver:
    """``Driver`` over aiohttp: a session with a pool, and one that never keeps a connection."""

    def __init__(self, tls_ca: Path | None) -> None:
        self._tls_ca = tls_ca
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}

    async def fetch(self, request: UpstreamRequest, *, fresh: bool) -> AiohttpArrival:
        """Sends the request and waits for the head."""
        session = self._sessions.get(fresh)
        if session is None:
            session = self._sessions[fresh] = self._session(fresh=fresh)
        response = await session.request(
            request.method,
            URL(request.url, encoded=True),
            data=request.body,
            headers=request.headers,
            allow_redirects=False,
            timeout=self._timeout(request.connect_timeout_s),
        )
        return AiohttpArrival(response)

    def fault(self, error: BaseException, *, in_body: bool) -> Fault:
        """What an exception of aiohttp means."""
        if in_body:
            return failures.LOST
        match error:
            case aiohttp.ClientConnectorCertificateError():
                code = getattr(error.certificate_error, "verify_code", 0)
                return _CERTIFICATE.get(code, failures.TLS_CERTIFICATE)
            case aiohttp.ClientResponseError() if "more than" in error.message:
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

    def _timeout(self, connect_timeout_s: float) -> aiohttp.ClientTimeout:
        timeout = self._timeouts.get(connect_timeout_s)
        if timeout is None:
            # Without the ceiling, which rounds up to whole seconds of the loop's clock.
            timeout = self._timeouts[connect_timeout_s] = aiohttp.ClientTimeout(
                total=None, connect=connect_timeout_s, ceil_threshold=float("inf")
            )
        return timeout

    def _session(self, *, fresh: bool) -> aiohttp.ClientSession:
        keep = {"force_close": True} if fresh else {"keepalive_timeout": IDLE_S}
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._context(), limit=0, limit_per_host=0, **keep),
            loop=asyncio.get_running_loop(),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=("user-agent", "accept-encoding", "content-type"),
            max_line_size=MAX_FIELD,
            max_field_size=MAX_FIELD,
        )

    def _context(self) -> ssl.SSLContext:
        pem = authorities(self._tls_ca)
        if pem is not None:
            return ssl.create_default_context(cadata=pem.decode("ascii", "ignore"))
        context = ssl.create_default_context()
        if self._tls_ca is not None:
            context.load_verify_locations(self._tls_ca)
        return context
