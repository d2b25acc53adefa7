"""The head of a request: its headers by their names, and a head that has come before on the same connection.

A client sends the same head with each of its requests but for the length of the body, and its parser's say for
each of twenty headers costs as much as all the rest of a connection. So a head that was parsed once is known
again by its bytes: what is the same means the same.
"""

from __future__ import annotations

from itertools import chain
from urllib.parse import unquote

from httptools import parse_url
from msgspec import Struct
from starlette.types import ASGIApp, Scope

from dragoman.core.call import Proof

HEAD_LIMIT = 64 * 1024
"""Bytes of a request line and its headers."""

BY_NAME = "dragoman.headers"
"""The member of a scope that holds its headers by their names."""
SEEN = "dragoman.seen"
"""The member of a scope that holds what was found of a head which is not new."""

_END = b"\r\n\r\n"
_LENGTH = b"content-length"
_LONGEST = 8 * 1024
"""Bytes of a head that is kept: each connection has one."""
_DIGITS = 15
_ODD = frozenset({"expect", "proxy-connection", "transfer-encoding", "upgrade"})
"""Headers that say something of the connection, or how a body ends that has no length."""


def headers_of_scope(scope: Scope) -> dict[str, str]:
    """The request's headers; names come in lower case from the server, of repeated ones the last counts."""
    if BY_NAME not in scope:
        scope[BY_NAME] = _by_name(scope["headers"])
    headers: dict[str, str] = scope[BY_NAME]
    return headers


def _by_name(given: list[tuple[bytes, bytes]]) -> dict[str, str]:
    # Decoded all at once. What the parser lets through holds no NUL; should it ever, one by one.
    words = b"\0".join(chain.from_iterable(given)).decode("latin-1").split("\0")
    if len(words) == 2 * len(given):
        return dict(zip(words[::2], words[1::2], strict=True))
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in given}


def target_of(url: bytes) -> tuple[str, bytes, bytes]:
    """The path of a request's target, the same as it was sent, and the query.

    Raises:
        HttpParserError, ValueError: it is no URL.
    """
    if b"?" in url or b"%" in url or not url.startswith(b"/"):
        parsed = parse_url(url)
        if parsed.path is None:
            raise ValueError("a target without a path")
        return unquote(parsed.path.decode("ascii")), parsed.path, parsed.query or b""
    return url.decode("ascii"), url, b""


class Seen(Struct):
    """What hangs on nothing but a head, once a request with it has found it."""

    endpoint: ASGIApp | None = None
    """What answers it, where it comes from no page, and the guards let it pass."""
    proof: Proof | None = None
    """The one credential in it."""


class KnownHead(Struct, eq=False):
    """A head as it came, without its body's length, and what it means."""

    before: bytes
    """Up to the length."""
    after: bytes
    """Behind it, to the head's end."""
    members: Scope
    """Those of the request's scope that are always the same."""
    given: list[tuple[bytes, bytes]]
    at: int
    """Where the length stands among the given headers."""
    headers: dict[str, str]
    size: int
    """Bytes of both."""

    # What it holds is a caller's own.
    __repr__ = object.__repr__

    def length(self, data: bytes) -> bytes:
        """The length in ``data``, which begins with ``before``; empty if its head is another, or not whole."""
        start = len(self.before)
        length = data[start : data.find(b"\r", start, start + _DIGITS)]
        if length.isdigit() and data.startswith(self.after, start + len(length)):
            return length
        return b""

    def scope(self, length: bytes) -> Scope:
        """The scope of a request with such a head, whose body has that length."""
        headers, given = self.headers.copy(), self.given.copy()
        headers["content-length"] = length.decode("ascii")
        given[self.at] = (_LENGTH, length)
        return {**self.members, "headers": given, BY_NAME: headers}


def known_head(data: bytes, scope: Scope) -> KnownHead | None:
    """The head that ``data`` begins with, as the parser has read it; None if it is none to be known again."""
    end = data.find(_END, 0, _LONGEST)
    given, headers = scope["headers"], headers_of_scope(scope)
    # Each line a header and each header a line, none repeated: nothing but the length tells two such apart.
    if end <= 0 or not len(given) == len(headers) == data.count(b"\n", 0, end):
        return None
    if not data[: data.find(b"\r")].endswith(b" HTTP/1.1") or not _ODD.isdisjoint(headers):
        return None
    if headers.get("connection", "keep-alive").lower() != "keep-alive":
        return None
    start = data[:end].lower().find(b"\r\ncontent-length: ")
    if start < 0:
        return None
    start += len(b"\r\ncontent-length: ")
    stop = data.find(b"\r", start)
    at = [name for name, _ in given].index(_LENGTH)
    if given[at][1] != data[start:stop]:
        return None
    members = {name: scope[name] for name in scope if name not in {"headers", BY_NAME}}
    members[SEEN] = Seen()
    after = data[stop : end + len(_END)]
    size = start + len(after)
    return KnownHead(data[:start], after, members, given.copy(), at, headers.copy(), size)
