"""Every event of a recorded stream has an id: its call's, and its number in the stream.

A client's ``Last-Event-ID`` then says exactly what it has. Nothing else of an event changes: the
line stands before the provider's own bytes, and a provider's ids give way to it.
"""

from __future__ import annotations

import re

from dragoman.dialects.framing.sse import SseFrames, with_blank_line

SSE = "text/event-stream"
_THEIR_IDS = re.compile(rb"(?m)^id(?::[^\r\n]*)?(?:\r\n|\n|\r)")


class EventIds:
    """Numbers the events of one stream."""

    __slots__ = ("_call_id", "_number")

    def __init__(self, call_id: str) -> None:
        self._call_id = call_id.encode()
        self._number = 0

    def number(self, piece: bytes) -> list[bytes]:
        """The events of a piece, each with its id. A piece is made of whole frames (D1)."""
        frames = SseFrames()
        found = [*frames.feed(piece), *frames.close()]
        return [self._numbered(with_blank_line(frame.raw)) for frame in found]

    def _numbered(self, raw: bytes) -> bytes:
        self._number += 1
        if b"id" in raw:
            raw = _THEIR_IDS.sub(b"", raw)
        return b"id: %b:%d\n%b" % (self._call_id, self._number, raw)
