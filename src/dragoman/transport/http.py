"""The only door upstream: which client is opened.

``direct_client`` is our own and the default; ``library`` carries the others, for whoever wants
one of them, and to keep the contract honest. Which of them is the default, and why, is told with
figures in ``docs/transport.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias, assert_never

from dragoman.attempt.ports import Transport
from dragoman.transport.tunnel import Tunnel

Client: TypeAlias = Literal["direct", "ry", "aiohttp"]

DEFAULT: Client = "direct"

MAX_CONNECTIONS = 10_000
"""In use at once, idle ones not counted; beyond it a request is refused at once."""


def open_transport(
    name: Client | None = None,
    *,
    max_connections: int = MAX_CONNECTIONS,
    tls_ca: Path | None = None,
    tunnels: Mapping[str, Tunnel] | None = None,
) -> Transport:
    """A transport over the named client; it opens no socket before the first request.

    ``tls_ca`` is a PEM file of authorities trusted beside the system's, ``tunnels`` are proxies by host, which
    our own client alone goes through.

    Raises:
        ModuleNotFoundError: the client is an extra that is not installed.
    """
    client = name or DEFAULT
    # Imported here: the client that is not used costs no memory (D32).
    match client:
        case "direct":
            from dragoman.transport.direct_client import DirectTransport  # noqa: PLC0415

            return DirectTransport(max_connections=max_connections, tls_ca=tls_ca, tunnels=tunnels)
        case "ry" | "aiohttp":
            from dragoman.transport.library import LibraryTransport, driver_of  # noqa: PLC0415

            return LibraryTransport(driver_of(client, tls_ca), max_connections=max_connections)
        case _:
            assert_never(client)
