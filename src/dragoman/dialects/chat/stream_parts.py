"""The parts of one choice while they grow: what is open, what a piece belongs to, what stops.

Text, refusal and thinking follow one another: a piece of another kind stops what was open.
Tool calls stay open beside one another, for chat may interleave them (P39); one whose
arguments are whole stops when the next begins, so that a writer that must keep an order need
not wait for the end of the answer.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from dragoman.core.events import Cited, Event, PartDelta, PartStart, PartStop
from dragoman.core.parts import Citation, Opaque, Part, Refusal, Text, Thinking, ToolCall, raw
from dragoman.dialects.base import Undo
from dragoman.dialects.chat.citations import read_annotation
from dragoman.dialects.chat.pictures import read_image
from dragoman.dialects.chat.reply_wire import CallWire, ContentChunk, FunctionWire, Said
from dragoman.dialects.chat.stream_calls import Call, Calls
from dragoman.dialects.chat.surrogates import join
from dragoman.dialects.chat.thoughts import Thought, continues, thoughts
from dragoman.dialects.chat.tool_calls import call_of, made_id, spoken_name, unwrap

_TEXT = Text("")
_REFUSAL = Refusal("")


class _Growing:
    """A call on its way: its part's number, -1 until it has begun, and how it is told."""

    __slots__ = ("call", "held", "mode", "number", "part", "stopped")

    def __init__(self, call: Call, number: int) -> None:
        self.call = call
        self.number = number
        self.part = -1
        self.mode = "call"
        self.stopped = False
        self.held = ""


