"""The chunks of a stream, from SSE or from a JSON array, and their way to the caller in either.

The official client knows ``data: `` with its space and nothing else: no comment, no event name,
no ``[DONE]`` (P6, P8). Errors may stand between the frames as bare JSON.
"""

from __future__ import annotations

from msgspec import Struct

from dragoman.dialects.framing.json_array import ArrayElements
from dragoman.dialects.framing.sse import Frame, SseFrames

_WHITE = b" \t\r\n\xef\xbb\xbf"
END = b"\r\n\r\n"


class Chunk(Struct, frozen=True, gc=False):
    """One reply object: its JSON, and the frame it came in if that may go on as it is."""

    data: bytes
    raw: bytes | None = None


class Chunks:
    """Cuts a provider's bytes into chunks, by whichever framing the first byte shows."""

    __slots__ = ("_array", "_head", "_sse")

    def __init__(self) -> None:
        self._sse = SseFrames()
        self._array: ArrayElements | None = None
        self._head: bytes | None = b""

    def feed(self, data: bytes) -> list[Chunk]:
        """The chunks that ``data`` completes."""
        if self._head is not None:
            data = self._head + data
            start = data.lstrip(_WHITE)[:1]
            if not start:
                self._head = data
                return []
            self._head = None
            if start in b"[{":
                self._array = ArrayElements()
        if self._array is not None:
            return [Chunk(element) for element in self._array.feed(data)]
        return _chunks(self._sse.feed(data))

    def close(self) -> list[Chunk]:
        """The frame that lacked its blank line (P4)."""
        return [] if self._array is not None else _chunks(self._sse.close())


def _chunks(frames: list[Frame]) -> list[Chunk]:
    chunks: list[Chunk] = []
    for frame in frames:
        data = frame.data
        if not data:
            # A bare error between the frames, printed over several lines.
            bare = frame.raw.strip()
            if bare[:1] in {b"{", b"["}:
                chunks.append(Chunk(bare))
        elif data.strip() != b"[DONE]":
            plain = frame.event is None and frame.raw.startswith(b"data: ") and b"\n" not in data
            tidy = plain and frame.raw.endswith((b"\n\n", END)) and frame.raw.count(b"data:") >= 1
            lines = frame.raw.strip().count(b"\n") + frame.raw.strip().count(b"\r")
            chunks.append(Chunk(data, frame.raw if tidy and not lines else None))
    return chunks


class Frames:
    """Chunks → the caller's bytes, as SSE or as one array (P10)."""

    __slots__ = ("_array", "_begun")

    def __init__(self, *, array: bool) -> None:
        self._array = array
        self._begun = False

    def write(self, data: bytes, raw: bytes | None = None) -> bytes:
        """One chunk; ``data`` is JSON on one line."""
        if not self._array:
            return raw if raw is not None else b"data: " + data + END
        before = b",\r\n" if self._begun else b"["
        self._begun = True
        return before + data

    def end(self) -> bytes:
        """What closes the stream."""
        if not self._array:
            return b""
        return b"]" if self._begun else b"[]"
