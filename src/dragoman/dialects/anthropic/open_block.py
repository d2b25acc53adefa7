"""One content block of a stream under way: its start, its deltas, its stop, as events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from dragoman.core.events import Cited, Event, PartDelta, PartStart, PartStop
from dragoman.core.parts import Opaque, Part, Text, Thinking, ToolCall
from dragoman.dialects.anthropic import wire
from dragoman.dialects.anthropic.read_blocks import read_block, read_citation, read_input
from dragoman.dialects.anthropic.undo import undo_call, unwrap_custom
from dragoman.dialects.anthropic.wire import DIALECT, encode
from dragoman.dialects.base import Undo
from dragoman.dialects.halves import mend

Field: TypeAlias = Literal["text", "arguments", "signature", "encrypted"]


class Delta(Struct, frozen=True):
    """What a ``delta`` may hold, of blocks and of the message."""

    type: str | None = None
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    citation: Raw = wire.NULL
    content: Raw = wire.NULL
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: Raw = wire.NULL
    container: Raw = wire.NULL


class _Start(Struct, frozen=True):
    input: Raw = wire.NULL


_START = msgspec.json.Decoder(_Start)
_STRING = msgspec.json.Decoder(str)


class OpenBlock:
    """A block that has started.

    Events are appended to the list that each step is given; ``take`` gives the part its number
    when it is first told. Calls of a free-text tool are unwrapped at their end, when their
    JSON is whole (P67), and blocks that only this dialect knows are told there.
    """

    __slots__ = (
        "_head",
        "_is_tool",
        "_pieces",
        "_said",
        "_start",
        "_take",
        "half",
        "is_call",
        "is_text",
        "number",
    )

    def __init__(self, raw: Raw, undo: Undo, take: Callable[[], int], events: list[Event]) -> None:
        self.number = -1
        self._take = take
        self._start = raw
        self._said = False
        self.half = ""
        """Of a character, whose other half has not come yet."""
        self._pieces: list[str] = []
        part = read_block(raw, "content_block")
        self._is_tool = isinstance(part, ToolCall)
        """Whether the block is a call, though it may be told as the text of an answer (P64)."""
        self.is_call = False
        self.is_text = isinstance(part, Text)
        """Whether pieces of text are all that is said in it, but for citations."""
        self._head: Part = part
        match part:
            case ToolCall():
                self._begin(undo_call(replace(part, arguments=""), undo), events)
                self.is_call = isinstance(self._head, ToolCall)
            case Text():
                self._begin(replace(part, text="", citations=()), events)
                self.say(part.text, "text", events)
                events += [Cited(self.number, citation) for citation in part.citations]
            case Thinking(redacted=False):
                self._begin(replace(part, text="", signature=None), events)
                self.say(part.text, "text", events)
                self.say(part.signature or "", "signature", events)
            case Opaque():
                pass
            case _:
                self._begin(part, events)

    def _begin(self, head: Part, events: list[Event]) -> None:
        self.number = self._take()
        self._head = head
        events.append(PartStart(self.number, head))

    def add(self, delta: Delta, words: str | None, events: list[Event]) -> None:
        """One delta; ``words`` replace its own where these hold half of a character."""
        head = self._head
        match delta.type:
            case "text_delta" if isinstance(head, Text) and not self._is_tool:
                self.say(words or delta.text or "", "text", events)
            case "thinking_delta" if isinstance(head, Thinking):
                self.say(words or delta.thinking or "", "text", events)
            case "signature_delta" if isinstance(head, Thinking):
                self.say(words or delta.signature or "", "signature", events)
            case "input_json_delta" if self._is_tool or isinstance(head, Opaque):
                self._argue(words or delta.partial_json or "", events)
            case "citations_delta" if isinstance(head, Text) and not wire.is_null(delta.citation):
                events.append(Cited(self.number, read_citation(delta.citation)))
            case "compaction_delta" if isinstance(head, Opaque):
                if wire.starts_with(delta.content, b'"'):
                    self._pieces.append(_STRING.decode(delta.content))
            case _:
                pass

    def _argue(self, text: str, events: list[Event]) -> None:
        head = self._head
        if isinstance(head, Opaque) or (isinstance(head, ToolCall) and head.kind == "custom"):
            self._pieces.append(text)
        else:
            self.say(text, "arguments" if isinstance(head, ToolCall) else "text", events)

    def say(self, words: str, field: Field, events: list[Event]) -> None:
        """Words of the part. Half of a character waits for its other half (D8)."""
        if self.half or (words and "\ud800" <= words[-1] <= "\udbff"):
            words = self.half + words
            self.half = ""
            if "\ud800" <= words[-1] <= "\udbff":
                self.half = words[-1]
                words = words[:-1]
            words = mend(words)
        if words:
            self._said = True
            events.append(PartDelta(self.number, words, field))

    def stop(self, events: list[Event]) -> None:
        """The end of the block; nothing more comes for it."""
        head = self._head
        field: Field = "arguments" if isinstance(head, ToolCall) else "text"
        if self.half:
            self.half = ""
            events.append(PartDelta(self.number, "\N{REPLACEMENT CHARACTER}", field))
        if isinstance(head, Opaque):
            self._begin(self._whole(head), events)
        elif isinstance(head, ToolCall) and head.kind == "custom":
            text = unwrap_custom("".join(self._pieces) or self._given())
            if text:
                events.append(PartDelta(self.number, text, "arguments"))
        elif self._is_tool and not self._said:
            events.append(PartDelta(self.number, self._given(), field))
        events.append(PartStop(self.number))

    def _given(self) -> str:
        """The input that stood in the block's start: none at all, as a rule (P34)."""
        return read_input(_START.decode(self._start).input)

    def _whole(self, head: Opaque) -> Opaque:
        """The block with what its deltas added to ``input`` or ``content``."""
        added = "".join(self._pieces)
        if not added:
            return Opaque(DIALECT, head.kind, Raw(wire.compact(head.payload).encode()))
        members = wire.members(head.payload, "content_block")
        if head.kind == "compaction":
            members["content"] = Raw(encode(added))
        else:
            try:
                members["input"] = Raw(msgspec.json.format(added.encode(), indent=-1))
            except wire.BAD_JSON:
                members["input"] = Raw(encode({"_raw": added}))
        return Opaque(DIALECT, head.kind, Raw(wire.compact(encode(members)).encode()))
