"""One HTTP/1.1 connection, with the bounds that uvicorn's own protocol leaves open.

A head may be neither endless nor slow (I6, L7), a body that nobody wants any more is not read for
ever (I3), and a caller that stops reading does not keep its socket and its buffer (L6). Only what
is out of the ordinary is counted: a request whose head comes in one piece costs nothing here.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from dragoman.surface.handover import hand_over, head_of, wants_socket
from dragoman.surface.head import (
    HEAD_LIMIT,
    KnownHead,
    headers_of_scope,
    known_head,
    target_of,
)
from dragoman.surface.turn import TURN, Turn

SELF = "dragoman.connection"
"""The member of a scope that holds its connection."""
HEAD_S = 15.0
"""From a connection's first moment, or a head's first bytes, to the head's end."""
DISCARD_LIMIT = 32 * 1024 * 1024
"""Bytes of a body that are still taken once the answer is out, for a caller that writes before it reads."""
LINGER_S = 30.0
"""How long that body may go on once the answer is out."""
MOST_UNKNOWN = 4
"""Heads in a row of which each is another: whoever sends such sends more of them."""
PAUSE = 64
"""After so many of them the next is learnt all the same: another may use the connection now."""
STALL_S = 60.0
"""How long a caller may take nothing of what waits for it."""

_OFFER = frozenset({b"upgrade", b"http2-settings"})


class State(ServerState):
    """What the connections of a process share."""

    leaving: bool = False
    """Each answer is its connection's last: a caller that is told so comes back elsewhere, and loses nothing."""


class _HeadTooLargeError(Exception):
    """Stops the parser; ``send_400_response`` is what uvicorn calls then."""


