"""A way through an HTTP proxy, for the hosts that an operator has named one for: CONNECT, and TLS inside it.

The proxy sees the host and the port, and neither the credential nor a word of what is said. No proxy of the
environment is ever used.
"""

from __future__ import annotations

import asyncio
import base64
import re
import socket
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from dragoman.transport import failures
from dragoman.transport.direct_request import Origin
from dragoman.transport.failures import Fault

_MOST = 16 * 1024
_OPEN = re.compile(rb"HTTP/1\.[01] 2\d\d[ \r]")


class Tunnel(Struct, frozen=True):
    """A proxy, and how we prove ourselves to it."""

    host: str
    port: int
    authorization: str = ""

    def __repr__(self) -> str:
        return f"Tunnel({self.host}:{self.port})"


def tunnel_of(url: str) -> Tunnel:
    """The proxy at an address such as ``http://user:password@proxy.internal:3128``.

    Raises:
        ValueError: it is none; the message shows nothing of it, for it may hold a password.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port or parts.scheme != "http":
        raise ValueError(
            "say it as http://host:port, with user:password@ before the host if need be"
        )
    authorization = ""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode()
    return Tunnel(host, port, authorization)


async def open_tunnel(sock: socket.socket, origin: Origin, tunnel: Tunnel) -> Fault | None:
    """Has the proxy connect to the origin; None: whatever is sent from here on goes there."""
    loop = asyncio.get_running_loop()
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    lines = [f"CONNECT {host}:{origin.port} HTTP/1.1", f"host: {host}:{origin.port}"]
    if tunnel.authorization:
        lines.append(f"proxy-authorization: {tunnel.authorization}")
    head = b""
    try:
        await loop.sock_sendall(sock, ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        # One byte at a time: what comes behind the head is the origin's, and not ours to take.
        while not head.endswith(b"\r\n\r\n"):
            piece = await loop.sock_recv(sock, 1)
            head += piece
            if not piece or len(head) > _MOST:
                return failures.PROXY
    except (OSError, UnicodeError):
        return failures.PROXY
    return None if _OPEN.match(head) else failures.PROXY
