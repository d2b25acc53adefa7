"""The caller's side of a recording: its head once it is there, then its pieces, live or at once.

A caller that leaves leaves the recording alone. Where the server shuts down, the recording is ended,
and its last frame says so to all who follow it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from dragoman.core.call import Answer, Call
from dragoman.reuse.recording import Recording
from dragoman.reuse.refusals import no_stream, still_under_way
from dragoman.reuse.transcript import tell


async def follow(
    recording: Recording, call: Call, *, is_first: bool, after: int = 0, wait_s: float | None
) -> Answer:
    """The answer that the recording holds, from behind so many of its pieces.

    Args:
        recording: somebody makes it.
        call: whose answer it becomes as well.
        is_first: whether it is made for this very call.
        after: the events that the caller has.
        wait_s: how long to wait for its head, or for the whole of it where it has no pieces.

    Raises:
        GatewayError: there is no answer, or none in time.
    """
    reader = recording.enter(after)
    pieces: AsyncGenerator[bytes, None] | None = None
    try:
        await _headed(recording, call, None if is_first else wait_s)
        if recording.failure is not None:
            if is_first and recording.call is not None:
                _share_attempts(recording.call, call)
            raise recording.failure
        head = recording.head
        assert head is not None, "it has a head or a failure"
        _share(recording, call, is_first=is_first and not recording.is_replay)
        if head.body is not None:
            call.outcome.status = "complete"
            return Answer(head)
        if not recording.has(after):
            raise no_stream(call.id if recording.origin is None else recording.origin.call_id)
        pieces = _pieces(recording, reader, call, is_first=is_first)
        # Begun here, so that the reader leaves even if nobody ever asks for a piece.
        await anext(pieces)
        return Answer(head, pieces)
    finally:
        # What is made for this call has its row, now or later.
        is_made = is_first and not recording.is_over
        call.outcome.accounted = is_made or recording.begun or recording.is_replay
        if pieces is None:
            _leave(recording, reader, call, is_first=is_first)


async def _headed(recording: Recording, call: Call, wait_s: float | None) -> None:
    """Returns once there is a head or a failure."""
    now = asyncio.get_running_loop().time
    until = None if wait_s is None else now() + wait_s
    while recording.head is None and not recording.is_over:
        left_s = None if until is None else until - now()
        if left_s is not None and left_s <= 0:
            raise still_under_way(wait_s or 0)
        await _change(recording, call, left_s)


async def _change(recording: Recording, call: Call, left_s: float | None = None) -> None:
    try:
        await recording.change(left_s)
    except asyncio.CancelledError:
        if call.gone:
            raise
        # The server shuts down and its patience is over (R2): the recording's last words say so.
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        recording.stop(gone=False)


def _share(recording: Recording, call: Call, *, is_first: bool) -> None:
    """Has the outcome of a call say what that of the recording says."""
    origin, told = recording.origin, recording.told
    assert origin is not None, "it comes with the head"
    assert told is not None, "it comes with the head"
    tell(call.outcome, origin, told)
    if is_first and recording.call is not None:
        call.outcome.origin = None
        _share_attempts(recording.call, call)


def _share_attempts(made: Call, call: Call) -> None:
    """What was tried belongs to the call for which it was; headers, metrics and the log tell it there."""
    call.outcome.attempts = made.outcome.attempts
    call.outcome.label_model = made.outcome.label_model
    call.outcome.requested_model = made.outcome.requested_model


async def _pieces(
    recording: Recording, reader: int, call: Call, *, is_first: bool
) -> AsyncGenerator[bytes, None]:
    """Nothing, to begin with, then what the reader does not have, up to the end."""
    try:
        yield b""
        while True:
            piece = recording.take(reader)
            if piece:
                yield piece
            elif recording.is_over:
                break
            else:
                await _change(recording, call)
        made = recording.call
        if made is None or recording.is_replay:
            call.outcome.status = "complete"
        else:
            call.outcome.status = made.outcome.status
            call.outcome.error_code = made.outcome.error_code
    finally:
        _leave(recording, reader, call, is_first=is_first)


def _leave(recording: Recording, reader: int, call: Call, *, is_first: bool) -> None:
    if is_first and not recording.is_over:
        # What its attempts come to is not known yet, and is counted at their end.
        recording.is_orphan = True
        call.outcome.attempts = []
    recording.leave(reader)
