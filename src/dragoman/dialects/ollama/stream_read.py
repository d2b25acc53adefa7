"""A provider's lines → events, however its bytes are cut (`dialects.md` §1.5).

Text and thinking come in pieces, tool calls whole. The line that says ``done`` is the last one
that is read; an end without it is a cut (P14).
"""

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
from dragoman.core.parts import Part, Text, Thinking, ToolCall
from dragoman.dialects.base import Target, Undo
from dragoman.dialects.broken import told_the_end, truncated
from dragoman.dialects.framing.ndjson import NdjsonLines
from dragoman.dialects.ollama import reply
from dragoman.dialects.ollama.reply import Line
from dragoman.dialects.ollama.wire import DIALECT, NULL


class OllamaStreamReader:
    """A ``StreamReader`` of both of Ollama's shapes."""

    __slots__ = ("_calls", "_ended", "_lines", "_open", "_parts", "_seed", "_target", "_undo")

    def __init__(self, target: Target, undo: Undo) -> None:
        self._target = target
        self._undo = undo
        self._lines = NdjsonLines()
        self._ended = False
        self._seed: str | None = None
        """The first line's time, which ids of calls hang on; None before it has come."""
        self._parts = 0
        self._open: str | None = None
        """The kind of the part that is open."""
        self._calls = 0

    def feed(self, data: bytes) -> list[Event]:
        """Events that ``data`` completes."""
        if self._ended:
            return []
        try:
            lines = self._lines.feed(data)
        except UpstreamError as error:
            return self._fail([], error)
        return self._read(lines)

    def close(self) -> list[Event]:
        """The end of the bytes: too early, unless a line has said ``done`` (P4, P14)."""
        if self._ended:
            return []
        events = self._read(self._lines.close())
        return events if told_the_end(events) else self._fail(events, truncated())

    def _read(self, lines: list[bytes]) -> list[Event]:
        events: list[Event] = []
        for data in lines:
            if self._ended:
                break
            try:
                self._line(reply.read_line(data), events)
            except UpstreamError as error:
                return self._fail(events, error)
        return events

    def _fail(self, events: list[Event], error: UpstreamError) -> list[Event]:
        self._ended = True
        events.append(Failure(error))
        return events

    def _line(self, line: Line, events: list[Event]) -> None:
        if self._seed is None:
            self._seed = line.created_at or ""
            created = reply.unix_seconds(line.created_at)
            events.append(Start(model=line.model or self._target.model, created=created))
        said = line.said
        if said.thinking:
            self._words("thinking", Thinking(family=DIALECT), said.thinking, events)
        if said.content:
            self._words("text", Text(""), said.content, events)
        for call in said.tool_calls or ():
            self._stop(events)
            part = reply.read_call(call, self._calls, self._seed, self._undo)
            self._calls += 1
            self._whole(part, events)
        if line.logprobs is not NULL:
            told = reply.read_logprobs(line.logprobs)
            if told is not None:
                events.append(LogprobNote(told))
        if line.done:
            self._done(line, events)

    def _words(self, kind: str, head: Part, words: str, events: list[Event]) -> None:
        if self._open != kind:
            self._stop(events)
            events.append(PartStart(self._parts, head))
            self._open = kind
        events.append(PartDelta(self._parts, words))

    def _whole(self, part: Part, events: list[Event]) -> None:
        number = self._parts
        self._parts += 1
        if isinstance(part, ToolCall):
            # In one piece, as it came: some clients want a call's name beside its arguments.
            head = ToolCall(part.id, part.name, part.arguments, kind=part.kind)
            events += [PartStart(number, head), PartStop(number)]

    def _stop(self, events: list[Event]) -> None:
        if self._open is not None:
            events.append(PartStop(self._parts))
            self._parts += 1
            self._open = None

    def _done(self, line: Line, events: list[Event]) -> None:
        self._stop(events)
        finish = reply.read_finish(line, has_calls=self._calls > 0)
        events.append(Finished(finish, ext=reply.read_extra(line)))
        events.append(UsageNote(reply.read_usage(line)))
        events.append(End())
        self._ended = True
