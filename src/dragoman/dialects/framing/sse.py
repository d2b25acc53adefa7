"""Server-sent events: bytes → frames, however the bytes are cut (WHATWG HTML §9.2.6).

A frame is what stands up to a blank line. Its own bytes are kept beside what they say, so
that a relay can pass them on as they came (D1). Lines may end in LF, CRLF or CR, mixed (P2);
``data:`` may lack its space, stand on several lines or carry a BOM before it (P3); a last
frame without its blank line is flushed at the end (P4). Comments stay in the bytes of
the frame that they precede; a frame of comments alone has no data.
"""

from __future__ import annotations

import re

from msgspec import Struct

from dragoman.core.errors import UpstreamError

_BOM = b"\xef\xbb\xbf"
_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?!\n))")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_CR, _LF = b"\r\n"
"""As numbers: ``in`` finds a number at once, and tries to make one of bytes first."""

LIMIT = 32 * 1024 * 1024
"""Bytes of one frame; media inside a frame is legal and large (P25), endless frames are not (S11)."""


class Frame(Struct, frozen=True, gc=False):
    """One event: its joined ``data``, its name if it has one, and its own bytes."""

    data: bytes
    event: bytes | None
    raw: bytes


class SseFrames:
    """Cuts a byte stream into frames; one for each response."""

    __slots__ = ("_buffer", "_limit", "_scanned", "_started")

    def __init__(self, limit: int = LIMIT) -> None:
        self._buffer = b""
        self._scanned = 0
        self._started = False
        self._limit = limit

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that ``data`` completes.

        Raises:
            UpstreamError: a frame grows beyond the limit.
        """
        lone = self.lone(data)
        if lone is not None:
            return [lone]
        buffer = self._buffer + data if self._buffer else data
        if not self._started:
            if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
                self._buffer = buffer
                return []
            buffer = buffer.removeprefix(_BOM)
            self._started = True
        frames: list[Frame] = []
        position = 0
        if _CR in buffer:
            # A CR at the very end may be half of a CRLF: it waits for its neighbour.
            end = len(buffer) - 1 if buffer.endswith(b"\r") else len(buffer)
            search = max(0, self._scanned - 3)
            while found := _BLANK_LINE.search(buffer, max(position, search), end):
                frames.append(parse_frame(buffer[position : found.end()]))
                position = found.end()
        else:
            scanned = self._scanned
            position = _cut(buffer, scanned - 1 if scanned else 0, frames)
            if position == len(buffer):
                if self._buffer:
                    self._buffer, self._scanned = b"", 0
                return frames
        self._buffer = buffer[position:] if position else buffer
        self._scanned = len(self._buffer)
        if self._scanned > self._limit:
            raise UpstreamError(
                "upstream",
                f"The provider sent an event of more than {self._limit} bytes.",
                code="frame_too_large",
            )
        return frames

    def lone(self, data: bytes) -> Frame | None:
        """The frame that ``data`` is, nothing more and nothing less, in the two commonest shapes; else None.

        Nearly every piece of a stream at its own pace is that: whoever asks here first saves a
        third of the work. After None, ``feed`` takes the same bytes.
        """
        end = len(data) - 2
        if self._buffer or not self._started or end < 0 or data[end + 1] != _LF or _CR in data:
            return None
        line = data.find(b"\n")
        if line == end:
            return Frame(data[6:end], None, data) if data.startswith(b"data: ") else None
        if data.find(b"\n", line + 1) != end or not data.startswith(b"data: ", line + 1):
            return None
        return (
            Frame(data[line + 7 : end], data[7:line], data)
            if data.startswith(b"event: ")
            else None
        )

    def plain(self, data: bytes) -> list[bytes] | None:
        """What each frame says, where ``data`` is nothing but whole frames of one ``data`` line each; else None.

        So come the pieces of a stream that is quicker than its reader. After None, ``feed`` takes the same bytes.
        """
        if self._buffer or _CR in data or data[:6] != b"data: " or data[-2:] != b"\n\n":
            return None
        told = data[6:-2].split(b"\n\ndata: ")
        if data.count(b"\n") != 2 * len(told):
            return None
        self._started = True
        return told

    def close(self) -> list[Frame]:
        """The frame that was still open at the end of the bytes, if it says anything."""
        rest, self._buffer, self._scanned = self._buffer, b"", 0
        if not rest.strip():
            return []
        return [parse_frame(rest)]


def _cut(buffer: bytes, search: int, frames: list[Frame]) -> int:
    """Cuts frames of LF lines alone, and gives where the rest begins.

    No blank line stands before ``search``. The two shapes that nearly every provider sends are
    told by their first line, which costs a third of looking at each line.
    """
    if search and buffer.find(b"\n\n", search) < 0:
        return 0
    pieces = buffer.split(b"\n\n")
    rest = pieces.pop()
    for piece in pieces:
        if piece[:6] == b"data: " and _LF not in piece:
            frames.append(Frame(piece[6:], None, piece + b"\n\n"))
        else:
            frames.append(_named(piece))
    return len(buffer) - len(rest)


def _named(piece: bytes) -> Frame:
    """The frame of LF lines that ``piece`` is but for its blank line, most likely one with a name."""
    name, _, data = piece.partition(b"\n")
    if name[:7] == b"event: " and data[:6] == b"data: " and _LF not in data:
        return Frame(data[6:], name[7:], piece + b"\n\n")
    return parse_frame(piece + b"\n\n")


def parse_frame(raw: bytes) -> Frame:
    """One frame from its own bytes, blank line included."""
    if raw.startswith(b"data: ") and raw.find(b"\n") == len(raw) - 2 and _CR not in raw:
        return Frame(raw[6:-2], None, raw)
    data: list[bytes] = []
    event: bytes | None = None
    lines = _LINE_END.split(raw) if _CR in raw else raw.split(b"\n")
    for line in lines:
        name, _, value = line.partition(b":")
        if name == b"data":
            data.append(value.removeprefix(b" "))
        elif name == b"event":
            event = value.removeprefix(b" ")
    return Frame(b"\n".join(data), event, raw)


def with_blank_line(raw: bytes) -> bytes:
    """Last frames with the blank line that they lacked (P4); of none, none."""
    if not raw or raw.endswith((b"\n\n", b"\r\n\r\n", b"\r\r")):
        return raw
    return raw + (b"\n" if raw.endswith(b"\n") else b"\n\n")
