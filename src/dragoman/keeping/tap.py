"""Looks into a stream of Responses: the frames that hold the response are the ones that matter.

The first ones say what the caller asked for, the last one is the finished response. Those with
which an item begins tell its id. All others pass as they are, unread.
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
_ITEM = "response.output_item.added"
_WORDS = tuple(name.encode() for name in sorted(LAST | _FIRST | {_ITEM}))
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


class Begun(Struct, frozen=True):
    """A frame with which an item begins."""

    raw: bytes
    item: bytes


Seen: TypeAlias = bytes | Told | Begun


def look(piece: bytes) -> list[Seen]:
    """The frames of a piece, in order; unread as one where none of them matters.

    A piece is made of whole frames, as all are that reach a caller (D1).
    """
    if not any(word in piece for word in _WORDS):
        return [piece]
    frames = SseFrames()
    return [_seen(frame) for frame in (*frames.feed(piece), *frames.close())]


def _seen(frame: Frame) -> Seen:
    if not any(word in frame.raw for word in _WORDS):
        return frame.raw
    try:
        members = _MEMBERS.decode(frame.data)
        name = msgspec.json.decode(members.get("type", b"null"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return frame.raw
    if name == _ITEM:
        return Begun(frame.raw, bytes(members.get("item", b"null")))
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
