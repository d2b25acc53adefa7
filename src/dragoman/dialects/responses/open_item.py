"""One output item of a stream under way: its parts, their deltas, their stops, as events.

Parts begin with their first words, so that what says nothing is no part. What an item's end
says and its deltas did not is told there, once (P43).
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Raw
from msgspec.structs import replace

from dragoman.core.events import Cited, Event, LogprobNote, PartDelta, PartStart, PartStop
from dragoman.core.parts import Part, Refusal, Text
from dragoman.dialects.base import Undo
from dragoman.dialects.halves import mend
from dragoman.dialects.responses.annotations import read_annotation
from dragoman.dialects.responses.reply_items import (
    CALLS,
    Item,
    Piece,
    arguments_of,
    call_of,
    citations_of,
    logprobs_of,
    other_of,
    read_item,
    thinking_of,
)


class _Words:
    """A part that grows."""

    __slots__ = ("cited", "field", "half", "notes", "number", "said", "tokens")

    def __init__(self) -> None:
        self.number = -1
        self.said = False
        self.half = ""
        """Half of a character, which waits for its other half (D8)."""
        self.notes: list[Raw] = []
        """Annotations that came before any word."""
        self.cited = 0
        self.tokens = False


class OpenItem:
    """An item that has begun; events are appended to the list that each step is given."""

    __slots__ = ("_index", "_part", "_pieces", "_summary", "_take", "_thought", "_undo", "item")

    def __init__(self, item: Item, undo: Undo, take: Callable[[], int]) -> None:
        self.item = item
        self._undo = undo
        self._take = take
        self._pieces: dict[int, _Words] = {}
        """Content parts of a message by their index."""
        self._part: _Words | None = None
        """The call, or the thought."""
        self._thought = ""
        """Which of a thought's texts is told: ``summary`` or ``content``."""
        self._index = 0

    @property
    def is_call(self) -> bool:
        """Whether the caller's program is asked for something."""
        return self.item.type in CALLS

    # ------------------------------------------------------------------ while it is open

    def begin(self, events: list[Event]) -> None:
        """A call is told at once; everything else with its first words."""
        if self.is_call and (self.item.name or self.item.call_id):
            self._call(self.item, events)

    def _call(self, item: Item, events: list[Event]) -> _Words:
        words = self._part
        if words is None:
            words = self._part = _Words()
            head = call_of(item, self._undo)
            self._start(words, replace(head, arguments=""), events)
        return words

    def _start(self, words: _Words, head: Part, events: list[Event]) -> None:
        words.number = self._take()
        events.append(PartStart(words.number, head))

    def argue(self, text: str, events: list[Event]) -> None:
        """More of a call's arguments, or of its free text."""
        words = self._call(self.item, events)
        self._say(words, text, "arguments", events)

    def speak(self, index: int, text: str, events: list[Event], *, refusal: bool = False) -> None:
        """More of a message's words."""
        if not text:
            return
        words = self._words(index)
        if words.number < 0:
            self._start(words, Refusal("") if refusal else Text(""), events)
            for note in words.notes:
                self._cite(words, note, events)
            words.notes = []
        self._say(words, text, "text", events)

    def _words(self, index: int) -> _Words:
        words = self._pieces.get(index)
        if words is None:
            words = self._pieces[index] = _Words()
        return words

    def annotate(self, index: int, note: Raw, events: list[Event]) -> None:
        """A citation of a message's words."""
        words = self._words(index)
        words.cited += 1
        if words.number < 0:
            words.notes.append(note.copy())
        else:
            self._cite(words, note, events)

    def _cite(self, words: _Words, note: Raw, events: list[Event]) -> None:
        citation = read_annotation(note)
        if citation is not None:
            events.append(Cited(words.number, citation))

    def note(self, index: int, tokens: list[Raw], events: list[Event]) -> None:
        """Log probabilities of what was just said."""
        logprobs = logprobs_of(tokens)
        if logprobs is not None:
            self._words(index).tokens = True
            events.append(LogprobNote(logprobs))

    def think(self, kind: str, index: int, text: str, events: list[Event]) -> None:
        """More of a thought; of words and their summary the first that comes is told."""
        if not text or self._thought not in {"", kind}:
            return
        words = self._part
        if words is None:
            words = self._part = _Words()
            self._thought = kind
            self._index = index
            head = replace(thinking_of(self.item), text="", encrypted=None, redacted=False)
            self._start(words, replace(head, summary=kind == "summary"), events)
        if index != self._index:
            self._index = index
            text = "\n\n" + text
        self._say(words, text, "text", events)

    def _say(self, words: _Words, text: str, field: str, events: list[Event]) -> None:
        if words.half or (text and "\ud800" <= text[-1] <= "\udfff"):
            text = words.half + text
            words.half = ""
            if "\ud800" <= text[-1] <= "\udbff":
                words.half, text = text[-1], text[:-1]
            text = mend(text)
        if text:
            words.said = True
            events.append(
                PartDelta(words.number, text, "arguments" if field == "arguments" else "text")
            )

    # ------------------------------------------------------------------ its end

    def finish_call(self, text: str, events: list[Event]) -> None:
        """The whole of a call's arguments, which are told unless their deltas were."""
        words = self._call(self.item, events)
        if text and not words.said:
            self._say(words, text, "arguments", events)

    def finish_words(self, index: int, piece: Piece, events: list[Event]) -> None:
        """The whole of a content part: what of it was not told yet."""
        words = self._words(index)
        whole = piece.refusal or piece.text or ""
        if not words.said:
            self.speak(index, whole, events, refusal=bool(piece.refusal))
        if words.number >= 0:
            for citation in citations_of(piece)[words.cited :]:
                words.cited += 1
                events.append(Cited(words.number, citation))
        if piece.logprobs and not words.tokens:
            self.note(index, piece.logprobs, events)

    def stop(self, raw: Raw | None, events: list[Event]) -> None:
        """The end of the item: ``raw`` is the whole of it, None where the provider did not say."""
        item = self.item if raw is None else read_item(raw)
        match item.type:
            case "message":
                for index, piece in enumerate(item.content or ()):
                    self.finish_words(index, piece, events)
            case "reasoning":
                self._stop_thought(item, events)
            case "function_call" | "custom_tool_call":
                self._call(item, events)
                custom = item.type == "custom_tool_call"
                self.finish_call((item.input or "") if custom else arguments_of(item), events)
            case _ if raw is not None:
                self._whole(other_of(item, raw), events)
            case _:
                pass
        for words in (*self._pieces.values(), self._part):
            if words is not None and words.number >= 0:
                self._close(words, events)

    def _stop_thought(self, item: Item, events: list[Event]) -> None:
        for kind, pieces in (("content", item.content), ("summary", item.summary)):
            if self._part is None or not self._part.said:
                for index, piece in enumerate(pieces or ()):
                    self.think(kind, index, piece.text or "", events)
        if not item.encrypted_content:
            return
        if self._part is None:
            self._whole(thinking_of(item), events)
        else:
            delta = PartDelta(self._part.number, item.encrypted_content, "encrypted")
            events.append(delta)

    def _whole(self, part: Part, events: list[Event]) -> None:
        if self._part is None:  # what has begun as a call or a thought ends as one
            self._part = _Words()
            self._start(self._part, part, events)

    def _close(self, words: _Words, events: list[Event]) -> None:
        if words.half:
            words.half = ""
            field: str = "arguments" if self.is_call else "text"
            events.append(
                PartDelta(
                    words.number,
                    "\N{REPLACEMENT CHARACTER}",
                    "arguments" if field == "arguments" else "text",
                )
            )
        events.append(PartStop(words.number))
