"""One dialect's stream to another's: a reader's events into a writer.

Stands between the dialects and whoever drives a stream, so that a translated stream and a
relayed one look alike (``base.Relay``).
"""

from __future__ import annotations

from msgspec.structs import replace

from dragoman.core.errors import GatewayError, UpstreamError
from dragoman.core.events import (
    Cited,
    End,
    Failure,
    Finished,
    LogprobNote,
    PartDelta,
    PartStart,
    PartStop,
    Start,
    UsageNote,
)
from dragoman.core.events import Event as _Event
from dragoman.core.parts import Part, Refusal, Text, Thinking
from dragoman.core.usage import in_tier, merge
from dragoman.dialects.base import Facts, StreamReader, StreamWriter


class Translation:
    """A ``Relay`` across two dialects."""

    __slots__ = ("_reader", "_tier", "_writer", "facts")

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._tier: str | None = None
        """How the provider says that it serves, where that has prices of its own."""
        self.facts = Facts()

    def feed(self, data: bytes) -> bytes:
        """The caller's frames that the provider's bytes make due."""
        return self._write(self._reader.feed(data))

    def close(self) -> bytes:
        """What was still due at the end of the provider's bytes."""
        return self._write(self._reader.close())

    def fail(self, error: GatewayError) -> bytes:
        """The caller's terminal error frame."""
        return self._writer.send(Failure(error))

    def _write(self, events: list[_Event]) -> bytes:
        facts, send = self.facts, self._writer.send
        pieces: list[bytes] = []
        for event in events:
            if isinstance(event, PartDelta):  # as nearly all are
                facts.content = True
                if written := send(event):
                    pieces.append(written)
                continue
            if isinstance(event, Failure):
                error = event.error
                facts.error = (
                    error
                    if isinstance(error, UpstreamError)
                    else UpstreamError(error.kind, error.message, code=error.code)
                )
                break
            if isinstance(event, Start | UsageNote):
                event = self._in_tier(event)  # noqa: PLW2901  the writer tells its cost
            self._note(event)
            if written := send(event):
                pieces.append(written)
        lost = self._writer.losses
        if len(lost) > len(facts.losses):
            facts.losses = tuple(lost)
        return b"".join(pieces) if len(pieces) != 1 else pieces[0]

    def _in_tier(self, event: Start | UsageNote) -> Start | UsageNote:
        """Usage in the tier that the stream has told at its start."""
        if isinstance(event, Start):
            self._tier = event.service_tier
        usage = event.usage
        if usage is not None and usage.tier is not None:
            self._tier = usage.tier  # said more exactly
        if usage is None or self._tier is None:
            return event
        told = in_tier(usage, self._tier)
        return event if told is usage else replace(event, usage=told)

    def _note(self, event: _Event) -> None:
        facts = self.facts
        match event:
            case PartDelta() | PartStop() | Cited() | LogprobNote():
                facts.content = True
            case PartStart():
                facts.content = facts.content or not _blank(event.head)
            case UsageNote():
                facts.usage = merge(facts.usage, event.usage)
            case Start():
                facts.id = event.id or facts.id
                facts.model = event.model or facts.model
                if event.usage is not None:
                    facts.usage = merge(facts.usage, event.usage)
            case Finished():
                facts.finish = facts.finish or event.finish
                facts.finished = True
                facts.content = True
            case End():
                facts.over = True
            case _:
                pass


def _blank(head: Part) -> bool:
    """Whether a part has opened in which nothing stands yet: another provider may still answer."""
    match head:
        case Text() | Refusal():
            return not head.text
        case Thinking():
            return not (head.text or head.signature or head.encrypted)
        case _:
            return False
