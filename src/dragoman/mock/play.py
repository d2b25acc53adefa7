"""From an answer to what happens on the connection: bytes, pauses, and how it ends.

A pure step: every fault of a script is already in the ``Play``, so that the connection has
nothing left to decide and a test can read what would be sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
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
_USAGE = re.compile(rb'"usage(?:Metadata)?":\{|"(?:prompt_)?eval_count":')
"""What the frames have that tell of usage, in any dialect."""
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
    tells: bool = False
    """Whether the last word on the answer's usage ends in it."""


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
    # Behind the end nobody has to hear it.
    told_at = None if script.usage_told == "behind" else _told_at(frames)
    if script.slice is not None:
        frames = _sliced(frames, script.slice)
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
    pause = script.usage_delay and script.usage_delay / 1000
    steps = _paced(reply, head, frames, pace, told_at, pause)
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
    if script.usage_told == "twice" and reply.streamed and (place := _telling(frames)) is not None:
        # The last element of an array closes it, and is then not the last.
        frames.insert(place, (frames[place][0].removesuffix(b"]"), 0))
    if script.hang_after is not None:
        frames, ending, whole = frames[: script.hang_after], "hang", False
    return frames, ending, whole


def _telling(frames: Sequence[Frame]) -> int | None:
    """The place of the last frame that tells of usage."""
    return next(
        (place for place in reversed(range(len(frames))) if _USAGE.search(frames[place][0])), None
    )


def _told_at(frames: Sequence[Frame]) -> int | None:
    """How many bytes of the body have to go out for the last word on usage to be out."""
    place = _telling(frames)
    return None if place is None else sum(len(data) for data, _ in frames[: place + 1])


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


def _paced(
    reply: Reply,
    head: bytes,
    frames: list[Frame],
    pace: Pace,
    told_at: int | None,
    before_usage_s: float | None,
) -> list[Step]:
    size = sum(len(data) for data, _ in frames)
    spent = sum(weight for _, weight in frames)
    told = told_at is not None and told_at <= size
    if not reply.streamed:
        data = b"".join(data for data, _ in frames)
        return [Step(pace.first_s + spent * pace.token_s, head + data, spent, told)]
    if not (pace.token_s or pace.between_s or before_usage_s):
        data = b"".join([_chunk(data) for data, _ in frames])
        return [Step(pace.first_s, head + data, spent, told)]
    steps = [Step(pace.first_s, head)]
    size = 0
    for place, (data, weight) in enumerate(frames):
        pause = weight * pace.token_s if pace.between_s is None else pace.between_s
        begin, size = size, size + len(data)
        tells = told_at is not None and begin < told_at <= size
        if tells and before_usage_s:
            pause = before_usage_s
        steps.append(Step(pause if place else 0.0, _chunk(data), weight, tells))
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
