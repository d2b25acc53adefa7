"""The head of a request: its headers by their names, and a head that has come before on the same connection.

A client sends the same head with each of its requests but for the length of the body, and its parser's say for
each of twenty headers costs as much as all the rest of a connection. So a head that was parsed once is known
again by its bytes: what is the same means the same. So is one that differs in nothing but the values of a few
headers which are named here, such as a trace's: those are read anew, and all else is the same bytes.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import NamedTuple
from urllib.parse import unquote

from httptools import parse_url
from msgspec import Struct
from starlette.types import ASGIApp, Scope

from dragoman.core.call import Proof
from dragoman.core.client_address import FORWARDED_FOR

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
VARYING_NAMES = frozenset(
    {
        "traceparent",
        "tracestate",
        "baggage",
        "b3",
        "x-b3-traceid",
        "x-b3-spanid",
        "x-b3-parentspanid",
        "x-b3-sampled",
        "uber-trace-id",
        "sentry-trace",
        "newrelic",
        "x-amzn-trace-id",
        "x-cloud-trace-context",
        "x-datadog-trace-id",
        "x-datadog-parent-id",
        "x-datadog-sampling-priority",
        "x-datadog-tags",
        "request-id",
        "x-request-id",
        "x-client-request-id",
        "x-correlation-id",
        "x-litellm-trace-id",
        "x-litellm-call-id",
        "x-portkey-trace-id",
        "helicone-request-id",
        "idempotency-key",
        "x-idempotency-key",
        "x-stainless-retry-count",
        "x-stainless-read-timeout",
        "x-stainless-timeout",
    }
)
"""Headers that are another with each request of one client: its traces, its names for a request, its tries.

Who calls, what answers and where a body ends hang on none of them, and are remembered though these differ.
"""

_VALUE = re.compile(rb"[!-~](?:[ -~]{0,1022}[!-~])?\r")
"""A value that means itself to every parser, and what ends it."""
_VARYING = frozenset(name.encode("ascii") for name in VARYING_NAMES)


def headers_of_scope(scope: Scope) -> dict[str, str]:
    """The request's headers; names come in lower case from the server, of repeated ones the last counts.

    Of ``X-Forwarded-For`` all do: each proxy may add a line of its own to those that are there.
    """
    if BY_NAME not in scope:
        scope[BY_NAME] = _by_name(scope["headers"])
    headers: dict[str, str] = scope[BY_NAME]
    return headers


def _by_name(given: list[tuple[bytes, bytes]]) -> dict[str, str]:
    # Decoded all at once. What the parser lets through holds no NUL; should it ever, one by one.
    words = b"\0".join(chain.from_iterable(given)).decode("latin-1").split("\0")
    if len(words) == 2 * len(given):
        found = dict(zip(words[::2], words[1::2], strict=True))
    else:
        found = {name.decode("latin-1"): value.decode("latin-1") for name, value in given}
    if len(found) != len(given) and FORWARDED_FOR in found:
        name = FORWARDED_FOR.encode("ascii")
        lines = (value for each, value in given if each == name)
        found[FORWARDED_FOR] = b", ".join(lines).decode("latin-1")
    return found


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


class Gap(NamedTuple):
    """Where a value stands that is another each time."""

    name: str
    raw: bytes
    at: int
    """Which of the given headers it is."""
    behind: bytes
    """All bytes up to the next one's value, or to the head's end."""


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
    stem: bytes
    """Up to the first value that may be another."""
    gaps: tuple[Gap, ...]
    """Those values in their order, the length's among them; none where it is the length's alone."""

    # What it holds is a caller's own.
    __repr__ = object.__repr__

    def read(self, data: bytes) -> tuple[Scope, int, int] | None:
        """The request that ``data`` begins with, where its head means the same; None: it is another, or not whole.

        Returns:
            its scope, where its body begins, and the body's length.
        """
        before = self.before
        if data.startswith(before):
            start = len(before)
            length = data[start : data.find(b"\r", start, start + _DIGITS)]
            if length.isdigit() and data.startswith(self.after, start + len(length)):
                headers, given = self.headers.copy(), self.given.copy()
                headers["content-length"] = length.decode("ascii")
                given[self.at] = (_LENGTH, length)
                scope = {**self.members, "headers": given, BY_NAME: headers}
                return scope, self.size + len(length), int(length)
        return self._varied(data) if self.gaps else None

    def _varied(self, data: bytes) -> tuple[Scope, int, int] | None:
        """The same of a head that differs in nothing but the values of the gaps."""
        if not data.startswith(self.stem):
            return None
        headers, given = self.headers.copy(), self.given.copy()
        start = len(self.stem)
        for name, raw, at, behind in self.gaps:
            value = _VALUE.match(data, start)
            if value is None:
                return None
            stop = value.end() - 1
            if not data.startswith(behind, stop):
                return None
            said = data[start:stop]
            headers[name], given[at] = said.decode("ascii"), (raw, said)
            start = stop + len(behind)
        length = given[self.at][1]
        if len(length) > _DIGITS or not length.isdigit():
            return None
        return {**self.members, "headers": given, BY_NAME: headers}, start, int(length)


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
    places = _places(data[: end + 2], given)
    if _LENGTH not in places:
        return None
    start, stop, at = places[_LENGTH]
    after = data[stop : end + len(_END)]
    members = {name: scope[name] for name in scope if name not in {"headers", BY_NAME}}
    members[SEEN] = Seen()
    stem, gaps = _gaps(data[: end + len(_END)], places)
    return KnownHead(
        data[:start],
        after,
        members,
        given.copy(),
        at,
        headers.copy(),
        start + len(after),
        stem,
        gaps,
    )


def _places(head: bytes, given: list[tuple[bytes, bytes]]) -> dict[bytes, tuple[int, int, int]]:
    """Of each header that may be another: where its value begins and ends, and which of those given it is."""
    lower, places = head.lower(), {}
    for at, (name, value) in enumerate(given):
        if name != _LENGTH and name not in _VARYING:
            continue
        line = lower.find(b"\r\n%b: " % name)
        start = line + len(name) + 4
        stop = head.find(b"\r", start)
        # Where it was written in another way the parser has more to say of it.
        if line >= 0 and head[start:stop] == value:
            places[name] = start, stop, at
    return places


def _gaps(head: bytes, places: dict[bytes, tuple[int, int, int]]) -> tuple[bytes, tuple[Gap, ...]]:
    """What stands before the first value that may be another, and those values."""
    ordered = sorted((start, stop, at, name) for name, (start, stop, at) in places.items())
    starts = [start for start, *_ in ordered]
    gaps = (
        Gap(name.decode("ascii"), name, at, head[stop:following])
        for (_, stop, at, name), following in zip(ordered, [*starts[1:], len(head)], strict=True)
    )
    return head[: starts[0]], tuple(gaps) if len(ordered) > 1 else ()
