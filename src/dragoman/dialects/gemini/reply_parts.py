"""Canonical parts of an answer → Gemini's parts, whole or as they come."""

from __future__ import annotations

from typing import assert_never

from dragoman.core.loss import Loss
from dragoman.core.parts import (
    Citation,
    FileRef,
    Inline,
    Media,
    Opaque,
    Part,
    Refusal,
    SearchResult,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
)
from dragoman.dialects.base import Context
from dragoman.dialects.call_arguments import as_object_on_one_line
from dragoman.dialects.gemini.draft import own
from dragoman.dialects.gemini.read_parts import MADE, made_id
from dragoman.dialects.gemini.signatures import is_native, state
from dragoman.dialects.gemini.wire import DIALECT
from dragoman.dialects.halves import mend

WirePart = dict[str, object]


class PartsOut:
    """Writes the parts of one candidate; keeps citations, losses and a signature in waiting."""

    def __init__(self, context: Context, index: int) -> None:
        self.losses: list[Loss] = []
        self.cited: list[tuple[str, Citation]] = []
        self._context = context
        self._index = index
        self._signature: str | None = None
        self._signs: str | None = None
        """The id of the call that the signature is for; None if it is for whatever follows."""

    def whole(self, part: Part, number: int) -> list[object]:
        """The parts that say a whole part; a signature goes on what follows it."""
        at = f"candidates[{self._index}].content.parts[{number}]"
        match part:
            case Text():
                self.cited += [(part.text, citation) for citation in part.citations]
                if not part.text:
                    return []
                return self.signed({"text": mend(part.text), **own(part.ext)})
            case Refusal(text=text):
                return self.signed({"text": mend(text)}) if text else []
            case Thinking():
                return self._thinking(part)
            case ToolCall():
                return self._call(part, at, number)
            case Media():
                return self._media(part, at)
            case Opaque(dialect=dialect, payload=payload) if dialect == DIALECT:
                return [*self.rest(), payload]
            case Opaque() | SearchResult() | ToolResult():
                self.losses.append(Loss(at, "not_in_dialect"))
                return []
            case _:
                assert_never(part)

    def signed(self, written: WirePart) -> list[object]:
        """The part with the signature that waited for it."""
        if self._signature is not None:
            written["thoughtSignature"], self._signature = self._signature, None
        return [written]

    def rest(self) -> list[object]:
        """A signature that nothing follows (P98)."""
        if self._signature is None:
            return []
        return self.signed({"text": ""})

    def _thinking(self, part: Thinking) -> list[object]:
        value = state(part, self._context.envelope)
        if part.redacted or not part.text:
            if value is None:
                if part.encrypted or part.signature:
                    self.losses.append(Loss("thoughtSignature", "reasoning of another family"))
                return []
            if is_native(part):
                before = self.rest()
                self._signature, self._signs = value, part.id
                return before
            return [*self.rest(), {"text": "", "thought": True, "thoughtSignature": value}]
        written: WirePart = {"text": mend(part.text), "thought": True}
        return [*self.rest(), written | ({"thoughtSignature": value} if value else {})]

    def _call(self, part: ToolCall, at: str, number: int) -> list[object]:
        arguments, whole = as_object_on_one_line(part)
        if not whole:
            self.losses.append(Loss(f"{at}.functionCall.args", "not_a_json_object", "changed"))
        call: WirePart = {}
        given = part.id or made_id(self._context.call_id, number)
        if not (part.id and given.startswith(MADE)):
            call["id"] = given
        call |= {"name": part.name or "tool", "args": arguments}
        written: WirePart = {"functionCall": call, **own(part.ext)}
        if part.signature is not None:
            written["thoughtSignature"] = part.signature
        if self._signs != part.id:  # a signature of its own place (P98)
            return [*self.rest(), written]
        return self.signed(written)

    def _media(self, part: Media, at: str) -> list[object]:
        match part.source:
            case Inline(data=data, mime=mime):
                written: WirePart = {"inlineData": {"mimeType": mime, "data": data}}
            case Url(url=uri, mime=told) | FileRef(id=uri, mime=told):
                written = {"fileData": {"fileUri": uri} | ({"mimeType": told} if told else {})}
            case _:
                self.losses.append(Loss(at, "not_in_dialect"))
                return []
        return self.signed({**written, **own(part.ext)})
