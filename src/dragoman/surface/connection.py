"""One HTTP/1.1 connection, with the bounds that uvicorn's own protocol leaves open.

A head may be neither endless nor slow (I6, L7), a body that nobody wants any more is not read for
ever (I3), and a caller that stops reading does not keep its socket and its buffer (L6). Only what
is out of the ordinary is counted: a request whose head comes in one piece costs nothing here.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any, cast

import msgspec
from httptools import HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

SELF = "dragoman.connection"
"""The member of a scope that holds its connection."""
CYCLE = "dragoman.cycle"
"""The member of a scope that holds what uvicorn keeps of its request and answer."""
HEAD_LIMIT = 64 * 1024
"""Bytes of a request line and its headers."""
HEAD_S = 15.0
"""From a connection's first moment, or a head's first bytes, to the head's end."""
DISCARD_LIMIT = 32 * 1024 * 1024
"""Bytes of a body that are still taken once the answer is out, for a caller that writes before it reads."""
STALL_S = 60.0
"""How long a caller may take nothing of what waits for it."""

_OFFER = frozenset({b"upgrade", b"http2-settings"})


class _HeadTooLargeError(Exception):
    """Stops the parser; ``send_400_response`` is what uvicorn calls then."""


class Connection(HttpToolsProtocol):
    """uvicorn's protocol, bounded."""

    def __init__(self, *args: Any, **members: Any) -> None:
        super().__init__(*args, **members)
        self.gone: Callable[[], None] | None = None
        """Called once if the caller leaves: what a request under way puts here costs no task."""
        self._in_head = True
        self._head_size = 0
        self._big_piece = False
        self._piece = b""
        self._offered = False
        self._too_large = False
        self._discarded = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """A caller has connected, and is expected to say something."""
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, and its timers with it."""
        self._stop_head_timer()
        self._stop_stall_timer()
        super().connection_lost(exc)
        if self.gone is not None:
            self.gone()

    @property
    def has_whole_body(self) -> bool:
        """Whether the body of the newest request is here to its end."""
        return not self.cycle.more_body

    def answer(
        self,
        cycle: RequestResponseCycle,
        status: int,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
    ) -> bool:
        """Writes a whole answer at once; False where the library's way has to be taken.

        That way looks at each of twenty headers with two regular expressions, which costs as much
        as reading the request. Here their names are the gateway's own, in lower case.

        Raises:
            ValueError: a header holds a line break.
        """
        if (
            not cycle.keep_alive
            or cycle.disconnected
            or cycle.response_started
            or self.flow.write_paused
            or cycle.scope["method"] == "HEAD"
        ):
            return False
        lines = [b"%s: %s\r\n" % header for header in cycle.default_headers + headers]
        head = b"".join(lines)
        if not head.count(b"\n") == head.count(b"\r") == len(lines):
            raise ValueError("A header of an answer holds a line break.")
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        self.transport.write(b"".join((STATUS_LINE[status], head, b"\r\n", body)))
        cycle.message_event.set()
        cycle.on_response()
        return True

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        cast("dict[str, Any]", cycle.scope)[CYCLE] = cycle
        super()._start_asgi_task(cycle, app)

    def give_up(self) -> None:
        """Ends an answer that has begun and cannot be finished.

        Its caller sees the connection break, after all that was sent if it still reads. uvicorn
        is told that the caller is gone: it would else report a handler that forgot the end.
        """
        self.cycle.disconnected = True
        if self.flow.write_paused:
            self.transport.abort()
        elif not self.transport.is_closing():
            waiting = self.transport.get_write_buffer_size()
            if waiting:
                self._stop_stall_timer()
                self._stall_timer = self.loop.call_later(STALL_S, self._look, waiting)
            self.transport.close()

    # --- heads

    def data_received(self, data: bytes) -> None:
        """Feeds the parser; a head that is still open afterwards is watched."""
        was_open = self._in_head
        self._big_piece = len(data) > HEAD_LIMIT
        self._piece = data
        super().data_received(data)
        self._piece = b""
        if not self._in_head or self.transport.is_closing():
            return
        if was_open:
            self._head_size += len(data)
            if self._head_size > HEAD_LIMIT:
                self._too_large = True
                self.send_400_response("")
                return
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_S, self.transport.abort)

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head = True
        self._head_size = self._discarded = 0
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)[SELF] = self

    def on_headers_complete(self) -> None:
        """A head is whole."""
        self._in_head = False
        self._stop_head_timer()
        if self._big_piece:
            size = sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size + len(self.url) > HEAD_LIMIT:
                self._too_large = True
                raise _HeadTooLargeError
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._offered = True  # ``_unsupported_upgrade_warning`` is what uvicorn calls then
            return
        super().on_headers_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """Serves the request as if no upgrade had been offered (RFC 9110 §7.8).

        Java's client offers HTTP/2 with every request, and the parser drops the body of such a
        one: so the head is put together again without the offer, and parsed anew.
        """
        upgrade = sys.exc_info()[1]
        assert isinstance(upgrade, HttpParserUpgrade), (
            "uvicorn calls this where the parser stopped"
        )
        if not self._offered:
            return
        self._offered = False
        head = [self.parser.get_method(), b" ", self.url, b" HTTP/1.1\r\n"]
        for name, value in self.headers:
            if name == b"connection":
                kept = [part for part in value.split(b",") if part.strip().lower() not in _OFFER]
                if kept:
                    head += [b"connection: ", b",".join(kept), b"\r\n"]
            elif name not in _OFFER:
                head += [name, b": ", value, b"\r\n"]
        self.parser = HttpRequestParser(self)
        self.data_received(b"".join([*head, b"\r\n", self._piece[upgrade.args[0] :]]))

    def send_400_response(self, msg: str) -> None:
        """Refuses what is no request that can be answered, as JSON, and closes."""
        del msg  # uvicorn's is the same whatever was wrong
        if self._too_large:
            status = b"431 Request Header Fields Too Large"
            message = f"The request line and headers are larger than {HEAD_LIMIT} bytes."
        else:
            status, message = b"400 Bad Request", "What was sent is not valid HTTP/1.1."
        error = {
            "message": message,
            "type": "invalid_request_error",
            "param": None,
            "code": "invalid_http",
        }
        body = msgspec.json.encode({"error": error})
        self.transport.write(
            b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n%s" % (status, len(body), body)
        )
        self.transport.close()

    # --- bodies and answers

    def on_message_complete(self) -> None:
        """A request is whole, unless it comes again without its offer."""
        if not self._offered:
            super().on_message_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body; after the answer only so much more is taken."""
        if self.cycle.response_complete:
            self._discarded += len(body)
            if self._discarded > DISCARD_LIMIT:
                self.transport.abort()
            return
        super().on_body(body)

    def pause_writing(self) -> None:
        """More waits for the caller than the buffer is meant to hold."""
        super().pause_writing()
        self._stop_stall_timer()
        waiting = self.transport.get_write_buffer_size()
        self._stall_timer = self.loop.call_later(STALL_S, self._look, waiting)

    def resume_writing(self) -> None:
        """The caller has taken most of it."""
        self._stop_stall_timer()
        super().resume_writing()

    def _look(self, before: int) -> None:
        waiting = self.transport.get_write_buffer_size()
        if waiting >= before:
            self.transport.abort()
        else:
            self._stall_timer = self.loop.call_later(STALL_S, self._look, waiting)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
