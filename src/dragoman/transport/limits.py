"""Caps on what a reply may become: a compressed body is inflated in steps, never at once.

Clients hand over the body as it came; decoding here gives one behaviour and one cap.
64 kB of gzip can hold 64 MB of zeros, so neither a piece nor the whole may outgrow what
honest JSON does: text compresses by 5 to 20, a list of equal numbers by 100.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from msgspec import Struct

MAX_RATIO = 100
"""Bytes out per byte in, beyond the allowance."""

ALLOWANCE = 4 * 2**20
"""Bytes that may come out whatever went in: small bodies may be very regular."""

STEP = 256 * 1024
"""The largest piece that is inflated at once; the rest waits compressed."""

_GZIP = 31
_ZLIB = 15
_RAW = -15


class Bomb(Exception):  # noqa: N818 - it is a finding, which the client turns into an error
    """The body outgrew its cap."""


class Corrupt(Exception):  # noqa: N818 - as Bomb
    """The body is not what its ``content-encoding`` says, or ends too early."""


class Inflation(Struct):
    """The state of one compressed body."""

    encoding: str
    took: int = 0
    gave: int = 0
    _stream: zlib._Decompress | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The pieces that this piece of the body holds, each at most ``STEP`` long."""
        self.took += len(data)
        more = bool(data)
        while more:
            if self._stream is None:
                self._stream = zlib.decompressobj(_window(self.encoding, data[0]))
            try:
                piece = self._stream.decompress(data, STEP)
            except zlib.error as error:
                raise Corrupt from error
            self.gave += len(piece)
            if self.gave > ALLOWANCE + MAX_RATIO * self.took:
                raise Bomb
            if piece:
                yield piece
            if self._stream.eof:
                # RFC 1952 §2.2: members of gzip may follow one another.
                data = self._stream.unused_data
                if data and self.encoding == "deflate":
                    raise Corrupt
                self._stream = None if data else self._stream
                more = bool(data)
            else:
                # A full step may leave output inside zlib with all input taken.
                data = self._stream.unconsumed_tail
                more = bool(data) or len(piece) == STEP

    def finish(self) -> None:
        """Checks at the body's end that nothing is missing."""
        if self._stream is not None and not self._stream.eof:
            raise Corrupt


def _window(encoding: str, first: int) -> int:
    """``deflate`` means zlib's wrapper, but some servers send the bare stream."""
    if encoding == "gzip":
        return _GZIP
    return _ZLIB if first & 0x0F == zlib.DEFLATED and first >> 4 <= 7 else _RAW


def inflation(encoding: str) -> Inflation | None:
    """The decoder of a ``content-encoding``; None where the body is as it is.

    Raises ``Corrupt`` for codings that nobody asked for, stacked ones among them: gzip twice
    over packs 250,000 : 1.
    """
    match encoding.strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip":
            return Inflation("gzip")
        case "deflate":
            return Inflation("deflate")
        case _:
            raise Corrupt
