"""Output items of a response → parts, for whole replies and for the ends of streamed items."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from dragoman.core.parts import (
    Citation,
    Inline,
    Media,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from dragoman.dialects.base import Undo
from dragoman.dialects.media_kind import media_kind
from dragoman.dialects.members import NULL
from dragoman.dialects.responses.annotations import read_annotation
from dragoman.dialects.responses.error import malformed
from dragoman.dialects.responses.wire import BAD_JSON, DIALECT, THINKING_FORMAT, compact, encode


class Piece(Struct, frozen=True):
    """One content part of a message or of reasoning."""

    type: str | None = None
    text: str | None = None
    refusal: str | None = None
    annotations: list[Raw] | None = None
    logprobs: list[Raw] | None = None


class Item(Struct, frozen=True):
    """What the known kinds of items share out among them; other kinds stay as they came."""

    type: str | None = None
    id: str | None = None
    status: str | None = None
    content: list[Piece] | None = None
    summary: list[Piece] | None = None
    encrypted_content: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: Raw = NULL
    input: str | None = None
    namespace: str | None = None
    result: str | None = None
    output_format: str | None = None
    execution: str | None = None


class Kind(Struct, frozen=True, gc=False):
    """Just the type of an object."""

    type: str


_ITEM = msgspec.json.Decoder(Item)
_STRING = msgspec.json.Decoder(str)
_TYPE = msgspec.json.Decoder(Kind)

CALLS = frozenset({"function_call", "custom_tool_call"})


def read_item(raw: Raw) -> Item:
    """An item; of a kind that only its provider knows, whatever its members are, just the type.

    Raises:
        UpstreamError: it is no object with a type, or its words or call cannot be read.
    """
    try:
        return _ITEM.decode(raw)
    except BAD_JSON:
        pass
    try:
        kind = _TYPE.decode(raw).type
    except BAD_JSON:
        raise malformed() from None
    if kind == "message" or kind in CALLS:
        raise malformed()
    return Item(type=kind)


def parts_of(item: Item, raw: Raw, undo: Undo) -> list[Part]:
    """The parts that a whole item is."""
    match item.type:
        case "message":
            return [part for piece in item.content or () if (part := words_of(piece)) is not None]
        case "reasoning":
            thought = thinking_of(item)
            # Of what its provider alone has kept there is nothing to tell.
            return [thought] if thought.text or thought.encrypted is not None else []
        case "function_call" | "custom_tool_call":
            return [call_of(item, undo)]
        case _:
            return [other_of(item, raw)]


def words_of(piece: Piece) -> Part | None:
    """Text or refusal; None if it says nothing."""
    if piece.refusal:
        return Refusal(piece.refusal)
    if not piece.text:
        return None
    return Text(piece.text, citations_of(piece))


def citations_of(piece: Piece) -> tuple[Citation, ...]:
    """The citations of a text."""
    found = (read_annotation(note) for note in piece.annotations or ())
    return tuple(citation for citation in found if citation is not None)


def thinking_of(item: Item) -> Thinking:
    """Reasoning: its own words where they are shown, else their summary, and the state of it."""
    content = joined(item.content)
    text = content or joined(item.summary)
    encrypted = item.encrypted_content or None
    return Thinking(
        text,
        encrypted=encrypted,
        redacted=encrypted is not None and not text,
        id=item.id,
        format=THINKING_FORMAT,
        family=DIALECT,
        summary=not content,
    )


def joined(pieces: list[Piece] | None) -> str:
    """The paragraphs of reasoning as one text."""
    return "\n\n".join(piece.text for piece in pieces or () if piece.text)


def call_of(item: Item, undo: Undo) -> ToolCall:
    """A call under the caller's own name of the tool (P57)."""
    name = item.name or ""
    custom = item.type == "custom_tool_call"
    return ToolCall(
        id=item.call_id or item.id or "",
        name=undo.tool_names.get(name, name),
        arguments=(item.input or "") if custom else arguments_of(item),
        kind="custom" if custom else "function",
        item_id=item.id,
        ext={DIALECT: {"namespace": Raw(encode(item.namespace))}} if item.namespace else None,
    )


def arguments_of(item: Item) -> str:
    """A call's arguments: a text, or, where a server got it wrong, the object itself (P37)."""
    if item.arguments is NULL or bytes(item.arguments) == b"null":
        return ""
    try:
        return _STRING.decode(item.arguments)
    except BAD_JSON:
        return bytes(compact(item.arguments)).decode()


def other_of(item: Item, raw: Raw) -> Part:
    """A picture that was made, or an item that only this dialect knows, whole."""
    if item.type == "image_generation_call" and item.result:
        mime = f"image/{item.output_format or 'png'}"
        if media_kind(mime) == "image":
            return Media("image", Inline(item.result, mime))
    return Opaque(DIALECT, item.type or "", compact(raw))


def logprobs_of(tokens: list[Raw] | None) -> bytes | None:
    """Log probabilities in chat's shape, which is the canonical one; None: there are none."""
    return encode({"content": tokens, "refusal": None}) if tokens else None
