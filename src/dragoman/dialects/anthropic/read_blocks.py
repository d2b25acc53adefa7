"""Content blocks → parts, for requests and for replies alike."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from dragoman.core.parts import (
    CacheMark,
    Citation,
    FileRef,
    Inline,
    Media,
    Opaque,
    Part,
    PartsDoc,
    SearchResult,
    Source,
    Text,
    TextDoc,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
)
from dragoman.dialects.anthropic import wire
from dragoman.dialects.anthropic.wire import DIALECT, THINKING_FORMAT, WireError

_TEXT = msgspec.json.Decoder(wire.TextBlock)
_IMAGE = msgspec.json.Decoder(wire.ImageBlock)
_DOCUMENT = msgspec.json.Decoder(wire.DocumentBlock)
_SEARCH = msgspec.json.Decoder(wire.SearchResultBlock)
_THINKING = msgspec.json.Decoder(wire.ThinkingBlock)
_REDACTED = msgspec.json.Decoder(wire.RedactedThinkingBlock)
_TOOL_USE = msgspec.json.Decoder(wire.ToolUseBlock)
_TOOL_RESULT = msgspec.json.Decoder(wire.ToolResultBlock)


def read_content(raw: Raw, path: str) -> tuple[Part, ...]:
    """A message's ``content``: one text, or a list of blocks; null says nothing."""
    if wire.starts_with(raw, b'"'):
        return (Text(wire.text(raw, path)),)
    if wire.is_null(raw):
        return ()
    parts: list[Part] = []
    for number, item in enumerate(wire.items(raw, path)):
        # What is no object says nothing (R-XLATE-003).
        if wire.starts_with(item, b"{"):
            parts.append(read_block(item, f"{path}[{number}]"))
    return tuple(parts)


def read_block(raw: Raw, path: str) -> Part:
    """One block as a part; of kinds that only this dialect has, the block itself."""
    kind = wire.kind(raw)
    match kind:
        case "text":
            return _read_text(raw, path)
        case "tool_use":
            return _read_tool_use(raw, path)
        case "tool_result":
            return _read_tool_result(raw, path)
        case "thinking":
            return _read_thinking(raw, path)
        case "redacted_thinking":
            return _read_redacted(raw, path)
        case "image":
            image, ext = wire.block(_IMAGE, raw, path)
            source = _read_source(image.source, f"{path}.source")
            return Media("image", source, cache=mark(image.cache_control), ext=ext)
        case "document":
            return _read_document(raw, path)
        case "search_result":
            return _read_search_result(raw, path)
        case None:
            raise WireError(f"{path}.type", "it is required and has to be a string")
        case _:
            return Opaque(DIALECT, kind, Raw(wire.compact(raw).encode()))


def mark(control: wire.CacheControl | None) -> CacheMark | None:
    """A cache breakpoint."""
    return None if control is None else CacheMark(control.ttl)


def _read_text(raw: Raw, path: str) -> Text:
    block, ext = wire.block(_TEXT, raw, path)
    if not block.citations and block.cache_control is None and ext is None:
        return Text(block.text)
    return Text(
        block.text,
        citations=tuple(read_citation(item) for item in block.citations or ()),
        cache=mark(block.cache_control),
        ext=ext,
    )


def _read_thinking(raw: Raw, path: str) -> Thinking:
    block = wire.value(_THINKING, raw, path)
    return Thinking(
        block.thinking,
        signature=block.signature or None,
        family=DIALECT,
        format=THINKING_FORMAT,
    )


def _read_redacted(raw: Raw, path: str) -> Thinking:
    data = wire.value(_REDACTED, raw, path).data
    return Thinking(redacted=True, encrypted=data, family=DIALECT, format=THINKING_FORMAT)


def _read_tool_use(raw: Raw, path: str) -> ToolCall:
    block, ext = wire.block(_TOOL_USE, raw, path)
    return ToolCall(
        id=block.id or "",
        name=block.name or "",
        arguments=read_input(block.input),
        cache=mark(block.cache_control),
        ext=ext,
    )


