"""Tool results as ``functionResponse`` parts (P50, P51, P53, P180)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from dragoman.core.errors import invalid, unsupported
from dragoman.core.parts import (
    Inline,
    Media,
    Opaque,
    Refusal,
    SearchResult,
    Text,
    ToolResult,
)
from dragoman.dialects.gemini import wire
from dragoman.dialects.gemini.draft import Draft, own
from dragoman.dialects.gemini.read_parts import MADE
from dragoman.dialects.gemini.wire import DIALECT
from dragoman.dialects.gemini.write_media import WirePart, write_media
from dragoman.dialects.halves import mend

_MIMES = {"image/png", "image/jpeg", "image/webp", "application/pdf", "text/plain"}
_ANY = msgspec.json.Decoder()


def write_result(
    draft: Draft, part: ToolResult, names: dict[str, str], path: str
) -> tuple[WirePart, list[WirePart]]:
    """The ``functionResponse``, and the media that have to follow it in a content of their own.

    Raises:
        CallerError: nobody made the call that it answers (P30).
    """
    name = names.get(part.call_id) or part.name
    if not name:
        raise invalid(
            f"The tool result at {path} answers the call {part.call_id!r}, which no assistant "
            "message before it makes.",
            path,
            "tool_call_id_invalid",
        )
    texts: list[str] = []
    inside: list[object] = []
    behind: list[WirePart] = []
    for number, inner in enumerate(part.parts):
        place = f"{path}.content[{number}]"
        match inner:
            case Text(text=text, cache=cache):
                texts.append(text)
                if cache is not None:
                    draft.lose(f"{place}.cache_control", "caching_is_implicit_here")
            case Refusal(text=text):
                texts.append(text)
            case SearchResult():
                texts.append(search_words(draft, inner, place))
            case Media():
                written = write_media(draft, inner, place)
                source = inner.source
                if draft.modern and isinstance(source, Inline) and source.mime in _MIMES:
                    inside += written
                else:
                    draft.lose(place, "media_follows_the_result", "emulated")
                    behind += written
            case Opaque(dialect=dialect, payload=payload) if dialect == DIALECT:
                inside.append(payload)
            case _:
                raise unsupported(f"{place} cannot stand in a tool's result.", place)
    said: dict[str, object] = {}
    if part.call_id and not part.call_id.startswith(MADE):
        said["id"] = part.call_id
    said["name"] = draft.tool_name(name)
    said["response"] = _response("\n".join(texts), failed=part.is_error)
    if inside:
        said["parts"] = inside
    draft.foreign(part.ext, path)
    if part.cache is not None:
        draft.lose(f"{path}.cache_control", "caching_is_implicit_here")
    return {"functionResponse": {**said, **own(part.ext)}}, behind


def search_words(draft: Draft, part: SearchResult, path: str) -> str:
    """A search result as the text that it holds."""
    draft.lose(path, "search_result_became_text", "emulated")
    if part.citations_enabled:
        draft.lose(f"{path}.citations", "not_in_dialect")
    if part.cache is not None:
        draft.lose(f"{path}.cache_control", "caching_is_implicit_here")
    words = "\n".join(inner.text for inner in part.parts if isinstance(inner, Text))
    return f"{part.title}\n{part.source}\n{words}"


def _response(text: str, *, failed: bool) -> object:
    """The text as the object it is, or under the key that Gemini's convention gives it (P51)."""
    if failed:
        return {"error": text}
    if text.lstrip()[:1] == "{":
        data = mend(text).encode()
        try:
            value = _ANY.decode(data)
        except wire.BAD_JSON:
            return {"output": text}
        wrapped = isinstance(value, dict) and len(value) == 1 and set(value) <= {"output", "error"}
        if isinstance(value, dict) and not wrapped and not _refers(value):
            return Raw(data)
    return {"output": mend(text)}


def _refers(node: Any) -> bool:
    """Whether keys of JSON Schema are in it, which Gemini takes for references (P51)."""
    if isinstance(node, dict):
        return "$ref" in node or "$defs" in node or any(_refers(inner) for inner in node.values())
    return isinstance(node, list) and any(_refers(inner) for inner in node)
