"""A finished answer, as it is kept and given again: its head, its bytes, and what its headers said."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from dragoman.core.call import Call, Head, Origin, Outcome
from dragoman.core.loss import Loss


class Told(Struct, frozen=True):
    """What of an outcome stands in headers, beside who answered."""

    requested_model: str
    losses: tuple[Loss, ...]
    adjusted: tuple[str, ...]
    estimated: bool
    stream: bool
    label_model: str


class Transcript(Struct, frozen=True):
    """The whole of it; ``pieces`` are the frames of a stream, or the one body of a whole reply."""

    origin: Origin
    told: Told
    status: int
    content_type: str
    streamed: bool
    pieces: tuple[bytes, ...]
    made: float
    """Unix seconds."""
    numbered: bool = False
    """Whether the pieces are events with ids."""

    @property
    def size(self) -> int:
        """Bytes of the answer."""
        return sum(map(len, self.pieces))

    def __repr__(self) -> str:
        return f"Transcript({self.origin.call_id}, {self.size} bytes)"


_decoder = msgspec.msgpack.Decoder(Transcript)


def write_transcript(transcript: Transcript) -> bytes:
    """The transcript as bytes, to be sealed."""
    return msgspec.msgpack.encode(transcript)


def read_transcript(data: bytes) -> Transcript:
    """The transcript that was written.

    Raises:
        msgspec.MsgspecError: it is none.
    """
    return _decoder.decode(data)


def origin_of(call: Call) -> Origin:
    """Who has answered a call, for those who get the same answer."""
    attempts = call.outcome.attempts
    if not attempts:
        return Origin(call.id)
    first, last = attempts[0], attempts[-1]
    return Origin(
        call.id,
        last.provider,
        last.model,
        len(attempts),
        (first.provider, first.model) != (last.provider, last.model),
        last.upstream_request,
    )


def told_of(outcome: Outcome) -> Told:
    """What the headers of an answer say."""
    return Told(
        outcome.requested_model,
        outcome.losses,
        outcome.adjusted,
        outcome.estimated,
        outcome.stream,
        outcome.label_model,
    )


def transcript_of(
    call: Call, head: Head, pieces: list[bytes], made: float, *, numbered: bool = False
) -> Transcript:
    """The answer to a call, at its end."""
    return Transcript(
        origin_of(call),
        told_of(call.outcome),
        head.status,
        head.content_type,
        head.body is None,
        tuple(pieces),
        made,
        numbered,
    )


def tell(outcome: Outcome, origin: Origin, told: Told) -> None:
    """Has an outcome say what that of the first call has said."""
    outcome.origin = origin
    outcome.requested_model = told.requested_model
    outcome.losses = told.losses
    outcome.adjusted = told.adjusted
    outcome.estimated = told.estimated
    outcome.stream = told.stream
    outcome.label_model = told.label_model


def head_of(kept: Transcript) -> Head:
    """The head of an answer that is kept; of a whole one the body as well."""
    body = None if kept.streamed else b"".join(kept.pieces)
    return Head(kept.status, kept.content_type, body)
