"""Looks into a stream of Responses: the frames that hold the response are the ones that matter.

The first ones say what the caller asked for, the last one is the finished response. All others
pass as they are, unread.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec
from msgspec import Raw, Struct

from dragoman.dialects.framing.sse import Frame, SseFrames
from dragoman.keeping.reply import tell

LAST = frozenset({"response.completed", "response.incomplete", "response.failed"})
_FIRST = frozenset({"response.created", "response.in_progress", "response.queued"})
_WORDS = tuple(name.encode() for name in sorted(LAST | _FIRST))
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])


class Told(Struct, frozen=True):
    """A frame with the response as it is so far; the last one has all of it."""

    is_last: bool
    reply: bytes
    frame: Frame
    members: dict[str, Raw]

    def write(self, said: Mapping[str, object]) -> bytes:
        """The frame, with these members in the response."""
        return _write(self.frame, self.members, said)


Seen: TypeAlias = bytes | Told


class Tap:
    """Takes the pieces of a stream; one for each."""

    __slots__ = ("_frames", "_open")

    def __init__(self) -> None:
        self._frames = SseFrames()
        self._open = 0
        """Bytes of a frame whose end is still to come."""

    def feed(self, piece: bytes) -> list[Seen]:
        """The frames of a piece, in order; unread as one where none of them matters."""
        if not self._open and not any(word in piece for word in _WORDS):
            return [piece]
        frames = self._frames.feed(piece)
        self._open += len(piece) - sum(len(frame.raw) for frame in frames)
        return [_seen(frame) for frame in frames]

    def close(self) -> list[Seen]:
        """What was still open at the end."""
        return [_seen(frame) for frame in self._frames.close()] if self._open else []


def _seen(frame: Frame) -> Seen:
    if not any(word in frame.raw for word in _WORDS):
        return frame.raw
    try:
        members = _MEMBERS.decode(frame.data)
        name = msgspec.json.decode(members.get("type", b"null"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return frame.raw
    reply = members.get("response")
    if reply is None or not isinstance(name, str) or name not in _FIRST | LAST:
        return frame.raw
    return Told(name in LAST, bytes(reply), frame, members)


def _write(frame: Frame, members: dict[str, Raw], said: Mapping[str, object]) -> bytes:
    if not said:
        return frame.raw
    told = {**members, "response": Raw(tell(bytes(members["response"]), dict(said)))}
    name = b"" if frame.event is None else b"event: " + frame.event + b"\n"
    return name + b"data: " + msgspec.json.encode(told) + b"\n\n"
