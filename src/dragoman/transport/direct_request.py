"""A request as bytes, and where they go; what could smuggle is refused before anything is sent."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from dragoman.attempt.ports import Shared, UpstreamRequest

_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<authority>(?P<host>\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(?::(?P<port>[0-9]{1,5}))?)"
    r"(?P<target>(?:[/?][!-\"$-~]*)?)"
    r"(?:#[!-~]*)?"
)
"""Visible ASCII alone; no user name, whose ``@`` makes what stands before it read as a host (F6)."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
"""RFC 9110 §5.5: what a caller sent beyond ASCII goes out as the bytes that it came in."""

_FRAMING = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"}
)
"""What the client itself says, or never says."""

_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
"""Methods that say ``content-length: 0`` where there is no body (RFC 9110 §8.6)."""

_FIELDS: set[str] = set()
"""Names that are known to be well formed."""

_MOST_FIELDS = 1000


class Origin(NamedTuple):
    """What connections are kept for."""

    host: str
    port: int
    secure: bool


class Place(NamedTuple):
    """Where a URL leads."""

    origin: Origin
    authority: str
    """Host and port as the URL has them: what ``host`` says, and what errors name."""
    target: str
    start: str
    """What stands in a head behind the method, the line of ``host`` included."""


@lru_cache(maxsize=1024)
def place_of(url: str) -> Place | None:
    """Where a URL leads; None if it is not one to send a key to."""
    found = _URL.fullmatch(url)
    if found is None:
        return None
    secure = found["scheme"] == "https"
    port = int(found["port"]) if found["port"] else (443 if secure else 80)
    if not 0 < port < 65536:
        return None
    target = found["target"]
    if not target.startswith("/"):
        target = "/" + target
    authority = found["authority"]
    start = f" {target} HTTP/1.1\r\nhost: {authority}"
    return Place(Origin(found["host"].strip("[]"), port, secure), authority, target, start)


def head_of(request: UpstreamRequest, place: Place) -> bytes:
    """The head of a request.

    Raises:
        ValueError: the method or a header cannot be sent as it is.
        TypeError: a header is no text.
    """
    shared, trace, body = request.shared, request.trace, request.body
    if (
        trace
        and shared is not None
        and request.url is shared.url
        and request.method == "POST"
        and body is not None
        and not request.own
        and trace.isascii()
        and trace.isprintable()
    ):
        # As nearly all of a provider's requests are: only these lines are another in each.
        start = shared.start or _beginning(shared, place)
        return (f"{start}\r\ntraceparent: {trace}\r\ncontent-length: {len(body)}\r\n\r\n").encode(
            "latin-1"
        )
    method, own = request.method, request.own
    if shared is None or trace or not own.keys().isdisjoint(shared.headers):
        lines = _lines(request.headers)
    else:
        lines = (shared.lines or _look_through(shared)) + _lines(own)
    if method not in _WITH_BODY:
        if not _TOKEN.fullmatch(method):
            raise ValueError("a method is a token")
        if body is None:
            return f"{method}{place.start}{lines}\r\n\r\n".encode("latin-1")
    length = 0 if body is None else len(body)
    head = f"{method}{place.start}{lines}\r\ncontent-length: {length}\r\n\r\n"
    return head.encode("latin-1")


def _look_through(shared: Shared) -> str:
    lines = shared.lines = _lines(shared.headers)
    return lines


def _beginning(shared: Shared, place: Place) -> str:
    if "traceparent" in shared.headers:
        raise ValueError("no two requests stand at the same place in a trace")
    start = shared.start = f"POST{place.start}{_look_through(shared)}"
    return start


def _lines(headers: dict[str, str]) -> str:
    """Headers as they stand in a head, a line's end before each."""
    if not _FIELDS.issuperset(headers):
        _learn(headers)
    values = "".join(headers.values())
    # The cheap look passes nearly all; a tab or a letter beyond ASCII needs the exact one.
    if not (values.isascii() and values.isprintable()) and not _VALUE.fullmatch(values):
        raise ValueError("a header's value holds a control character")
    return "\r\n".join(["", *map(": ".join, headers.items())])


def _learn(names: dict[str, str]) -> None:
    for name in names:
        if not _TOKEN.fullmatch(name) or name.lower() in _FRAMING:
            raise ValueError("a header's name is a token, and none that frames the body")
        if len(_FIELDS) < _MOST_FIELDS:
            _FIELDS.add(name)
