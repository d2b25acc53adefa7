"""A provider for the bench: every reply at once, or a stream at a pace that the request names.

nginx serves the replies that come at once, where it is installed; streams at a pace are always
served here. One protocol on uvloop, no parser beyond what the bench's own requests need.

    python upstream.py --port 9000 --core 1
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from contextlib import suppress
from typing import cast

import uvloop

from machine import pin
from traffic import CHUNKS, PATHS, Family, Stream, pace_of, stream, whole

_WHOLE: dict[Family, bytes] = {}
_AT_ONCE: dict[Family, bytes] = {}
_STREAMS: dict[Family, Stream] = {}


def prepare() -> None:
    """Writes every answer once."""
    for family in PATHS.values():
        body = whole(family)
        _STREAMS[family] = stream(family)
        _WHOLE[family] = (
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )
        _AT_ONCE[family] = _stream_head() + _chunk(_STREAMS[family].whole(CHUNKS)) + _chunk(b"")


def _stream_head() -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Provider(asyncio.Protocol):
    """One connection; requests on it come one after the other."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._kept = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no asyncio.Transport by class, only by what they can do.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._kept += data
        end = self._kept.find(b"\r\n\r\n")
        while end >= 0:
            head = self._kept[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r", 1)[0]) if at >= 0 else 0
            if len(self._kept) < end + 4 + length:
                return
            body = self._kept[end + 4 : end + 4 + length]
            self._kept = self._kept[end + 4 + length :]
            self._answer(head.split(b" ", 2)[1].decode("latin-1"), body)
            end = self._kept.find(b"\r\n\r\n")

    def _answer(self, path: str, body: bytes) -> None:
        assert self._transport is not None
        family = PATHS.get(path)
        if family is None:
            self._transport.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
        elif b'"stream":true' not in body.replace(b" ", b""):
            self._transport.write(_WHOLE[family])
        elif (pace := pace_of(body)) is None:
            self._transport.write(_AT_ONCE[family])
        else:
            said = _STREAMS[family]
            self._transport.write(_stream_head() + _chunk(said.opening))
            self._step(said, 0, pace.chunks, pace.every_ms / 1000)

    def _step(self, said: Stream, number: int, chunks: int, every_s: float) -> None:
        """Piece number n now, the next one a while later: each stream has its own beat."""
        if self._transport is None:
            return
        if number == chunks:
            self._transport.write(_chunk(said.ending) + _chunk(b""))
            return
        self._transport.write(_chunk(said.piece(number)))
        self._timer = asyncio.get_running_loop().call_later(
            every_s, self._step, said, number + 1, chunks, every_s
        )


async def serve(port: int) -> None:
    """Serves until SIGTERM."""
    prepare()
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    server = await loop.create_server(Provider, "127.0.0.1", port, backlog=4096)
    with suppress(asyncio.CancelledError):
        await ended.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--core", type=int)
    given = parser.parse_args()
    if given.core is not None:
        pin(os.getpid(), given.core)
    uvloop.run(serve(given.port))


if __name__ == "__main__":
    main()
