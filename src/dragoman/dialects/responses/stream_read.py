"""A provider's stream → events, however its bytes are cut (`dialects.md` §1.2).

Items are known by ``output_index``; parts are numbered here, in the order in which they begin.
Names of events may be missing (OpenRouter), as may any event that another one implies: what the
last of them says and none before did is told then. After it nothing is read any more.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from dragoman.core.errors import UpstreamError
from dragoman.core.events import End, Event, Failure, Finished, Ping, Start, UsageNote
from dragoman.core.usage import USUAL_TIERS, served
from dragoman.dialects.base import Target, Undo
from dragoman.dialects.broken import told_the_end
from dragoman.dialects.framing.sse import Frame, SseFrames
from dragoman.dialects.halves import loads_leniently, without_surrogates
from dragoman.dialects.members import NULL
from dragoman.dialects.openai_errors import truncated
from dragoman.dialects.responses.error import malformed, read_stream_error
from dragoman.dialects.responses.finish import read_finish
from dragoman.dialects.responses.open_item import OpenItem
from dragoman.dialects.responses.reply_items import Item, Piece, read_item
from dragoman.dialects.responses.response import FAILED, kinds_of, read_reply
from dragoman.dialects.responses.stops import Stops
from dragoman.dialects.responses.usage import read_usage
from dragoman.dialects.responses.wire import BAD_JSON, encode


class _Event(Struct, frozen=True):
    type: str | None = None
    output_index: int | None = None
    content_index: int | None = None
    summary_index: int | None = None
    item_id: str | None = None
    delta: str | None = None
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    input: str | None = None
    logprobs: list[Raw] | None = None
    annotation: Raw = NULL
    part: Raw = NULL
    item: Raw = NULL
    response: Raw = NULL
    error: Raw = NULL


_EVENT = msgspec.json.Decoder(_Event)
_PIECE = msgspec.json.Decoder(Piece)

_ENDS = frozenset({"response.completed", "response.incomplete"})
_FAILS = frozenset({"response.failed", "response.cancelled", "error"})
_BEGINS = frozenset({"response.created", "response.in_progress", "response.queued"})
_QUIET = frozenset({"ping", "keepalive", "response.keepalive"})

_IMPLIED: dict[str, str] = {
    "response.output_text": "message",
    "response.refusal": "message",
    "response.content_part": "message",
    "response.reasoning_text": "reasoning",
    "response.reasoning_summary_text": "reasoning",
    "response.function_call_arguments": "function_call",
    "response.custom_tool_call_input": "custom_tool_call",
}
"""The kind of item that an event belongs to, where its beginning was lost."""


class ResponsesStreamReader:
    """A ``StreamReader`` of this dialect."""

    __slots__ = (
        "_calls",
        "_done",
        "_ended",
        "_frames",
        "_items",
        "_parts",
        "_places",
        "_started",
        "_stops",
        "_target",
        "_tier",
        "_undo",
    )

    def __init__(self, target: Target, undo: Undo) -> None:
        self._target = target
        self._undo = undo
        self._frames = SseFrames()
        self._tier: str | None = None
        """The service tier that was told at the start."""
        self._started = False
        self._ended = False
        self._items: dict[int, OpenItem] = {}
        self._done: set[int] = set()
        self._places: dict[int | None, tuple[int, str | None]] = {}
        """The number and the id of the last item that began under an ``output_index``."""
        self._parts = 0
        self._calls = False
        self._stops = Stops(undo.stop) if undo.stop else None

    def feed(self, data: bytes) -> list[Event]:
        """Events that ``data`` completes."""
        events = self._feed(data)
        return events if self._stops is None else self._stops.passed(events)

    def close(self) -> list[Event]:
        """The end of the bytes: too early, unless a terminal event was the last of them (P4, P14)."""
        events = self._close()
        return events if self._stops is None else self._stops.passed(events)

    def _feed(self, data: bytes) -> list[Event]:
        if self._ended:
            return []
        try:
            frames = self._frames.feed(data)
        except UpstreamError as error:
            return self._fail([], error)
        return self._read(frames)

    def _close(self) -> list[Event]:
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
                self._frame(frame, events)
            except UpstreamError as error:
                return self._fail(events, error)
            except BAD_JSON:
                return self._fail(events, malformed("a stream of its own dialect"))
        return events

    def _fail(self, events: list[Event], error: UpstreamError) -> list[Event]:
        self._ended = True
        events.append(Failure(error))
        return events

    # ------------------------------------------------------------------ one event

    def _frame(self, frame: Frame, events: list[Event]) -> None:
        data = frame.data
        if not data or data == b"[DONE]":
            return
        words: str | None = None
        try:
            event = _EVENT.decode(data)
        except BAD_JSON:
            event, words = _leniently(data)
        kind = event.type or (frame.event or b"").decode("ascii", "replace")
        if kind in _FAILS or (event.error is not NULL and bytes(event.error) != b"null"):
            raise read_stream_error(data)
        if kind in _BEGINS:
            self._begin(event.response, events)
        elif kind in _ENDS:
            self._end(event.response, kind, events)
        elif kind in _QUIET:
            if self._started:  # Before the start there is nobody to keep awake.
                events.append(Ping())
        elif kind.startswith("response."):
            self._inner(kind, event, words, events)

    def _begin(self, raw: Raw, events: list[Event]) -> None:
        if self._started:
            return
        self._started = True
        reply = read_reply(raw) if raw is not NULL else read_reply(b"{}")
        if reply.status in FAILED:
            raise read_stream_error(bytes(raw))
        # What is said at the start is what was asked for, not what will serve.
        self._tier = None if reply.service_tier == "auto" else reply.service_tier
        events.append(
            Start(
                id=reply.id or "",
                model=reply.model or self._target.model,
                created=reply.created,
                service_tier=self._tier,
            )
        )

    def _inner(self, kind: str, event: _Event, words: str | None, events: list[Event]) -> None:
        """An event of an item."""
        if kind == "response.output_item.added":
            item = read_item(event.item)
            if (fresh := self._placed(event.output_index, item.id)) is not None:
                self._open(fresh, item, events)
            return
        number = self._places.get(event.output_index, (event.output_index or 0, None))[0]
        if kind == "response.output_item.done":
            self._stop(number, event.item, events)
            return
        subject, _, what = kind.rpartition(".")
        if subject == "response.output_text.annotation":
            subject, what = "response.output_text", "annotation"
        implied = _IMPLIED.get(subject)
        if implied is None or number in self._done:
            return
        opened = self._items.get(number)
        if opened is None:
            opened = self._open(number, Item(type=implied, id=event.item_id), events)
        text = words if words is not None else event.delta or ""
        index = event.content_index or 0
        match subject, what:
            case "response.output_text", "delta":
                opened.speak(index, text, events)
                if event.logprobs:
                    opened.note(index, event.logprobs, events)
            case "response.output_text", "annotation":
                if event.annotation is not NULL:
                    opened.annotate(index, event.annotation, events)
            case "response.output_text", "done":
                opened.finish_words(index, Piece(text=event.text), events)
            case "response.refusal", "delta":
                opened.speak(index, text, events, refusal=True)
            case "response.refusal", "done":
                opened.finish_words(index, Piece(refusal=event.refusal), events)
            case "response.content_part", "done" if opened.item.type == "message":
                opened.finish_words(index, _PIECE.decode(event.part), events)
            case "response.reasoning_text", "delta":
                opened.think("content", index, text, events)
            case "response.reasoning_summary_text", "delta":
                opened.think("summary", event.summary_index or 0, text, events)
            case "response.function_call_arguments", "delta":
                opened.argue(text, events)
            case "response.custom_tool_call_input", "delta":
                opened.argue(text, events)
            case "response.function_call_arguments", "done":
                opened.finish_call(event.arguments or "", events)
            case "response.custom_tool_call_input", "done":
                opened.finish_call(event.input or "", events)
            case _:
                pass

    def _placed(self, index: int | None, item_id: str | None) -> int | None:
        """The number of an item that begins; None if it has begun before.

        Some servers give every item the index 0, or none: then it is the next one's.
        """
        known = self._places.get(index)
        taken = self._done | self._items.keys()
        if known is None and index is not None and index not in taken:
            number = index
        elif known is not None and (known[1] == item_id or item_id is None):
            return None
        else:
            number = max(taken, default=-1) + 1
        self._places[index] = (number, item_id)
        return number

    def _open(self, number: int, item: Item, events: list[Event]) -> OpenItem:
        if not self._started:
            self._begin(NULL, events)
        opened = self._items[number] = OpenItem(item, self._undo, self._take)
        self._calls = self._calls or opened.is_call
        opened.begin(events)
        return opened

    def _take(self) -> int:
        number = self._parts
        self._parts += 1
        return number

    def _stop(self, number: int, raw: Raw, events: list[Event]) -> None:
        if number in self._done:
            return
        whole = None if raw is NULL else raw
        item = self._items.get(number)
        if item is None:
            if whole is None:
                return
            item = self._open(number, read_item(whole), events)
        self._done.add(number)
        item.stop(whole, events)
        self._items.pop(number, None)

    # ------------------------------------------------------------------ the end

    def _end(self, raw: Raw, kind: str, events: list[Event]) -> None:
        """The whole response once more: what of it was never told is told now (P43)."""
        if raw is NULL:
            raise malformed("a stream of its own dialect")
        reply = read_reply(raw)
        if reply.status in FAILED:
            raise read_stream_error(bytes(raw))
        self._begin(raw, events)
        output = reply.output or []
        for number, item in enumerate(output):
            self._stop(number, item, events)
        for number in list(self._items):
            self._stop(number, NULL, events)
        usage = read_usage(reply.usage, kinds_of(output))
        if usage is not None:
            first, last = self._tier or "", reply.service_tier or ""
            if first != last and not (first in USUAL_TIERS and last in USUAL_TIERS):
                usage = served(usage, last)
            events.append(UsageNote(usage))
        status = reply.status or kind.removeprefix("response.")
        finish = read_finish(status, reply.reason, has_calls=self._calls)
        events += [Finished(finish), End()]
        self._ended = True


def _leniently(data: bytes) -> tuple[_Event, str | None]:
    """An event that holds half of a character, and its delta with the half in it (D8)."""
    try:
        loaded: Any = loads_leniently(data)
        event = _EVENT.decode(encode(without_surrogates(loaded)))
    except (*BAD_JSON, ValueError):
        raise malformed("a stream of its own dialect") from None
    delta = loaded.get("delta") if isinstance(loaded, dict) else None
    return event, delta if isinstance(delta, str) else None