def read_input(raw: Raw) -> str:
    """A call's input as text; nothing at all means no arguments (P34)."""
    return "{}" if wire.is_null(raw) else wire.compact(raw)


def _read_tool_result(raw: Raw, path: str) -> ToolResult:
    block, ext = wire.block(_TOOL_RESULT, raw, path)
    return ToolResult(
        call_id=block.tool_use_id or "",
        parts=read_content(block.content, f"{path}.content"),
        is_error=block.is_error is True,
        cache=mark(block.cache_control),
        ext=ext,
    )


def _read_document(raw: Raw, path: str) -> Media:
    block, ext = wire.block(_DOCUMENT, raw, path)
    return Media(
        "document",
        _read_source(block.source, f"{path}.source"),
        title=block.title,
        context=block.context,
        citations_enabled=block.citations.enabled if block.citations else None,
        cache=mark(block.cache_control),
        ext=ext,
    )


def _read_search_result(raw: Raw, path: str) -> SearchResult:
    block = wire.value(_SEARCH, raw, path)
    return SearchResult(
        source=block.source,
        title=block.title,
        parts=tuple(
            read_block(item, f"{path}.content[{number}]")
            for number, item in enumerate(block.content)
        ),
        citations_enabled=block.citations.enabled if block.citations else None,
        cache=mark(block.cache_control),
    )


def _read_source(source: wire.Source, path: str) -> Source:
    match source.type:
        case "base64" if source.data is not None and source.media_type is not None:
            return Inline(source.data, source.media_type.lower())
        case "url" if source.url is not None:
            return Url(source.url)
        case "file" if source.file_id is not None:
            return FileRef(source.file_id, DIALECT)
        case "text" if source.data is not None:
            return TextDoc(source.data)
        case "content" if not wire.is_null(source.content):
            return PartsDoc(read_content(source.content, f"{path}.content"))
        case _:
            raise WireError(path, "it has to be a base64, url, file, text or content source")


# --------------------------------------------------------------------------- citations


class _Location(Struct, frozen=True):
    """The members that the five kinds of citations share out among them."""

    type: str | None = None
    cited_text: str | None = None
    url: str | None = None
    source: str | None = None
    title: str | None = None
    document_title: str | None = None
    document_index: int | None = None
    search_result_index: int | None = None
    file_id: str | None = None
    start_char_index: int | None = None
    end_char_index: int | None = None
    start_page_number: int | None = None
    end_page_number: int | None = None
    start_block_index: int | None = None
    end_block_index: int | None = None


_LOCATION = msgspec.json.Decoder(_Location)


def read_citation(raw: Raw) -> Citation:
    """A citation, with its own spelling kept beside what others understand of it."""
    own = Raw(wire.compact(raw).encode())
    try:
        place = _LOCATION.decode(raw)
    except wire.BAD_JSON:
        return Citation("url", raw=own, dialect=DIALECT)
    common = Citation(
        "url",
        cited_text=place.cited_text,
        title=place.title or place.document_title,
        file_id=place.file_id,
        raw=own,
        dialect=DIALECT,
    )
    replace = msgspec.structs.replace
    match place.type:
        case "char_location":
            return replace(
                common,
                kind="char",
                document=place.document_index,
                start=place.start_char_index,
                end=place.end_char_index,
            )
        case "page_location":
            return replace(
                common,
                kind="page",
                unit="page",
                document=place.document_index,
                start=place.start_page_number,
                end=place.end_page_number,
            )
        case "content_block_location":
            return replace(
                common,
                kind="block",
                unit="block",
                document=place.document_index,
                start=place.start_block_index,
                end=place.end_block_index,
            )
        case "search_result_location":
            return replace(
                common,
                kind="search",
                unit="block",
                url=place.source,
                document=place.search_result_index,
                start=place.start_block_index,
                end=place.end_block_index,
            )
        case _:
            return replace(common, url=place.url)
