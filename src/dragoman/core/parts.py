"""What messages are made of: one tagged struct for each kind of part.

The union is a superset of what the dialects can say, not of how they spell it
(`dialects.md` §2). Opaque data (signatures, encrypted reasoning, ids) stays the
original text. Tool arguments stay the original JSON text, so that numbers and
key order survive every translation that does not need an object.

``ext`` holds members that only one dialect knows, as ``{dialect: {member: raw}}``;
it is emitted again towards the same family and never crosses to another.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec
from msgspec import Raw, Struct

Ext: TypeAlias = dict[str, dict[str, Raw]]
"""Members of one dialect that have no canonical name, verbatim."""


class CacheMark(Struct, frozen=True, gc=False):
    """A prompt-cache breakpoint behind the part that carries it; ``ttl`` as in ``5m`` or ``1h``."""

    ttl: str | None = None


# --------------------------------------------------------------------------- where media is


class Inline(Struct, frozen=True, gc=False, tag="inline"):
    """Bytes in the request; ``data`` is standard base64 without a prefix, ``mime`` lower case."""

    data: str
    mime: str


class Url(Struct, frozen=True, gc=False, tag="url"):
    """An http(s) address, or one of the provider's own schemes."""

    url: str
    mime: str | None = None


class FileRef(Struct, frozen=True, gc=False, tag="file"):
    """A file that was uploaded to one provider; it exists nowhere else."""

    id: str
    dialect: str
    mime: str | None = None


class TextDoc(Struct, frozen=True, gc=False, tag="text_doc"):
    """A document whose content is plain text."""

    text: str


class PartsDoc(Struct, frozen=True, gc=False, tag="parts_doc"):
    """A document whose content is a list of parts (Anthropic's ``content`` source)."""

    parts: tuple[Part, ...]


Source: TypeAlias = Inline | Url | FileRef | TextDoc | PartsDoc


# --------------------------------------------------------------------------- parts


class Citation(Struct, frozen=True, gc=False):
    """One reference behind a text; offsets count what ``unit`` says."""

    kind: Literal["url", "char", "page", "block", "search"]
    cited_text: str | None = None
    url: str | None = None
    title: str | None = None
    document: int | None = None
    start: int | None = None
    end: int | None = None
    unit: Literal["char", "byte", "page", "block"] = "char"
    file_id: str | None = None
    raw: Raw | None = None
    """The citation as its own dialect spelled it."""
    dialect: str | None = None


class Text(Struct, frozen=True, gc=False, tag="text"):
    """Words of the system, the user or the assistant."""

    text: str
    citations: tuple[Citation, ...] = ()
    cache: CacheMark | None = None
    ext: Ext | None = None


class Refusal(Struct, frozen=True, gc=False, tag="refusal"):
    """The assistant's own words of refusal, where a dialect keeps them apart from text."""

    text: str


class Media(Struct, frozen=True, gc=False, tag="media"):
    """An image, a sound, a film or a document."""

    kind: Literal["image", "audio", "video", "document"]
    source: Source
    detail: str | None = None
    filename: str | None = None
    title: str | None = None
    context: str | None = None
    citations_enabled: bool | None = None
    cache: CacheMark | None = None
    transcript: str | None = None
    ext: Ext | None = None


class SearchResult(Struct, frozen=True, gc=False, tag="search_result"):
    """A search result that the caller supplies as material to cite."""

    source: str
    title: str
    parts: tuple[Part, ...]
    citations_enabled: bool | None = None
    cache: CacheMark | None = None


class Thinking(Struct, frozen=True, gc=False, tag="thinking"):
    """Reasoning of the assistant; ``signature`` and ``encrypted`` are opaque and go back byte for byte.

    ``redacted`` marks reasoning that exists in encrypted form only. ``family`` names the
    dialect family that issued it: towards any other, it is left out (P93).
    """

    text: str = ""
    signature: str | None = None
    encrypted: str | None = None
    redacted: bool = False
    id: str | None = None
    format: str | None = None
    family: str | None = None
    summary: bool = False


class ToolCall(Struct, frozen=True, gc=False, tag="tool_call"):
    """A call that the caller's program is asked to make; ``arguments`` is the original text.

    ``kind`` custom: ``arguments`` is free text instead of JSON.
    """

    id: str
    name: str
    arguments: str = ""
    kind: Literal["function", "custom"] = "function"
    signature: str | None = None
    item_id: str | None = None
    cache: CacheMark | None = None
    ext: Ext | None = None


class ToolResult(Struct, frozen=True, gc=False, tag="tool_result"):
    """What came of a tool call; always in a user-side message, whatever the dialect's own role."""

    call_id: str
    parts: tuple[Part, ...] = ()
    is_error: bool = False
    name: str | None = None
    cache: CacheMark | None = None
    ext: Ext | None = None


class Opaque(Struct, frozen=True, gc=False, tag="opaque"):
    """A part that one dialect alone understands, verbatim (server tools, containers, compaction)."""

    dialect: str
    kind: str
    payload: Raw


Part: TypeAlias = Text | Refusal | Media | SearchResult | Thinking | ToolCall | ToolResult | Opaque


class Message(Struct, frozen=True, gc=False):
    """One turn; ``system`` stands for instructions in the middle of a conversation.

    ``role_name`` keeps the dialect's own word where it has two for one (developer).
    """

    role: Literal["user", "assistant", "system"]
    parts: tuple[Part, ...]
    name: str | None = None
    role_name: str | None = None
    ext: Ext | None = None


def raw(value: object) -> Raw:
    """The JSON of a value, for an extension bag."""
    return Raw(msgspec.json.encode(value))
