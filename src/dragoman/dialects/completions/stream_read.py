"""A provider's chunks → events: a text for each choice, and why it ended."""

from __future__ import annotations

from dragoman.core.errors import UpstreamError
from dragoman.core.events import (
    End,
    Event,
    Failure,
    Finished,
    LogprobNote,
    PartDelta,
    PartStart,
    PartStop,
    Start,
    UsageNote,
)
from dragoman.core.parts import Text
from dragoman.dialects.base import Target, Undo
from dragoman.dialects.completions import wire
from dragoman.dialects.completions.errors import Errors, broken_finish
from dragoman.dialects.completions.logprobs import read_logprobs
from dragoman.dialects.completions.wire import ChoiceWire, ReplyWire
from dragoman.dialects.framing.sse import Frame, SseFrames
from dragoman.dialects.openai_errors import truncated


class CompletionsStreamReader:
    """A ``StreamReader`` of this dialect."""

    __slots__ = ("_ended", "_errors", "_finished", "_frames", "_open", "_started", "_target")

    def __init__(self, errors: Errors, target: Target, undo: Undo) -> None:
        del undo
        self._errors = errors
        self._target = target
        self._frames = SseFrames()
        self._started = False
        self._ended = False
        self._open: set[int] = set()
        """Choices whose text has begun and not ended."""
        self._finished: dict[int, bool] = {}

    def feed(self, data: bytes) -> list[Event]:
        """Events that ``data`` completes."""
        if self._ended:
            return []
        try:
            frames = self._frames.feed(data)
        except UpstreamError as error:
            return self._fail([], error)
        return self._read(frames)

    def close(self) -> list[Event]:
        """The end of the bytes: regular where every choice has finished, ``[DONE]`` or not (P6, P14)."""
        if self._ended:
            return []
        events: list[Event] = []
        for frame in self._frames.close():
            if wire.decode_reply(frame.data) is not None or frame.data == b"[DONE]":
                events += self._read([frame])
        over = bool(events) and isinstance(events[-1], End | Failure)
        return events if over else self._end(events)

    def _read(self, frames: list[Frame]) -> list[Event]:
        events: list[Event] = []
        for frame in frames:
            if not frame.data:
                continue
            if frame.data == b"[DONE]":
                return self._end(events)
            try:
                self._chunk(self._errors.open(frame.data), events)
            except UpstreamError as error:
                return self._fail(events, error)
        return events

    def _fail(self, events: list[Event], error: UpstreamError) -> list[Event]:
        self._ended = True
        events.append(Failure(error))
        return events

    def _end(self, events: list[Event]) -> list[Event]:
        if not self._finished or not all(self._finished.values()):
            return self._fail(events, truncated())
        self._ended = True
        events.append(End())
        return events

    def _chunk(self, chunk: ReplyWire, events: list[Event]) -> None:
        if not self._started:
            self._started = True
            events.append(
                Start(
                    id=chunk.id or "",
                    model=chunk.model or self._target.model,
                    created=None if chunk.created is None else int(chunk.created),
                    system_fingerprint=chunk.system_fingerprint or None,
                )
            )
        for place, choice in enumerate(chunk.choices or ()):
            self._choice(choice, place if choice.index is None else choice.index, events)
        usage = wire.read_usage(chunk.usage)
        if usage is not None:
            events.append(UsageNote(usage))

    def _choice(self, choice: ChoiceWire, index: int, events: list[Event]) -> None:
        if self._finished.setdefault(index, False):
            return
        if choice.text:
            if index not in self._open:
                self._open.add(index)
                events.append(PartStart(0, Text(""), index))
            events.append(PartDelta(0, choice.text, choice=index))
        logprobs = read_logprobs(choice.logprobs)
        if logprobs is not None:
            events.append(LogprobNote(logprobs, index))
        if choice.finish_reason:
            finish = wire.read_finish(choice.finish_reason)
            if finish.reason in wire.BROKEN:
                raise broken_finish(finish.reason)
            if index in self._open:
                self._open.remove(index)
                events.append(PartStop(0, index))
            events.append(Finished(finish, index))
            self._finished[index] = True