class ChoiceParts:
    """One choice of a stream; every method appends to ``out`` the events that a piece makes."""

    __slots__ = (
        "_audio",
        "_blank",
        "_calls",
        "_citations",
        "_growing",
        "_held",
        "_kind",
        "_legacy",
        "_next",
        "_open",
        "_seed",
        "_thought",
        "_undo",
        "finish",
        "index",
        "torn",
        "unknown",
    )

    def __init__(self, index: int, undo: Undo, seed: str) -> None:
        self.index = index
        self.finish = ""
        self.torn = False
        """Whether the stream has sent halves of characters."""
        self.unknown: list[Raw] = []
        """Annotations that have no canonical form."""
        self._undo = undo
        self._seed = seed
        self._next = 0
        self._kind = ""
        self._open = -1
        self._held = ""
        self._blank = ""
        """White space before everything: it opens no part, for a thought may follow it (P197)."""
        self._thought = Thought()
        self._calls = Calls()
        self._legacy = Calls()
        self._growing: dict[Call, _Growing] = {}
        self._citations: list[Citation] = []
        self._audio: dict[str, object] = {}

    # ------------------------------------------------------------------ pieces

    def say(self, said: Said, out: list[Event]) -> None:
        """Everything in a delta, reasoning before words before calls (P102)."""
        if said.reasoning_content or said.reasoning or said.reasoning_details:
            for piece in thoughts(said):
                self.think(piece, out)
        content = said.content
        if content:
            if isinstance(content, str):
                self.write("text", content, out)
            else:
                self._chunks(content, out)
        if said.annotations:
            self._annotate(said.annotations, out)
        if said.refusal:
            self.write("refusal", said.refusal, out)
        if said.tool_calls:
            for fragment in said.tool_calls:
                self._fragment(fragment, out)
        if said.function_call is not None:
            self._function_call(said.function_call, out)
        if said.images:
            for image in said.images:
                media = read_image(image)
                if media is not None:
                    self._whole(media, out)
        if said.audio:
            self._hear(said.audio)

    def write(self, kind: str, text: str, out: list[Event]) -> None:
        """Words of text or of a refusal."""
        if self._kind != kind:
            if kind != "text":
                self._say_blank(out)
            elif self._next == 0 and text.isspace():
                self._blank += text
                return
            elif self._blank:
                text, self._blank = self._blank + text, ""
            if kind == "text":
                self._begin_text(out)
            else:
                self._begin(kind, _REFUSAL, out)
        if self.torn:
            text, self._held = join(self._held, text)
            if not text:
                return
        out.append(PartDelta(self._open, text, "text", self.index))

    def think(self, piece: Thought, out: list[Event]) -> None:
        """A piece of reasoning: to the block that is open, or a new one."""
        if self._kind != "thinking" or not continues(self._thought, piece):
            if piece.redacted:
                head = msgspec.structs.replace(
                    piece.head(), encrypted=piece.encrypted, redacted=True
                )
                self._whole(head, out)
                return
            self._begin("thinking", piece.head(), out)
            self._thought = Thought(summary=piece.summary, index=piece.index, id=piece.id)
        number, block = self._open, self._thought
        if block.index is None:
            block.index = piece.index
        text = piece.text
        if text:
            if self.torn:
                text, self._held = join(self._held, text)
            block.text = text
            out.append(PartDelta(number, text, "text", self.index))
        if piece.signature is not None:
            out.append(PartDelta(number, piece.signature, "signature", self.index))
        if piece.encrypted is not None:
            block.encrypted = piece.encrypted
            out.append(PartDelta(number, piece.encrypted, "encrypted", self.index))

    def _chunks(self, content: list[ContentChunk], out: list[Event]) -> None:
        """Mistral's content list: thinking and text, in its order."""
        for chunk in content:
            if chunk.type == "thinking":
                inner = chunk.thinking
                text = inner if isinstance(inner, str) else _words(inner)
                self.think(Thought(text=text, signature=chunk.signature or None), out)
            elif chunk.text:
                self.write("text", chunk.text, out)
            elif chunk.refusal:
                self.write("refusal", chunk.refusal, out)

    def _annotate(self, annotations: list[Raw], out: list[Event]) -> None:
        """Citations join the open text, or wait for the next."""
        for annotation in annotations:
            citation = read_annotation(annotation)
            if citation is None:
                self.unknown.append(annotation.copy())
            elif self._kind == "text":
                out.append(Cited(self._open, citation, self.index))
            else:
                self._citations.append(citation)

    def _hear(self, audio: dict[str, Raw]) -> None:
        """Sound comes in pieces of base64 and transcript; it is told as one part at the end."""
        for name, value in audio.items():
            said = msgspec.json.decode(value)
            known = self._audio.get(name)
            joined = name in {"data", "transcript"} and isinstance(known, str)
            self._audio[name] = f"{known}{said}" if joined and isinstance(said, str) else said

    # ------------------------------------------------------------------ calls

    def _fragment(self, fragment: CallWire, out: list[Event]) -> None:
        wire = call_of(fragment)
        placed = self._calls.place(fragment.index, wire.id, wire.name, wire.arguments)
        if placed is not None:
            call, new = placed
            self._grow(call, wire.arguments, out, new=new, head=wire)

    def _function_call(self, wire: FunctionWire, out: list[Event]) -> None:
        """The deprecated single call, which has no id (P68)."""
        arguments = wire.arguments or ""
        placed = self._legacy.place(0, "", wire.name or "", arguments)
        if placed is not None:
            head = ToolCall("", wire.name or "", arguments)
            self._grow(placed[0], arguments, out, new=placed[1], head=head)

    def _grow(
        self, call: Call, arguments: str, out: list[Event], *, new: bool, head: ToolCall
    ) -> None:
        if new:
            self._settle_whole_calls(out)
            self._growing[call] = _Growing(call, len(self._growing))
        growing = self._growing[call]
        if growing.part < 0:
            if call.name:
                self._begin_call(growing, head, out)
            return
        if arguments and not growing.stopped and growing.mode != "wrapped":
            self._argue(growing, arguments, out)

    def _begin_call(self, growing: _Growing, head: ToolCall, out: list[Event]) -> None:
        """Opens a call's part; its name is known, and what came of its arguments follows."""
        self._say_blank(out)
        self.stop_open(out)
        call = growing.call
        name = spoken_name(call.name, self._undo)
        growing.part = self._take_number()
        kind = head.kind
        if call.name == self._undo.json_tool:
            growing.mode = "text"
            out.append(PartStart(growing.part, _TEXT, self.index))
        else:
            if name in self._undo.custom_tools and kind == "function":
                growing.mode, kind = "wrapped", "custom"
            call_id = call.id or made_id(growing.number, self.index, self._seed)
            opened = ToolCall(call_id, name, kind=kind, signature=head.signature)
            out.append(PartStart(growing.part, opened, self.index))
        so_far = "".join(call.pieces)
        if so_far and growing.mode != "wrapped":
            self._argue(growing, so_far, out)

    def _argue(self, growing: _Growing, arguments: str, out: list[Event]) -> None:
        if self.torn:
            arguments, growing.held = join(growing.held, arguments)
        if arguments:
            self._add(growing, arguments, out)

    def _add(self, growing: _Growing, text: str, out: list[Event]) -> None:
        if growing.mode == "text":
            out.append(PartDelta(growing.part, text, "text", self.index))
        else:
            out.append(PartDelta(growing.part, text, "arguments", self.index))

    def _settle_whole_calls(self, out: list[Event]) -> None:
        for growing in self._growing.values():
            if growing.part >= 0 and not growing.stopped and growing.call.complete:
                self._stop_call(growing, out)

    def _stop_call(self, growing: _Growing, out: list[Event]) -> None:
        if growing.stopped or growing.part < 0:
            return
        growing.stopped = True
        if growing.held:
            self._add(growing, "\ufffd", out)
        if growing.mode == "wrapped" and (text := unwrap("".join(growing.call.pieces))):
            self._add(growing, text, out)
        out.append(PartStop(growing.part, self.index))

    # ------------------------------------------------------------------ the end

    @property
    def has_calls(self) -> bool:
        """Whether the caller is asked to do something."""
        return any(
            growing.part >= 0 and growing.mode != "text" for growing in self._growing.values()
        )

    def stop(self, out: list[Event]) -> None:
        """Stops everything; what was waiting is told first."""
        for growing in self._growing.values():
            call = growing.call
            if growing.part < 0 and (call.id or call.pieces):
                # A call that never said its name is shown, not swallowed.
                self._begin_call(growing, ToolCall(call.id, ""), out)
        if self._citations:
            self.write("text", "", out)
        self._say_blank(out)
        self.stop_open(out)
        if self._audio:
            self._whole(Opaque("chat", "audio", raw(self._audio)), out)
        for growing in self._growing.values():
            self._stop_call(growing, out)

    def stop_open(self, out: list[Event]) -> None:
        """Stops the text, refusal or thinking that is open."""
        if not self._kind:
            return
        if self._held:
            out.append(PartDelta(self._open, "\ufffd", "text", self.index))
            self._held = ""
        out.append(PartStop(self._open, self.index))
        self._kind = ""

    def _say_blank(self, out: list[Event]) -> None:
        """White space that no words followed is a text of its own after all."""
        if self._blank:
            text, self._blank = self._blank, ""
            self._begin_text(out)
            out.append(PartDelta(self._open, text, "text", self.index))

    def _begin_text(self, out: list[Event]) -> None:
        """Opens a text, which the citations that came before it are of."""
        self._begin("text", _TEXT, out)
        if self._citations:
            out.extend(Cited(self._open, cited, self.index) for cited in self._citations)
            self._citations = []

    def _begin(self, kind: str, head: Part, out: list[Event]) -> None:
        self.stop_open(out)
        self._kind = kind
        self._open = self._take_number()
        out.append(PartStart(self._open, head, self.index))

    def _whole(self, part: Part, out: list[Event]) -> None:
        """A part that comes in one piece."""
        if not isinstance(part, Thinking):
            self._say_blank(out)
        self.stop_open(out)
        number = self._take_number()
        out.append(PartStart(number, part, self.index))
        out.append(PartStop(number, self.index))

    def _take_number(self) -> int:
        number = self._next
        self._next = number + 1
        return number


def _words(chunks: object) -> str:
    """The text of a thinking list."""
    if not isinstance(chunks, list):
        return ""
    return "".join(chunk.text or "" for chunk in chunks)
