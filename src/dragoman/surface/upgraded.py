"""One WebSocket connection: uvicorn's protocol over ``websockets``, with the bounds that it leaves open.

Who is a stranger may say little. A message in countless fragments, pings that nobody reads the answers of, and a
caller that goes on sending what was too large each take no more memory than they were meant to. Nothing is
compressed, so that no small message is a large one. A caller that does not read is found by the ping that it does
not answer: it stands behind all that waits for it. At the server's end the application is asked to leave, as its
answers may run to their end.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from dragoman.surface.socket_scope import LEAVE, SOCKET

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent, ASGISendEvent

STRANGER_LIMIT = 16 * 1024
"""Bytes of a message of whom nobody knows yet."""
MOST_FRAGMENTS = 4096
"""Of one message: a fragment may be empty, and would cost nothing to send."""
CLOSE_S = 5.0
"""How long the caller's answer to our close is waited for."""

_UNREADABLE = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Upgraded(WebSocketsSansIOProtocol):
    """uvicorn's protocol, bounded."""

    def __init__(self, *args: Any, **members: Any) -> None:
        super().__init__(*args, **members)
        self.conn.max_message_size = STRANGER_LIMIT
        self.close_timeout = CLOSE_S
        self._pong = b""
        """The last that waits until the caller reads."""
        self._broken = False
        """Whether the caller has sent what is no message; whatever follows is not looked at."""

    def trust(self) -> None:
        """The caller is known: its messages may be as large as a request's body."""
        self.conn.max_message_size = self.config.ws_max_size

    def doubt(self) -> None:
        """Its key is not valid any more: until it says another it is a stranger."""
        self.conn.max_message_size = STRANGER_LIMIT

    async def send(self, message: ASGISendEvent) -> None:
        """Sends, as long as the connection is open: who closed it, and why, the application hears later.

        Raises:
            ClientDisconnected: it is not open any more.
        """
        while not self.writable.is_set():
            await self.writable.wait()
        if self.close_sent or self.transport.is_closing():
            raise ClientDisconnected
        await super().send(message)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, and its timers with it."""
        self._pong = b""
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The server ends: the application is asked to come to its end, and closes."""
        if self.handshake_complete and not self.close_sent:
            self.queue.put_nowait(cast("ASGIReceiveEvent", {"type": LEAVE}))
        else:
            super().shutdown()

    def data_received(self, data: bytes) -> None:
        """Takes what the caller sends, as long as it makes sense."""
        if self._broken:
            return
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            # The library's bounds of a head are tighter than ours, and what it has to send tells of them.
            self._broken = True
            self.transport.write(b"".join(self.conn.data_to_send()) or _UNREADABLE)
            self.transport.close()

    def handle_connect(self, event: Request) -> None:
        """A handshake: the application finds the connection in its scope."""
        super().handle_connect(event)
        if not self.close_sent:
            cast("dict[str, Any]", self.scope)[SOCKET] = self

    def handle_cont(self, event: Frame) -> None:
        """A further fragment of a message."""
        if len(self.frames) >= MOST_FRAGMENTS:
            self.conn.fail(1008, f"a message in more than {MOST_FRAGMENTS} fragments")
            self.handle_parser_exception()
            return
        super().handle_cont(event)

    def handle_ping(self) -> None:
        """Answers a ping; only the last of those whose answers nobody reads, as the protocol allows."""
        pong = b"".join(self.conn.data_to_send())
        if self.writable.is_set():
            self.transport.write(pong)
        else:
            self._pong = pong

    def resume_writing(self) -> None:
        """The caller has taken most of what waited for it."""
        if self._pong and not self.close_sent:
            self.transport.write(self._pong)
        self._pong = b""
        super().resume_writing()

    def handle_parser_exception(self) -> None:
        """Says why it closes, and reads on to the caller's end: a socket closed unread takes it back."""
        if self._broken:
            return
        self._broken = True
        told = self.conn.close_sent
        code, reason = (1006, "") if told is None else (told.code, told.reason)
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.write_eof()
        self.close_sent = True
        self.stop_keepalive()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(self.close_timeout, self._end)

    def keepalive_timeout(self) -> None:
        """No answer to a ping: what still waits for the caller will not be read any more."""
        super().keepalive_timeout()
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """The application has ended; a caller that takes nothing any more does not keep the rest of it."""
        super().on_task_complete(task)
        if self.close_timer is None and not self.disconnected:
            self.close_timer = self.loop.call_later(self.close_timeout, self._end)

    def _end(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()
