"""A provider's stream → events, however its bytes are cut (`dialects.md` §1.3).

Blocks come one after another, numbered by the provider; parts are numbered here, in the order
in which they begin. After ``message_stop`` or an error nothing is read any more.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Raw, Struct

from dragoman.core.errors import UpstreamError
from dragoman.core.events import (
    End,
    Event,
    Failure,
    Finished,
    PartDelta,
    Ping,
    Start,
    UsageNote,
)
from dragoman.dialects.anthropic import wire
from dragoman.dialects.anthropic.error import read_stream_error
from dragoman.dialects.anthropic.finish import read_finish
from dragoman.dialects.anthropic.open_block import Delta, OpenBlock
from dragoman.dialects.anthropic.regular import TIER_READ
from dragoman.dialects.anthropic.usage import read_usage, served_in
from dragoman.dialects.anthropic.wire import DIALECT, WireError, encode
from dragoman.dialects.base import Target, Undo
from dragoman.dialects.broken import not_understood, told_the_end, truncated
from dragoman.dialects.framing.sse import Frame, SseFrames
from dragoman.dialects.halves import loads_leniently, without_surrogates


class _Message(Struct, frozen=True):
    id: str | None = None
    model: str | None = None
    usage: wire.WireUsage | None = None


class _Event(Struct, frozen=True):
    type: str | None = None
    index: int | None = None
    message: _Message | None = None
    content_block: Raw = wire.NULL
    delta: Delta | None = None
    usage: wire.WireUsage | None = None
    context_management: Raw = wire.NULL
    error: Raw = wire.NULL


_EVENT = msgspec.json.Decoder(_Event)


class _Words(Delta, frozen=True, kw_only=True):
    type: Literal["text_delta"]
    text: str


class _Piece(_Event, frozen=True, kw_only=True):
    """The delta that most of a stream is made of: a piece of text."""

    type: Literal["content_block_delta"]
    index: int
    delta: _Words


_read_piece = msgspec.json.Decoder(_Piece).decode

_IMPLIED = {
    "text_delta": Raw(b'{"type":"text","text":""}'),
    "thinking_delta": Raw(b'{"type":"thinking","thinking":""}'),
    "signature_delta": Raw(b'{"type":"thinking","thinking":""}'),
}
"""Blocks that a delta opens by itself, where a proxy lost their start (P96)."""


class AnthropicStreamReader:
    """A ``StreamReader`` of this dialect."""

    __slots__ = (
        "_delta",
        "_ended",
        "_extra",
        "_frames",
        "_has_calls",
        "_id",
        "_open",
        "_parts",
        "_start_usage",
        "_started",
        "_target",
        "_undo",
    )

    def __init__(self, target: Target, undo: Undo) -> None:
        self._target = target
        self._undo = undo
        self._frames = SseFrames()
        self._started = False
        self._ended = False
        self._id: str | None = None
        self._open: dict[int, OpenBlock] = {}
        self._parts = 0
        self._has_calls = False
        self._start_usage: wire.WireUsage | None = None
        self._delta = Delta()
        self._extra: dict[str, Raw] = {}

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
        """The end of the bytes: too early, unless ``message_stop`` was the last of them (P4, P14)."""
        if self._ended:
            return []
        events = self._read(self._frames.close())
        return events if told_the_end(events) else self._fail(events, truncated())

    def _read(self, frames: list[Frame]) -> list[Event]:
        events: list[Event] = []
        for frame in frames:
            if self._ended:
                break
            try:
                if frame.event != b"content_block_delta" or not self._piece(frame.data, events):
                    self._frame(frame, events)
            except WireError:
                return self._fail(events, not_understood("an event"))
            except UpstreamError as error:
                return self._fail(events, error)
        return events

    def _piece(self, data: bytes, events: list[Event]) -> bool:
        """Reads a piece of an open text; False: it is something else, and was not read."""
        try:
            piece = _read_piece(data)
        except wire.BAD_JSON:
            return False
        block = self._open.get(piece.index)
        if block is None or not block.is_text or block.half:
            return False
        text = piece.delta.text
        if text:
            events.append(PartDelta(block.number, text))
        return True

    def _fail(self, events: list[Event], error: UpstreamError) -> list[Event]:
        self._ended = True
        events.append(Failure(error))
        return events

    def _frame(self, frame: Frame, events: list[Event]) -> None:
        data = frame.data
        if not data or data == b"[DONE]":
            return
        if frame.event == b"error":
            raise read_stream_error(data)
        words: str | None = None
        try:
            event = _EVENT.decode(data)
        except wire.BAD_JSON:
            event, words = _leniently(data)
        match event.type or (frame.event or b"").decode("ascii", "replace"):
            case "content_block_delta":
                self._block_delta(event, words, events)
            case "content_block_start":
                self._close(event.index, events)
                self._block_start(event.index, event.content_block, events)
            case "content_block_stop":
                self._close(event.index, events)
            case "message_start":
                self._message_start(event, events)
            case "message_delta":
                self._message_delta(event, events)
            case "message_stop":
                self._message_stop(events)
            case "ping":
                if self._started:  # Before the start there is nobody to keep awake.
                    events.append(Ping())
            case "error":
                raise read_stream_error(data)
            case _:
                if not wire.is_null(event.error):
                    raise read_stream_error(data)

    def _message_start(self, event: _Event, events: list[Event]) -> None:
        """The start; a repeated one says nothing new, another message's only ends what is open (P19)."""
        message = event.message or _Message()
        if self._started:
            if message.id != self._id:
                self._id = message.id
                self._close_all(events)
            return
        self._begin(message, events)

    def _begin(self, message: _Message, events: list[Event]) -> None:
        self._started = True
        self._id = message.id
        self._start_usage = message.usage
        start = Start(
            id=message.id or "",
            model=message.model or self._target.model,
            usage=read_usage(message.usage),
            service_tier=TIER_READ.get(served_in(message.usage) or ""),
        )
        # ``Start`` is first, whatever a broken proxy sent before it.
        events.append(start)

    def _block_start(self, index: int | None, raw: Raw, events: list[Event]) -> None:
        if wire.is_null(raw):
            raise not_understood("a block without content")
        if not self._started:
            self._begin(_Message(), events)
        block = OpenBlock(raw, self._undo, self._take, events)
        self._has_calls = self._has_calls or block.is_call
        self._open[-1 if index is None else index] = block

    def _take(self) -> int:
        number = self._parts
        self._parts += 1
        return number

    def _block_delta(self, event: _Event, words: str | None, events: list[Event]) -> None:
        delta = event.delta
        if delta is None:
            return
        index = -1 if event.index is None else event.index
        block = self._open.get(index)
        if block is None:
            implied = _IMPLIED.get(delta.type or "")
            if implied is None:
                return
            self._block_start(index, implied, events)
            block = self._open[index]
        block.add(delta, words, events)

    def _close(self, index: int | None, events: list[Event]) -> None:
        block = self._open.pop(-1 if index is None else index, None)
        if block is not None:
            block.stop(events)

    def _close_all(self, events: list[Event]) -> None:
        for index in list(self._open):
            self._close(index, events)

    def _message_delta(self, event: _Event, events: list[Event]) -> None:
        if not self._started:
            self._begin(_Message(), events)
        delta = event.delta
        if delta is not None and delta.stop_reason is not None:
            self._close_all(events)
            self._delta = delta
        extra = {
            "container": delta.container if delta is not None else wire.NULL,
            "context_management": event.context_management,
        }
        self._extra.update({name: raw for name, raw in extra.items() if not wire.is_null(raw)})
        usage = read_usage(event.usage, self._start_usage)
        if usage is not None:
            events.append(UsageNote(usage))

    def _message_stop(self, events: list[Event]) -> None:
        if not self._started:
            self._begin(_Message(), events)
        self._close_all(events)
        delta = self._delta
        finish = read_finish(
            delta.stop_reason, delta.stop_sequence, delta.stop_details, has_calls=self._has_calls
        )
        ext = {DIALECT: self._extra} if self._extra else None
        events += [Finished(finish, ext=ext), End()]
        self._ended = True


def _leniently(data: bytes) -> tuple[_Event, str | None]:
    """An event that holds half of a character, and the words of its delta with the half in them (D8)."""
    try:
        loaded = loads_leniently(data)
        event = _EVENT.decode(encode(without_surrogates(loaded)))
    except (*wire.BAD_JSON, ValueError):
        raise not_understood("an event") from None
    delta = loaded.get("delta") if isinstance(loaded, dict) else None
    if not isinstance(delta, dict):
        return event, None
    found = (delta.get(name) for name in ("text", "thinking", "partial_json"))
    return event, next((words for words in found if isinstance(words, str)), None)
