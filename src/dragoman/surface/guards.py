"""Who may reach the gateway from a browser: Host and Origin in local mode, CORS (D20, W6, W16).

A page on the internet can make a browser call 127.0.0.1. In local mode any key works, so the
Host must be this machine (against DNS rebinding) and the Origin one that was allowed, or a page
that this machine itself serves: whoever can serve pages here can call without a browser as well.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache

from starlette.types import Message, Send

from dragoman.core.errors import CallerError


@dataclass(frozen=True, slots=True)
class Guards:
    """The names and origins that are allowed."""

    local: bool
    allowed_hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()

    @property
    def active(self) -> bool:
        """Whether requests have to be looked at."""
        return self.local or bool(self.origins)


_LOOPBACK = re.compile(r"https?://(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?")

PROBES = frozenset({"/health", "/ready"})
"""What load balancers ask in HTTP/1.0, without a Host; no browser leaves it out."""


def guard(guards: Guards, headers: dict[str, str], path: str = "") -> CallerError | None:
    """Why the request is refused, None if it is not."""
    if not guards.local:
        return None
    host = headers.get("host", "")
    is_probe = not host and path in PROBES and "host" not in headers
    if not (is_probe or _own_host(host, guards.allowed_hosts)):
        return CallerError(
            "permission",
            f"The Host {host[:100]!r} is not this machine; list it in ALLOWED_HOSTS to allow it.",
            status=421,
            code="host_not_allowed",
        )
    origin = headers.get("origin")
    if origin is not None and not may_call(guards, origin, host):
        return CallerError(
            "permission",
            f"The Origin {origin[:100]!r} is not this machine; "
            "list it in CORS_ALLOW_ORIGINS to allow it.",
            code="origin_not_allowed",
        )
    return None


@lru_cache(maxsize=256)
def _own_host(host: str, allowed: frozenset[str]) -> bool:
    if host.startswith("["):
        name = host[1:].split("]", 1)[0]
    else:
        name = host.rsplit(":", 1)[0] if host.count(":") == 1 else host
    name = name.lower()
    if name == "localhost" or name in allowed:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def may_call(guards: Guards, origin: str, host: str) -> bool:
    """Whether a page of this origin may read answers: it was allowed, or is our own.

    In local mode also any page of this machine's loopback, such as a development server's.
    """
    return (
        origin in guards.origins
        or origin in {f"http://{host}", f"https://{host}"}
        or (guards.local and _LOOPBACK.fullmatch(origin) is not None)
    )


def cors_headers(origin: str, send: Send) -> Send:
    """A ``send`` that tells the browser that the origin may read the answer."""
    # Credentials are never allowed: callers show a key, no cookie, and so `*` exposes all that we say.
    extra = [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-expose-headers", b"*"),
        (b"vary", b"origin"),
    ]

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *extra]
        await send(message)

    return told


async def preflight(guards: Guards, headers: dict[str, str], send: Send) -> None:
    """Answers a browser's question whether it may call."""
    origin = headers.get("origin", "")
    allowed = may_call(guards, origin, headers.get("host", ""))
    answer: list[tuple[bytes, bytes]] = [(b"content-length", b"0"), (b"vary", b"origin")]
    if allowed:
        asked = headers.get("access-control-request-headers", "")
        answer += [
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE, OPTIONS"),
            (b"access-control-allow-headers", asked.encode("latin-1")),
            (b"access-control-max-age", b"600"),
        ]
    status = 204 if allowed else 403
    await send({"type": "http.response.start", "status": status, "headers": answer})
    await send({"type": "http.response.body", "body": b""})
