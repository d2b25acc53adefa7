"""Gives a connection that asks for a WebSocket to the protocol which speaks one.

Only at the paths that have one: elsewhere an offer to upgrade is passed over, as HTTP allows. The library behind
it comes with the first that is asked for, in a thread, so that a start is as quick without it and no other call
waits for it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dragoman.surface.socket_scope import CHAT

if TYPE_CHECKING:
    from dragoman.surface.upgraded import Upgraded

_made: type[Upgraded] | None = None


def wants_socket(url: bytes, headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether a request that offers an upgrade asks for a WebSocket where there is one."""
    if url.partition(b"?")[0] != CHAT.encode():
        return False
    return any(name == b"upgrade" and value.lower() == b"websocket" for name, value in headers)


def head_of(url: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    """The head of a GET as it stands on the wire."""
    lines = [b"GET %b HTTP/1.1\r\n" % url, *(b"%b: %b\r\n" % header for header in headers)]
    return b"".join([*lines, b"\r\n"])


async def hand_over(connection: HttpToolsProtocol, head: bytes) -> None:
    """Has a WebSocket's protocol go on from the request's head; nothing is read before."""
    try:
        await _hand_over(connection, head)
    except BaseException:
        # Nobody reads it any more, so nobody would hear that the caller has left.
        connection.transport.abort()
        raise


async def _hand_over(connection: HttpToolsProtocol, head: bytes) -> None:
    made = await asyncio.to_thread(_load) if _made is None else _made
    transport = connection.transport
    if transport.is_closing():
        return
    protocol = made(connection.config, connection.server_state, connection.app_state)
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    # Until here it is the server's to close, should the server end.
    connection.connections.discard(connection)
    protocol.data_received(head)
    if not transport.is_closing():
        transport.resume_reading()


def _load() -> type[Upgraded]:
    global _made  # noqa: PLW0603  one library a process
    from dragoman.surface.upgraded import Upgraded  # noqa: PLC0415  see the first lines

    _made = Upgraded
    return Upgraded
