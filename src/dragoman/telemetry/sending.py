"""The ways that a batch of spans may go: OTLP over HTTP, OTLP over gRPC, the console.

They are used in the exporter's own thread, so each simply waits. None follows a redirect, and none
tells more of a failure than its kind: an endpoint's address or headers may hold a secret.
"""

from __future__ import annotations

import gzip
import http.client
import importlib
import ssl
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias
from urllib.parse import urlsplit

import msgspec

from dragoman.core.http_date import seconds_until
from dragoman.telemetry.otlp import rejected_in, request, told

Compression: TypeAlias = Literal["none", "gzip"]
METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_AGAIN = frozenset({429, 502, 503, 504})
_AGAIN_GRPC = frozenset({1, 4, 8, 10, 11, 14, 15})
"""Codes of gRPC that may pass (OTLP, "failures"): CANCELLED, DEADLINE_EXCEEDED, and so on."""
_MOST_READ = 64 * 1024
PATH = "/v1/traces"
_LINES = msgspec.json.Encoder()


class SendingError(Exception):
    """A batch was not taken; ``retryable``: it may be later, ``after_s`` is what the receiver says of that."""

    def __init__(self, why: str, *, retryable: bool, after_s: float | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.retryable = retryable
        self.after_s = after_s


class Sending(Protocol):
    """A way for spans to go."""

    def send(self, spans: Sequence[bytes]) -> int:
        """Sends one batch, in pieces of one or several spans; how many of them the receiver has rejected.

        Raises:
            SendingError: it was not taken.
        """
        ...

    def close(self) -> None:
        """Lets go of connections."""
        ...


def _after_s(after: str, now: str) -> float | None:
    """The seconds that a receiver says to wait, or until a moment of its own clock (RFC 9110 §10.2.3)."""
    if after.isdecimal():
        return float(after)
    return seconds_until(after, now)


class HttpSending:
    """OTLP over HTTP, in protobuf, on one connection that is kept."""

    def __init__(
        self,
        url: str,
        head: tuple[bytes, bytes],
        *,
        headers: Mapping[str, str],
        timeout_s: float,
        compression: Compression = "none",
        ca_file: Path | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("no http or https URL with a host")
        self._host, self._port = parts.hostname, parts.port
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._secure = parts.scheme == "https"
        self._head = head
        self._headers = {
            "content-type": "application/x-protobuf",
            "user-agent": "OTel-OTLP-Exporter-dragoman",
            **headers,
        }
        self._compression = compression
        if compression == "gzip":
            self._headers["content-encoding"] = "gzip"
        self._timeout_s = timeout_s
        self._ca_file = ca_file
        self._connection: http.client.HTTPConnection | None = None

    def send(self, spans: Sequence[bytes]) -> int:
        """Sends one batch; a connection that has died meanwhile is made anew once."""
        body = request(*self._head, spans)
        if self._compression == "gzip":
            body = gzip.compress(body, 3)
        fresh = self._connection is None
        try:
            status, after, reply = self._ask(body)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if fresh or isinstance(error, TimeoutError):
                raise SendingError(type(error).__name__, retryable=True) from None
            try:
                status, after, reply = self._ask(body)
            except (OSError, http.client.HTTPException) as again:
                self.close()
                raise SendingError(type(again).__name__, retryable=True) from None
        if not 200 <= status < 300:
            raise SendingError(f"status {status}", retryable=status in _AGAIN, after_s=after)
        return rejected_in(reply)

    def _ask(self, body: bytes) -> tuple[int, float | None, bytes]:
        connection = self._connection or self._open()
        self._connection = connection
        connection.request("POST", self._path, body, self._headers)
        reply = connection.getresponse()
        said = reply.read(_MOST_READ)
        if reply.will_close or not reply.isclosed():
            self.close()
        after = _after_s(reply.getheader("retry-after") or "", reply.getheader("date") or "")
        return reply.status, after, said

    def _open(self) -> http.client.HTTPConnection:
        if not self._secure:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        context = ssl.create_default_context(cafile=self._ca_file)
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=self._timeout_s, context=context
        )

    def close(self) -> None:
        """Closes the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class GrpcSending:
    """OTLP over gRPC; grpcio comes with the extra ``[otel]``."""

    def __init__(
        self,
        url: str,
        head: tuple[bytes, bytes],
        *,
        headers: Mapping[str, str],
        timeout_s: float,
        compression: Compression = "none",
        ca_file: Path | None = None,
    ) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if not parts.hostname:
            raise ValueError("no host")
        secure = parts.scheme in {"https", "grpcs"}
        self._grpc: Any = importlib.import_module("grpc")
        self._head = head
        self._metadata = tuple((name.lower(), value) for name, value in headers.items())
        self._timeout_s = timeout_s
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        target = f"{host}:{parts.port or 4317}"
        packed = self._grpc.Compression.Gzip if compression == "gzip" else None
        if secure:
            roots = ca_file.read_bytes() if ca_file is not None else None
            trust = self._grpc.ssl_channel_credentials(root_certificates=roots)
            self._channel = self._grpc.secure_channel(target, trust, compression=packed)
        else:
            self._channel = self._grpc.insecure_channel(target, compression=packed)
        # Bytes in, bytes out: the messages are ours already.
        self._export = self._channel.unary_unary(METHOD)

    def send(self, spans: Sequence[bytes]) -> int:
        """Sends one batch."""
        body = request(*self._head, spans)
        try:
            reply = self._export(body, timeout=self._timeout_s, metadata=self._metadata)
        except self._grpc.RpcError as error:
            code = error.code()
            raise SendingError(
                f"gRPC {code.name}", retryable=code.value[0] in _AGAIN_GRPC
            ) from None
        return rejected_in(reply)

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()


class ConsoleSending:
    """Spans as lines of JSON on standard output, to look at while something is being built."""

    def send(self, spans: Sequence[bytes]) -> int:
        """Writes one line a span."""
        try:
            for each in spans:
                sys.stdout.buffer.write(_LINES.encode_lines(told(each)))
            sys.stdout.buffer.flush()
        except OSError as error:
            raise SendingError(type(error).__name__, retryable=False) from None
        return 0

    def close(self) -> None:
        """Nothing is open."""
