"""The checks' way to what they check: the standard library's client, each request on its own."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from dragoman import __version__

__all__ = ["Link", "Reply", "Unreachable"]

MOST_BYTES = 8 << 20


class Unreachable(Exception):  # noqa: N818 - it says what it is
    """Nobody answers there, or the answer broke off."""


class Reply(Struct, frozen=True):
    """An answer, read to its end."""

    status: int
    kind: str
    """The content type, without its parameters."""
    body: bytes
    id: str = ""
    """Of the request, as a header tells it."""


class Link:
    """One base URL and the key for it."""

    def __init__(self, url: str, key: str, timeout_s: float = 60.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Unreachable(f"{url!r} is no address; say for example http://127.0.0.1:8000.")
        if not all("!" <= sign <= "~" for sign in key.strip()):
            raise Unreachable("The key holds blanks, line breaks or other signs that no key has.")
        self.key = key.strip()
        self._secure = parts.scheme == "https"
        try:
            self._host, self._port = parts.hostname, parts.port
        except ValueError:
            raise Unreachable(f"{url!r} has a port that is none.") from None
        self._path = parts.path.rstrip("/").removesuffix("/v1")
        self._timeout_s = timeout_s

    def ask(
        self, path: str, body: dict[str, Any] | bytes | None, headers: dict[str, str]
    ) -> Reply:
        """Posts a body, or gets where there is none."""
        with self._asked(path, body, headers) as response:
            return _reply(response, _read(response, self._timeout_s))

    def cut(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> Reply:
        """Posts a body, and leaves with the first bytes of the answer."""
        with self._asked(path, body, headers) as response:
            return _reply(response, response.read1(16))

    @contextmanager
    def _asked(
        self, path: str, body: dict[str, Any] | bytes | None, headers: dict[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=self._timeout_s)
        data = msgspec.json.encode(body) if isinstance(body, dict) else body
        sent = {
            "content-type": "application/json",
            "user-agent": f"dragoman-conformance/{__version__}",
            **headers,
        }
        method = "GET" if data is None else "POST"
        try:
            connection.request(method, self._path + path, data, sent)
            with connection.getresponse() as response:
                yield response
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Unreachable(str(error) or type(error).__name__) from None
        finally:
            connection.close()


def _reply(response: http.client.HTTPResponse, body: bytes) -> Reply:
    kind = (response.getheader("content-type") or "").partition(";")[0].strip().lower()
    named = response.getheader("x-request-id") or response.getheader("request-id") or ""
    return Reply(response.status, kind, body, named)


def _read(response: http.client.HTTPResponse, seconds: float) -> bytes:
    """All of it, in bounded time and size: what is checked may be broken in any way."""
    until = time.monotonic() + seconds
    pieces: list[bytes] = []
    size = 0
    while piece := response.read1(1 << 16):
        pieces.append(piece)
        size += len(piece)
        if size > MOST_BYTES:
            raise Unreachable(f"the answer has more than {MOST_BYTES >> 20} MB")
        if time.monotonic() > until:
            raise Unreachable(f"the answer does not end within {seconds:g} s")
    return b"".join(pieces)
