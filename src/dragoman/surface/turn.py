"""One request on a connection, and its answer, as an ASGI application sees them.

It stands in the place of uvicorn's own cycle and costs a quarter of it: no event for each request,
no regular expressions for each header, and a whole answer is one write. The names of an
answer's headers are the application's own, in lower case.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from msgspec import Struct
from starlette.types import ASGIApp, Message, Scope
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

Headers = list[tuple[bytes, bytes]]

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_BODILESS = frozenset({204, 304})
_BROKEN = "A header of an answer holds a line break."
_log = logging.getLogger("uvicorn.error")

TURN = "dragoman.turn"
"""The member of a scope that holds its turn."""


class Turn(Struct, eq=False):
    """A request as it arrives, and its answer as it goes; a Struct, as it is made for every request."""

    scope: Scope
    _transport: asyncio.Transport
    _flow: FlowControl
    _state: ServerState
    _done: Callable[[], None]
    """Called once the answer is out."""
    keep_alive: bool
    wants_continue: bool
    more_body: bool = True
    """Whether more of the request's body is to come."""
    _pieces: list[bytes] = []
    """What of it waits for the application."""
    disconnected: bool = False
    is_started: bool = False
    is_complete: bool = False
    task: asyncio.Task[None] | None = None
    """In which the application runs; None once it has ended."""
    _size: int = 0
    _delivered: bool = False
    """Whether the application has the end of the body."""
    _waiter: asyncio.Future[None] | None = None
    _chunked: bool = False
    _left: int = 0

    # What it holds is a caller's own.
    __repr__ = object.__repr__

    # --- what the connection tells

    def take(self, piece: bytes) -> None:
        """A piece of the body has come."""
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > HIGH_WATER_LIMIT:
            self._flow.pause_reading()
        self._wake()

    def end(self) -> None:
        """The body is whole."""
        self.more_body = False
        self._wake()

    def lose(self) -> None:
        """The caller is gone."""
        if not self.is_complete:
            self.disconnected = True
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # --- what the application is given

    async def run(self, app: ASGIApp, tasks: set[asyncio.Task[None]]) -> None:
        """Runs the application, and ends what it has left open; ``tasks`` are those under way.

        It leaves them itself: a callback of the task's would be another turn of the loop.
        """
        try:
            await app(self.scope, self.receive, self.send)
        except BaseException as error:  # noqa: BLE001  as uvicorn does: told, and the connection ended
            _log.error("Exception in ASGI application", exc_info=error)
            self._break_off()
        else:
            if not (self.is_complete or self.disconnected):
                _log.error("The application ended without an answer.")
                self._break_off()
        finally:
            if self.task is not None:
                tasks.discard(self.task)
            # Else each request would be a circle, and work for the collector.
            self.task = None
            del self.scope[TURN]

    def _break_off(self) -> None:
        if not self.is_started and not self.disconnected:
            self._transport.write(
                b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
        self._transport.close()

    def whole_body(self) -> bytes | None:
        """The body, where all of it is here and none of it was given out; it is given out by that."""
        if self.more_body or self._delivered or self.disconnected or self.is_complete:
            return None
        self._delivered = True
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)  # one alone is not copied

    async def receive(self) -> Message:
        """The body as far as it has come, or that the caller has left or has its answer."""
        if self.wants_continue and not self._transport.is_closing():
            self.wants_continue = False
            self._transport.write(_CONTINUE)
        while not (self.disconnected or self.is_complete):
            if self._pieces or not (self.more_body or self._delivered):
                return self._body()
            await self._wait()
        return {"type": "http.disconnect"}

    def _body(self) -> Message:
        pieces, self._pieces = self._pieces, []
        self._size = 0
        self._delivered = not self.more_body
        body = b"".join(pieces)
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def _wait(self) -> None:
        self._flow.resume_reading()
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    async def send(self, message: Message) -> None:
        """The head of the answer, or a piece of its body."""
        if self._flow.write_paused and not self.disconnected:
            await self._flow.drain()
        if self.disconnected:
            return
        if message["type"] == "http.response.start":
            self._start(message["status"], list(message.get("headers", ())))
        else:
            self._piece(message.get("body", b""), more=message.get("more_body", False))

    def answer(self, status: int, text: str, number: int, body: bytes) -> bool:
        """Writes a whole answer at once; False where it has to go through ``send``.

        Args:
            status: of the answer.
            text: its headers in Latin-1, each ``name: value`` with its line's end, the body's length among them.
            number: how many they are.
            body: all of it.

        Raises:
            ValueError: a header holds a line break.
        """
        if not self.keep_alive or self.disconnected or self.is_started or self._flow.write_paused:
            return False
        if self.scope["method"] == "HEAD":
            return False
        head = self._head(status, text.encode("latin-1"), number)
        self.is_started = self.is_complete = True
        self.wants_continue = False
        self._transport.write(head + body)
        if self._waiter is not None:
            self._wake()
        self._done()
        return True

    def begin(self, status: int, text: str, number: int) -> bool:
        """Writes the head of a stream at once; False where it has to go through ``send``.

        Args:
            status: of the answer; one that has a body.
            text: its headers, as for ``answer``; none of them frames the body.
            number: how many they are.

        Raises:
            ValueError: a header holds a line break.
        """
        if not self.keep_alive or self.disconnected or self.is_started or self._flow.write_paused:
            return False
        if self.scope["method"] == "HEAD" or status in _BODILESS:
            return False
        told = f"{text}transfer-encoding: chunked\r\n".encode("latin-1")
        head = self._head(status, told, number + 1)
        self.is_started = self._chunked = True
        self.wants_continue = False
        self._transport.write(head)
        return True

    def push(self, piece: bytes) -> bool:
        """Writes a piece of a stream at once; False where it has to wait or nobody is there for it."""
        if self._flow.write_paused or self.disconnected or not self._chunked or self.is_complete:
            return False
        self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        return True

    def finish(self) -> bool:
        """Ends a stream at once; False where that has to go through ``send``."""
        if self._flow.write_paused or self.disconnected or not self._chunked or self.is_complete:
            return False
        self._transport.write(b"0\r\n\r\n")
        self._complete()
        return True

    def _head(self, status: int, text: bytes, number: int) -> bytes:
        """The head with so many lines of headers in ``text``, each with its end."""
        # Twice as quick as to count both halves of an end, and the same: an end that is not ours is one more.
        if len(text.splitlines()) != number:
            raise ValueError(_BROKEN)
        headers = self._state.default_headers
        always = _always[1] if _always[0] is headers else _keep(headers)
        return b"%b%b%b\r\n" % (STATUS_LINE[status], always, text)

    def _start(self, status: int, headers: Headers) -> None:
        if self.is_started:
            raise RuntimeError("The answer has begun already.")
        length: int | None = None
        is_close_told = False
        for name, value in headers:
            if name == b"content-length":
                length = int(value)
            elif name == b"connection" and b"close" in value.lower():
                is_close_told = True
        if is_close_told:
            self.keep_alive = False
        bodiless = self.scope["method"] == "HEAD" or status in _BODILESS
        self._chunked = length is None and not bodiless
        self._left = 0 if length is None or bodiless else length
        if self._chunked:
            headers.append((b"transfer-encoding", b"chunked"))
        if not (self.keep_alive or is_close_told):
            headers.append((b"connection", b"close"))
        head = self._head(status, _text(headers), len(headers))
        self.is_started = True
        self.wants_continue = False
        self._transport.write(head)

    def _piece(self, body: bytes, *, more: bool) -> None:
        if not self.is_started or self.is_complete:
            raise RuntimeError("A piece of an answer stands before its head or after its end.")
        if self._chunked:
            end = b"" if more else b"0\r\n\r\n"
            if body:
                self._transport.write(b"%x\r\n%b\r\n%b" % (len(body), body, end))
            elif end:
                self._transport.write(end)
        elif self.scope["method"] != "HEAD":
            if len(body) > self._left or (not more and len(body) < self._left):
                raise RuntimeError("The answer is not as long as its content-length says.")
            self._left -= len(body)
            if body:
                self._transport.write(body)
        if not more:
            self._complete()

    def _complete(self) -> None:
        self.is_complete = True
        self._wake()
        if not self.keep_alive:
            self._transport.close()
        self._done()


def _keep(headers: Headers) -> bytes:
    """Keeps what the server says with every answer; it is another list each second."""
    global _always  # noqa: PLW0603  one server a process
    _always = headers, _text(headers)
    return _always[1]


_always: tuple[Headers, bytes] = ([], b"")


def _text(headers: Headers) -> bytes:
    return b"".join([b"%s: %s\r\n" % header for header in headers])
