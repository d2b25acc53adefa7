"""One HTTP/1.1 connection to a provider: a request goes out whole, a reply is parsed as it comes.

A protocol of the event loop's own, with httptools as its parser: no task and no thread stands
between the socket and whoever awaits a piece. When a reply is whole its connection is idle at
once, whether or not it was read. Bytes that come while none is under way are nobody's, and end
the connection: they could be taken for the answer to what another caller asks next.

All connections of a loop read into one buffer. Without it TLS would allocate a quarter of a
megabyte for each piece that it decrypts, which took more time than all the rest.
"""

from __future__ import annotations

import asyncio
from typing import NoReturn, cast

from httptools import HttpParserError, HttpResponseParser

from dragoman.transport.direct_idle import Idle
from dragoman.transport.direct_reply import DirectReply
from dragoman.transport.direct_request import Origin
from dragoman.transport.failures import HEAD_TOO_LARGE, LOST, MALFORMED, RESET, Fault

HEAD_LIMIT = 64 * 1024
"""Bytes of a head, and of chunk lines and trailers without a byte of the body between them."""

LARGE_BODY = 64 * 1024
"""Bytes that are not copied behind the head: less in one piece is one record of TLS, not two."""

HIGH_WATER = 256 * 1024
"""Bytes of a body that may wait for their reader; beyond it nothing more is read."""

_NAMES: dict[bytes, str] = {}
"""Names of headers as providers write them, and in lower case: they are the same in every reply."""
_name_of = _NAMES.__getitem__
_MOST_NAMES = 1000
_LONGEST_NAME = 100


class _StopError(Exception):
    """Ends the parsing from inside one of the parser's calls."""


