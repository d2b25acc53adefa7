"""One candidate of a stream under way: its chunks as events.

Parts of a stream are pieces: text goes on in the next chunk's text, unless a signature ends it
(P98, P176). A whole reply is a stream of one chunk.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from dragoman.core.events import (
    Cited,
    Event,
    Finished,
    LogprobNote,
    PartDelta,
    PartStart,
    PartStop,
)
from dragoman.core.parts import Part, Text, Thinking, ToolCall
from dragoman.dialects.base import Undo
from dragoman.dialects.gemini import wire
from dragoman.dialects.gemini.finish import read_finish, word
from dragoman.dialects.gemini.grounding import read_grounding
from dragoman.dialects.gemini.logprobs import read_logprobs
from dragoman.dialects.gemini.partial_args import PartialCall
from dragoman.dialects.gemini.read_parts import alone, read_part
from dragoman.dialects.gemini.wire import DIALECT

_KNOWN = {"content", "finishReason", "finishMessage", "index", "logprobsResult", "tokenCount"}


class _Wrapped(msgspec.Struct, frozen=True):
    input: str


_WRAPPED = msgspec.json.Decoder(_Wrapped)


class Candidate:
    """What has come of one candidate."""

    __slots__ = (
        "_ext",
        "_message",
        "_open",
        "_partial",
        "_parts",
        "_pieces",
        "_signed",
        "_undo",
        "calls",
        "finish",
        "index",
    )

    def __init__(self, index: int, undo: Undo) -> None:
        self.index = index
        self._undo = undo
        self._parts = 0
        self._open: Part | None = None
        self._signed = False
        self._pieces: list[str] = []
        self._partial: PartialCall | None = None
        self._ext: dict[str, Raw] = {}
        self._message: str | None = None
        self.calls = 0
        self.finish: str | None = None

    def read(self, found: dict[str, Raw], seed: str, events: list[Event]) -> None:
        """One chunk's candidate."""
        if "content" in found:
            content = wire.members(found["content"], "content")
            parts = wire.items(content["parts"], "parts") if "parts" in content else []
            for raw in parts:
                self._part(raw, seed, events)
        if "groundingMetadata" in found and isinstance(self._open, Text):
            events += [
                Cited(self._parts - 1, citation, self.index)
                for citation in read_grounding(found["groundingMetadata"], "".join(self._pieces))
            ]
        if "logprobsResult" in found:
            told = read_logprobs(found["logprobsResult"])
            if told is not None:
                events.append(LogprobNote(told, self.index))
        if "finishReason" in found:
            reason = word(wire.any_value(found["finishReason"], "finishReason"))
            self.finish = reason or self.finish
        if "finishMessage" in found:
            self._message = wire.opt_text(found, "finishMessage", "candidate")
        self._ext.update(
            {
                name: Raw(wire.compact(raw).encode())
                for name, raw in found.items()
                if name not in _KNOWN
            }
        )

    def goes_on(self, words: str, events: list[Event]) -> bool:
        """Takes more words of the text that is open; whether there is such a one."""
        if self._signed or self._partial is not None or not isinstance(self._open, Text):
            return False
        self._pieces.append(words)
        events.append(PartDelta(self._parts - 1, words, "text", self.index))
        return True

    def _part(self, raw: Raw, seed: str, events: list[Event]) -> None:
        if self._partial is not None or PartialCall.begins(raw):
            if self._partial is None:
                self._partial = PartialCall()
            whole = self._partial.add(raw)
            if whole is None:
                return
            self._partial, raw = None, whole
        for part in read_part(raw, "part", f"{seed}.{self.index}.{self.calls}"):
            self._say(part, events)

    def _say(self, part: Part, events: list[Event]) -> None:
        choice = self.index
        match part:
            case Text():
                if not (isinstance(self._open, Text) and not self._signed and part.ext is None):
                    signed = isinstance(self._open, Thinking) and self._open.redacted
                    self._begin(replace(part, text=""), events)
                    self._signed = signed or part.ext is not None
                self._pieces.append(part.text)
                events.append(PartDelta(self._parts - 1, part.text, "text", choice))
            case Thinking(redacted=False):
                opened = self._open
                goes_on = isinstance(opened, Thinking) and not opened.redacted and not self._signed
                if not goes_on and not part.text:
                    self._begin(alone(part), events)
                    return
                if not goes_on:
                    self._begin(replace(part, text="", signature=None), events)
                if part.text:
                    events.append(PartDelta(self._parts - 1, part.text, "text", choice))
                if part.signature is not None:
                    events.append(PartDelta(self._parts - 1, part.signature, "signature", choice))
                    self._signed = True
            case ToolCall():
                self.calls += 1
                # In one piece, as it came: some clients want a call's name beside its arguments.
                self._begin(self._undone(part), events)
            case _:
                self._begin(part, events)

    def _undone(self, part: ToolCall) -> ToolCall:
        """A call as the caller knows the tool (P57, P67)."""
        name = self._undo.tool_names.get(part.name, part.name)
        if part.name not in self._undo.custom_tools:
            return replace(part, name=name)
        try:
            arguments = _WRAPPED.decode(part.arguments).input
        except wire.BAD_JSON:
            arguments = part.arguments
        return replace(part, name=name, kind="custom", arguments=arguments)

    def _begin(self, head: Part, events: list[Event]) -> None:
        self.close(events)
        self._open = head
        self._signed = False
        self._pieces = []
        events.append(PartStart(self._parts, head, self.index))
        self._parts += 1

    def close(self, events: list[Event]) -> None:
        """The end of the open part."""
        if self._open is not None:
            events.append(PartStop(self._parts - 1, self.index))
            self._open = None

    def end(self, events: list[Event]) -> None:
        """The end of the candidate."""
        self.close(events)
        finish = read_finish(self.finish, has_calls=self.calls > 0, explanation=self._message)
        events.append(Finished(finish, self.index, {DIALECT: self._ext} if self._ext else None))