class Connection(HttpToolsProtocol):
    """uvicorn's protocol, bounded, with turns of ours in the place of its cycles."""

    server_state: State

    def __init__(self, *args: Any, **members: Any) -> None:
        super().__init__(*args, **members)
        self.gone: Callable[[], None] | None = None
        """Called once if the caller leaves: what a request under way puts here costs no task."""
        self._turn: Turn | None = None
        self._later: deque[Turn] = deque()
        """Requests that came before the answer to an earlier one was out."""
        self._members: Scope = {}
        """What the scopes of all its requests have."""
        self._known: KnownHead | None = None
        """That of the request before, where it is known again; None while the parser has a request half."""
        self._learnt: KnownHead | None = None
        """That of the request which the parser reads."""
        self._unknown = 0
        """How many heads in a row were not known."""
        self._body_left = 0
        """Bytes that are still to come of a body whose head was known."""
        self._in_message = False
        """Whether the parser has a request half."""
        self._is_first = False
        """Whether its request is what the piece begins with."""
        self._in_head = True
        self._head_size = 0
        self._big_piece = False
        self._piece = b""
        self._offered = False
        self._too_large = False
        self._discarded = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._idle_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """A caller has connected, and is expected to say something."""
        super().connection_made(transport)
        self._members = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": "",
            SELF: self,
        }
        self._head_timer = self.loop.call_later(HEAD_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, and its timers with it."""
        super().connection_lost(exc)
        for turn in (self._turn, *self._later):
            if turn is not None:
                turn.lose()
        self._later.clear()
        self._forget()
        if self.gone is not None:
            self.gone()

    def _forget(self) -> None:
        """Else each connection would be a circle, and work for the collector; the turn's scope holds it, too."""
        for timer in (self._head_timer, self._stall_timer, self._idle_timer):
            if timer is not None:
                timer.cancel()
        self._turn = None
        self._members = {}
        self._known = self._learnt = None

    def shutdown(self) -> None:
        """The server ends: an answer under way is finished, and is the last."""
        if self._turn is None or self._turn.is_complete:
            self.transport.close()
        else:
            self._turn.keep_alive = False

    def give_up(self) -> None:
        """Ends an answer that has begun and cannot be finished.

        Its caller sees the connection break, after all that was sent if it still reads.
        """
        if self._turn is not None:
            self._turn.disconnected = True
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
        """Takes a request whose head is known as it is; all others are parsed."""
        if self._body_left:
            self._read_on(data)
            return
        known = self._known
        if known is None or (found := known.read(data)) is None:
            self._parse(data)
            return
        scope, start, length = found
        end = start + length
        self._unknown = 0
        left = end - len(data)
        turn = scope[TURN] = Turn(
            scope,
            self.transport,
            self.flow,
            self.server_state,
            self._answered,
            not self.server_state.leaving,
            False,  # noqa: FBT003  by position, as names cost more for every request
            left > 0,
            [data[start:end]] if left <= 0 else [],
        )
        self._arrive(turn)
        if left < 0:
            self._parse(data[end:])
        elif left:
            self._body_left, self._discarded = left, 0
            turn.take(data[start:])

    def _read_on(self, data: bytes) -> None:
        """More of a body whose length is known, and perhaps another request behind it."""
        left = self._body_left - len(data)
        self._body_left = max(0, left)
        self.on_body(data if left >= 0 else data[:left])
        if left <= 0:
            assert self._turn is not None, "its body has ended"
            self._turn.end()
        if left < 0:
            self._parse(data[left:])

    def _parse(self, data: bytes) -> None:
        """Feeds the parser that tells of each header; a head that is still open afterwards is watched."""
        was_open = self._in_head
        self._is_first = not self._in_message
        self._big_piece = len(data) > HEAD_LIMIT
        self._piece = data
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade:
            self._serve_without_upgrade()
        except HttpParserError:
            self.send_400_response("")
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
        self._in_head = self._in_message = True
        self._known = self._learnt = None
        self._head_size = self._discarded = 0
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; that one of them expects an answer before the body is seen when all are here."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """A head is whole."""
        self._in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if self._big_piece:
            size = sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size + len(self.url) > HEAD_LIMIT:
                self._too_large = True
                raise _HeadTooLargeError
        parser = self.parser
        if parser.should_upgrade() and parser.get_method() != b"CONNECT":
            self._offered = True
            return
        version = parser.get_http_version()
        path, raw_path, query = target_of(self.url)
        scope = {
            **self._members,
            "http_version": version,
            "method": parser.get_method().decode("ascii"),
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": self.headers,
        }
        expects = headers_of_scope(scope).get("expect")
        if self._is_first:
            self._unknown += 1
            if self._unknown <= MOST_UNKNOWN or not self._unknown % PAUSE:
                self._learnt = known_head(self._piece, scope)
        turn = scope[TURN] = Turn(
            scope,
            self.transport,
            self.flow,
            self.server_state,
            self._answered,
            keep_alive=version != "1.0"
            and parser.should_keep_alive()
            and not self.server_state.leaving,
            wants_continue=expects is not None and expects.lower() == "100-continue",
        )
        self._arrive(turn)

    def _arrive(self, turn: Turn) -> None:
        """A request has come: it begins at once, or waits for its turn."""
        earlier, self._turn = self._turn, turn
        if earlier is None or earlier.is_complete:
            self._begin(turn)
        else:
            self.flow.pause_reading()
            self._later.append(turn)

    def _begin(self, turn: Turn) -> None:
        turn.task = self.loop.create_task(turn.run(self.app, self.tasks))
        self.tasks.add(turn.task)

    def _answered(self) -> None:
        """An answer is out: the next request's turn, or the caller's."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self._later:
            self._begin(self._later.popleft())
            return
        self._idle_since = self.loop.time()
        if self._idle_timer is None or self._turn is None or self._turn.more_body:
            self._set_idle_timer()

    def _set_idle_timer(self) -> None:
        patience: float = self.timeout_keep_alive
        is_whole = self._turn is not None and not self._turn.more_body
        if not is_whole and patience > LINGER_S:
            # Refused before its body was here: who sends the rest drop by drop keeps no socket by it.
            self._idle_since -= patience - LINGER_S
            patience = LINGER_S
            if self._idle_timer is not None:
                self._idle_timer.cancel()
                self._idle_timer = None
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(patience, self._look_idle)

    def _look_idle(self) -> None:
        """One timer for all the pauses of a connection: set anew only when it has run out."""
        self._idle_timer = None
        if self.transport.is_closing():
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        busy = self._turn is not None and not self._turn.is_complete
        if busy or (self._in_head and self._head_timer is not None):
            return  # the end of the answer sets it again, and a head has a timer of its own
        if left > 0.01:
            self._idle_timer = self.loop.call_later(left, self._look_idle)
        else:
            self.transport.close()

    def _serve_without_upgrade(self) -> None:
        """Serves the request as if no upgrade had been offered (RFC 9110 §7.8).

        Java's client offers HTTP/2 with every request, and the parser drops the body of such a
        one: so the head is put together again without the offer, and parsed anew.
        """
        upgrade = sys.exc_info()[1]
        assert isinstance(upgrade, HttpParserUpgrade), "the parser has stopped"
        if not self._offered:
            return
        self._offered = False
        rest = self._piece[upgrade.args[0] :]
        if not rest and self._is_free() and wants_socket(self.url, self.headers):
            self._forget()
            self.transport.pause_reading()
            task = self.loop.create_task(hand_over(self, head_of(self.url, self.headers)))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
            return
        head = [self.parser.get_method(), b" ", self.url, b" HTTP/1.1\r\n"]
        for name, value in self.headers:
            if name == b"connection":
                kept = [part for part in value.split(b",") if part.strip().lower() not in _OFFER]
                if kept:
                    head += [b"connection: ", b",".join(kept), b"\r\n"]
            elif name not in _OFFER:
                head += [name, b": ", value, b"\r\n"]
        self.parser = HttpRequestParser(self)
        self._parse(b"".join([*head, b"\r\n", rest]))

    def _is_free(self) -> bool:
        """Whether it may become something else: nothing is under way, and the server stays."""
        parser = self.parser
        plain = parser.get_method() == b"GET" and parser.get_http_version() == "1.1"
        done = self._turn is None or self._turn.is_complete
        return plain and done and not self.server_state.leaving

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
        self._in_message = self._is_first = False
        self._known = self._learnt
        if not self._offered and self._turn is not None:
            self._turn.end()

    def on_body(self, body: bytes) -> None:
        """A piece of a body; after the answer only so much more is taken."""
        turn = self._turn
        if turn is None:
            return
        if not turn.is_complete:
            turn.take(body)
            return
        self._discarded += len(body)
        if self._discarded > DISCARD_LIMIT:
            self.transport.abort()

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

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
