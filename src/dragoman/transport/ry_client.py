"""The transport over ry, a binding of Rust's reqwest: the network runs outside the GIL.

What has to be known of it, each shown by the conformance suite:

- A cancelled ``fetch`` closes its connection; a cancelled piece does not, only dropping the
  stream does.
- Environment proxies are on unless a proxy is configured; ours matches no host (F11).
- Errors carry their cause as text alone, so the table below reads that text; the URL, which
  callers may shape, is cut off before.
- HTTP/1.1 only: over HTTP/2 many streams would share one connection's window (D33).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import ry

from dragoman.attempt.ports import UpstreamRequest
from dragoman.transport import failures
from dragoman.transport.connections import IDLE_S
from dragoman.transport.failures import Fault
from dragoman.transport.trust import authorities
from dragoman.transport.wire import Pieces

if TYPE_CHECKING:
    from ry.ryo3._http import HttpMethodLike
    from ry.ryo3._reqwest import RequestKwargs, ResponseStream

MAX_CLIENTS = 16
"""The connect timeout is a setting; were it computed anew each time, pools would pile up."""

_CONNECT: tuple[tuple[str, Fault], ...] = (
    ('"dns error"', failures.DNS),
    ("ConnectionRefused", failures.REFUSED),
    ('"tcp connect error"', failures.UNREACHABLE),
    # What follows comes after TCP, and so from TLS.
    ("NotValidForName", failures.TLS_WRONG_HOST),
    ("NotValidYet", failures.TLS_NOT_YET_VALID),
    ("Expired", failures.TLS_EXPIRED),
    ("UnknownIssuer", failures.TLS_UNTRUSTED),
    ("CaUsedAsEndEntity", failures.TLS_UNTRUSTED),
    ("InvalidCertificate", failures.TLS_CERTIFICATE),
    ("", failures.TLS_HANDSHAKE),
)
"""What a failure to connect is called in the error's text, most telling first."""

_HEAD: tuple[tuple[str, Fault], ...] = (
    ("Parse(TooLarge)", failures.HEAD_TOO_LARGE),
    ("Parse(", failures.MALFORMED),
    ("UnexpectedMessage", failures.MALFORMED),
    ("IncompleteMessage", failures.RESET),
    ("ConnectionReset", failures.RESET),
    ("ConnectionAborted", failures.RESET),
    ("BrokenPipe", failures.RESET),
    ("NotConnected", failures.RESET),
    ("Canceled", failures.RESET),
    ("ChannelClosed", failures.RESET),
    ("", failures.BROKEN),
)
"""The same between connecting and the head of the reply."""


class RyArrival:
    """``Arrival`` over a response of ry."""

    __slots__ = ("_response", "_stream", "headers", "length", "status")

    def __init__(self, response: ry.Response) -> None:
        self._response: ry.Response | None = response
        self._stream: ResponseStream | None = None
        self.status = response.status
        self.length = response.content_length
        self.headers = {name: _text(value) for name, value in response.headers.to_dict().items()}

    def pieces(self) -> Pieces:
        """The body as it arrives."""
        assert self._response is not None
        self._stream = self._response.stream()
        self._response = None
        return self._stream

    def drop(self) -> None:
        """Closes the connection, as these are the last references to it."""
        self._response = self._stream = None

    async def close(self) -> None:
        """Closes the connection; a piece that is awaited ends as if the body did."""
        stream = self._stream
        self.drop()
        if stream is not None:
            await stream.close()


class RyDriver:
    """``Driver`` over ry: a client for each connect timeout, as reqwest has it per client."""

    repeats: frozenset[str] = frozenset()

    def __init__(self, tls_ca: Path | None) -> None:
        self._system, self._own = authorities(tls_ca)
        self._clients: dict[tuple[float, bool], ry.Client] = {}

    async def fetch(self, request: UpstreamRequest, *, fresh: bool) -> RyArrival:
        """Sends the request and waits for the head."""
        key = (request.connect_timeout_s, fresh)
        client = self._clients.get(key)
        if client is None:
            if len(self._clients) >= MAX_CLIENTS:
                self._clients.clear()
            client = self._clients[key] = self._client(request.connect_timeout_s, fresh=fresh)
        headers = request.headers
        options: RequestKwargs = {"headers": headers}
        if request.body is not None:
            options["body"] = request.body
            if not request.body:
                # RFC 9110 §8.6: a POST says that it is empty; reqwest does not.
                options["headers"] = headers | {"content-length": "0"}
        response = await client.fetch(
            request.url, method=cast("HttpMethodLike", request.method), **options
        )
        return RyArrival(response)

    def fault(self, error: BaseException, *, in_body: bool) -> Fault:
        """What an exception of ry means."""
        if not isinstance(error, ry.ReqwestError):
            return _not_sent(error) if not in_body else failures.LOST
        if in_body:
            return failures.LOST
        # ``… for url (URL) ~ reqwest::Error { …, url: "URL", source: CAUSE``: a URL holds no
        # space, so nothing of it can stand after this mark.
        cause = str(error).partition(" source: ")[2]
        if error.is_connect():
            if error.is_timeout():
                return failures.CONNECT_TIMEOUT
            return _find(_CONNECT, cause)
        if error.is_builder():
            return failures.BAD_REQUEST
        return _find(_HEAD, cause)

    async def close(self) -> None:
        """Drops the clients, and with them their idle connections."""
        self._clients.clear()

    def _client(self, connect_timeout_s: float, *, fresh: bool) -> ry.Client:
        options: dict[str, Any] = {"pool_max_idle_per_host": 0} if fresh else {}
        own = [ry.Certificate.from_pem(block) for block in self._own]
        if self._system:
            # Only these, checked without the platform's verifier, which reads the
            # environment and writes its own lines to stderr.
            system = [ry.Certificate.from_pem(block) for block in self._system]
            options["tls_certs_only"] = system + own
        elif own:
            options["tls_certs_merge"] = own
        return ry.Client(
            connect_timeout=ry.Duration.from_secs_f64(connect_timeout_s),
            pool_idle_timeout=ry.Duration.from_secs_f64(IDLE_S),
            proxy=_no_proxy(),
            redirect=None,
            cookies=False,
            referer=False,
            user_agent=False,
            gzip=False,
            brotli=False,
            deflate=False,
            zstd=False,
            http1_only=True,
            # The system's resolver follows /etc/hosts, nsswitch and a changed network.
            hickory_dns=False,
            tcp_nodelay=True,
            **options,
        )


def _no_proxy() -> ry.Proxy:
    """A proxy for no host at all: any configured one switches the environment's off."""
    return ry.Proxy.all("http://127.0.0.1:9", no_proxy="*,0.0.0.0/0,::/0")


def _text(value: object) -> str:
    """A header's value: the last of several; bytes where it is not ASCII."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("latin-1")
    assert isinstance(value, list)
    return _text(value[-1])


def _not_sent(error: BaseException) -> Fault:
    """What ry refuses to write: a URL, method or header, before it connects."""
    return failures.BAD_REQUEST if isinstance(error, ValueError | TypeError) else failures.BROKEN


def _find(table: tuple[tuple[str, Fault], ...], cause: str) -> Fault:
    return next(fault for needle, fault in table if needle in cause)
