"""From an answer to what happens on the connection: bytes, pauses, and how it ends.

A pure step: every fault of a script is already in the ``Play``, so that the connection has
nothing left to decide and a test can read what would be sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Literal, TypeAlias

from msgspec import Struct

from dragoman.mock.reply import Frame, Reply
from dragoman.mock.script import Script

__all__ = ["HANG", "Pace", "Play", "Step", "stage"]

Ending: TypeAlias = Literal["keep", "close", "reset", "hang"]

_BODIES = {
    "empty": b"",
    "garbage": b"\x00\xff{]<<<not json, not a stream>>>\r\r\n\xfe",
    "html": b"<html><head><title>502 Bad Gateway</title></head><body>mock</body></html>",
}
_TO_ARRIVE_S = 0.02
"""A reset overtakes what was sent just before it; this long is given to the bytes."""


class Pace(Struct, frozen=True, gc=False):
    """Seconds before the head, for a token, and between frames if that is fixed."""

    first_s: float = 0.0
    token_s: float = 0.0
    between_s: float | None = None


class Step(Struct, frozen=True, gc=False):
    """After ``delay_s``, ``data`` is written; ``output`` is how many tokens it holds."""

    delay_s: float
    data: bytes
    output: int = 0


class Play(Struct, frozen=True):
    """What a connection does for one request."""

    steps: tuple[Step, ...]
    ending: Ending
    whole: bool = True
    """Whether the answer comes to its own end."""
    at_once: bool = False
    """No step waits and nothing hangs: one write does it."""


HANG = Play(steps=(), ending="hang", whole=False)


def stage(
    reply: Reply, script: Script, pace: Pace, *, keep_alive: bool, error_frame: bytes = b""
) -> Play:
    """The play for ``reply`` under ``script``."""
    if script.hang:
        return HANG
    if script.drop is not None:
        return Play((Step(pace.first_s, b""),), script.drop, whole=False)
    frames, ending, whole = _faulty(reply, script, error_frame, "keep" if keep_alive else "close")
    length = sum(len(data) for data, _ in frames)
    framed = ending != "hang"
    if script.cut is not None and script.cut < length:
        frames = _cut(frames, script.cut)
        whole = False
        if script.cut_mode == "end":
            length = script.cut
        else:
            ending, framed = script.cut_mode, False
    if script.content_length and not reply.streamed:
        length = max(0, length + script.content_length)
        ending, whole = "close", False
    head = _head(reply, length, close=ending != "keep")
    steps = _paced(reply, head, frames, pace)
    if reply.streamed and framed:
        steps.append(Step(0.0, b"0\r\n\r\n"))
    if ending == "reset":
        steps.append(Step(_TO_ARRIVE_S, b""))
    waits = ending == "hang" or any(step.delay_s for step in steps)
    return Play(tuple(steps), ending, whole=whole, at_once=not waits)


def _faulty(
    reply: Reply, script: Script, error_frame: bytes, ending: Ending
) -> tuple[list[Frame], Ending, bool]:
    """The frames that are left, how the connection ends, and whether that is the answer's end."""
    frames = list(reply.frames)
    whole = True
    if script.body is not None:
        literal = script.body.encode("utf-8", "surrogateescape")
        frames = [(_BODIES.get(script.body, literal), 0)]
    if script.error_after is not None and reply.streamed:
        frames = [*frames[: script.error_after], (error_frame, 0)]
        whole = False
    if script.hang_after is not None:
        frames, ending, whole = frames[: script.hang_after], "hang", False
    if script.slice is not None:
        frames = _sliced(frames, script.slice)
    return frames, ending, whole


def _sliced(frames: list[Frame], size: int) -> list[Frame]:
    body = b"".join(data for data, _ in frames)
    cut: list[Frame] = [(body[at : at + size], 0) for at in range(0, len(body), size)]
    if cut:
        cut[-1] = (cut[-1][0], sum(weight for _, weight in frames))
    return cut


def _cut(frames: Iterable[Frame], limit: int) -> list[Frame]:
    kept: list[Frame] = []
    for data, weight in frames:
        if len(data) > limit:
            kept.append((data[:limit], 0))
            break
        kept.append((data, weight))
        limit -= len(data)
    return [frame for frame in kept if frame[0]]


def _paced(reply: Reply, head: bytes, frames: list[Frame], pace: Pace) -> list[Step]:
    if not reply.streamed:
        spent = sum(weight for _, weight in frames)
        data = b"".join(data for data, _ in frames)
        return [Step(pace.first_s + spent * pace.token_s, head + data, spent)]
    if not pace.token_s and not pace.between_s:
        data = b"".join([_chunk(data) for data, _ in frames])
        return [Step(pace.first_s, head + data, sum(weight for _, weight in frames))]
    steps = [Step(pace.first_s, head)]
    for place, (data, weight) in enumerate(frames):
        pause = weight * pace.token_s if pace.between_s is None else pace.between_s
        steps.append(Step(pause if place else 0.0, _chunk(data), weight))
    return steps


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


_REASONS = {status.value: status.phrase for status in HTTPStatus}


def _head(reply: Reply, length: int, *, close: bool) -> bytes:
    framing = "transfer-encoding: chunked" if reply.streamed else f"content-length: {length}"
    more = "".join(f"{name}: {value}\r\n" for name, value in reply.headers)
    ending = "connection: close\r\n" if close else ""
    status = f"{reply.status} {_REASONS.get(reply.status, 'Mock')}"
    return (
        f"HTTP/1.1 {status}\r\nserver: dragoman-mock\r\ncontent-type: {reply.content_type}\r\n"
        f"{framing}\r\n{more}{ending}\r\n"
    ).encode("latin-1")