class DirectConnection(asyncio.BufferedProtocol):
    """A socket, a parser, and the reply that is under way."""

    __slots__ = (
        "_bodiless",
        "_body",
        "_buffer",
        "_dry",
        "_fault",
        "_headers",
        "_idle",
        "_in_head",
        "_keep",
        "_moved",
        "_parser",
        "_paused",
        "_piece",
        "_reply",
        "_transport",
        "_until_closed",
        "_whole",
        "heard",
        "on_body",
        "on_header",
        "origin",
        "used",
    )

    def __init__(self, origin: Origin, idle: Idle[DirectConnection], buffer: memoryview) -> None:
        """``buffer``: shared by the connections of one loop."""
        self.origin = origin
        self.used = False
        """Whether it has served a request before."""
        self.heard = False
        """Whether a byte has come since the last request."""
        self._idle = idle
        self._buffer = buffer
        self._transport: asyncio.Transport | None = None
        self._reply: DirectReply | None = None
        self._headers: dict[bytes, bytes] = {}
        self.on_header = self._headers.__setitem__
        """Where the parser puts the lines of a head or of trailers; of repeated ones the last counts."""
        self._body: list[bytes] = []
        self.on_body = self._body.append
        """Where the parser puts what it finds of a body; no call of ours for each chunk."""
        self._in_head = True
        self._whole = False
        self._keep = False
        self._until_closed = False
        self._bodiless = False
        self._paused = False
        self._piece = 0
        """The size of what is being parsed."""
        self._moved = False
        """Whether it brought the end of a head, or something of a body."""
        self._dry = 0
        """Bytes that brought neither the end of a head nor any of a body."""
        self._fault: Fault | None = None
        self._parser: HttpResponseParser | None = HttpResponseParser(self)

    # --- requests

    def send(self, reply: DirectReply, head: bytes, body: bytes | None, bodiless: bool) -> None:  # noqa: FBT001
        """Sends a request; what comes is the reply's. ``bodiless``: it will have no body."""
        transport = self._transport
        self._whole = self._moved = self.heard = self._until_closed = False
        if transport is None or transport.is_closing():
            reply.fail(RESET)
            return
        self._reply = reply
        reply.carrier = self
        if self._headers:
            self._headers.clear()  # a reply before this one has left its trailers
        self._in_head = True
        self._bodiless = bodiless
        self._dry = 0
        if body is None:
            transport.write(head)
        elif len(body) < LARGE_BODY:
            transport.write(head + body)
        else:
            transport.writelines((head, body))

    def abort(self) -> None:
        """Closes the socket at once; whose reply was under way knows."""
        self._reply = None
        if self._transport is not None:
            self._transport.abort()

    def resume(self) -> None:
        """Reads on, where the reader was behind."""
        if self._paused:
            self._paused = False
            transport = self._transport
            if transport is not None and not transport.is_closing():
                transport.resume_reading()

    # --- what the loop says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands, its TLS handshake included."""
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """Where the loop puts what it reads; it is parsed before anything else is read."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes of a reply, or of nothing that was asked for."""
        reply, parser = self._reply, self._parser
        if reply is None or parser is None:
            self._idle.forget(self)
            self.abort()
            return
        self.heard = True
        self._piece = nbytes
        fault: Fault | None = None
        try:
            parser.feed_data(self._buffer[:nbytes])
        except HttpParserError:
            # What follows a whole reply does not harm it, but its connection.
            self._keep = False
            fault = self._fault or (MALFORMED if self._in_head else LOST)
        body = self._body
        if body:
            reply.pieces += body
            body.clear()
            if self._whole:
                self._end(reply)
                return
            reply.size += nbytes
            self._moved = True
        elif self._whole:
            self._end(reply)
            return
        if self._moved:
            self._moved = False
            self._dry = 0
        else:
            self._dry += nbytes
            if self._dry > HEAD_LIMIT and fault is None:
                fault = HEAD_TOO_LARGE if self._in_head else LOST
        if fault is not None:
            self._break(reply, fault)
        elif not self._in_head:
            reply.arrived()
            if reply.size > HIGH_WATER and not self._paused:
                self._paused = True
                cast("asyncio.Transport", self._transport).pause_reading()

    def eof_received(self) -> None:
        """The provider has sent all that it will send; the loop closes the socket."""
        reply = self._reply
        if reply is None:
            self._idle.forget(self)
        elif self._until_closed:
            self._keep = False
            self._end(reply)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The connection is gone, with or without a word."""
        reply = self._reply
        if reply is None:
            self._idle.forget(self)
        else:
            self._reply = None
            reply.fail(LOST if reply.status else RESET)
        # The parser knows this protocol: without it no circle is left to be collected.
        self._transport = self._parser = None

    def _end(self, reply: DirectReply) -> None:
        """The reply is whole."""
        self._reply = None
        transport = self._transport
        if (
            not self._keep
            or transport is None
            or transport.is_closing()
            # It answered before it had read the request: the rest would stand before the next.
            or transport.get_write_buffer_size()
        ):
            self.abort()
        else:
            if self._paused:
                self.resume()
            self.used = True
            self._idle.keep(self)
        reply.end()

    def _break(self, reply: DirectReply, fault: Fault) -> None:
        self.abort()
        reply.fail(fault)

    # --- what the parser says

    def on_message_begin(self) -> None:
        """A head begins; behind a reply that is whole it is nobody's."""
        if self._whole:
            raise _StopError

    def on_headers_complete(self) -> None:
        """A head is whole."""
        reply, parser = self._reply, self._parser
        assert reply is not None
        assert parser is not None, "it is what calls"
        headers = by_name(self._headers)
        self._headers.clear()
        self._moved = True
        status = parser.get_status_code()
        if status < 200:
            if status < 100 or status == 101:
                self._refuse(MALFORMED)  # no status at all; a switch that nobody asked for
            return  # the reply itself is still to come
        if self._dry + self._piece > HEAD_LIMIT and _size(headers) > HEAD_LIMIT:
            self._refuse(HEAD_TOO_LARGE)
        length, coding = headers.get("content-length"), headers.get("transfer-encoding")
        if coding is not None and coding.lower() != "chunked":
            self._refuse(MALFORMED)  # RFC 9112 §6.1: a coding that nobody asked for
        self._in_head = False
        self._keep = parser.should_keep_alive()
        reply.headers = headers
        reply.status = status
        if self._bodiless:
            self._whole = True
            raise _StopError  # the parser would wait for a body
        if length is not None:
            reply.length = int(length)
        elif coding is None:
            self._until_closed = True  # or until its head's end, as the parser knows of a 204

    def on_message_complete(self) -> None:
        """A reply is whole; one that only announces another is forgotten."""
        if not self._in_head:
            self._whole = True

    def _refuse(self, fault: Fault) -> NoReturn:
        self._fault = fault
        raise _StopError


def by_name(given: dict[bytes, bytes]) -> dict[str, str]:
    """The lines of a head, names in lower case; all values are decoded at once, as each costs as much."""
    values = b"\0".join(map(bytes.rstrip, given.values())).decode("latin-1").split("\0")
    try:
        return dict(zip(map(_name_of, given), values, strict=True))
    except KeyError:
        pass  # a name that nobody has sent before
    except ValueError:
        pass  # none at all; or one holds a NUL, should the parser ever let it through
    headers: dict[str, str] = {}
    for raw, value in given.items():
        name = raw.decode("latin-1").lower()
        headers[name] = value.rstrip().decode("latin-1")
        if len(_NAMES) < _MOST_NAMES and len(raw) <= _LONGEST_NAME:
            _NAMES[raw] = name
    return headers


def _size(headers: dict[str, str]) -> int:
    return sum(len(name) + len(value) + 4 for name, value in headers.items())
