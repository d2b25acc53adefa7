"""``groundingMetadata`` ↔ citations; Gemini counts bytes, everybody else characters (P85)."""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from dragoman.core.parts import Citation
from dragoman.dialects.gemini import wire
from dragoman.dialects.gemini.wire import DIALECT


def read_grounding(raw: Raw, text: str) -> list[Citation]:
    """The citations of an answer's text."""
    try:
        found = wire.any_value(raw, "groundingMetadata")
    except wire.WireError:
        return []
    if not isinstance(found, dict):
        return []
    chunks = _list(found.get("groundingChunks"))
    data = text.encode("utf-8", "replace")
    citations: list[Citation] = []
    for support in _list(found.get("groundingSupports")):
        if not isinstance(support, dict):
            continue
        segment = support.get("segment")
        segment = segment if isinstance(segment, dict) else {}
        for index in _list(support.get("groundingChunkIndices")):
            chunk = chunks[index] if isinstance(index, int) and 0 <= index < len(chunks) else None
            citation = _citation(chunk, segment, data)
            if citation is not None:
                citations.append(citation)
    return citations


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _citation(chunk: Any, segment: dict[str, Any], data: bytes) -> Citation | None:
    source = chunk.get("web") or chunk.get("retrievedContext") if isinstance(chunk, dict) else None
    if not isinstance(source, dict) or not isinstance(source.get("uri"), str):
        return None
    title, words = source.get("title"), segment.get("text")
    start, end = segment.get("startIndex", 0), segment.get("endIndex")
    place: tuple[int, int] | None = None
    if isinstance(start, int) and isinstance(end, int) and 0 <= start <= end <= len(data):
        place = (_characters(data, start), _characters(data, end))
    return Citation(
        kind="url",
        cited_text=words if isinstance(words, str) else None,
        url=source["uri"],
        title=title if isinstance(title, str) else None,
        start=place[0] if place else None,
        end=place[1] if place else None,
        dialect=DIALECT,
    )


def _characters(data: bytes, place: int) -> int:
    return len(data[:place].decode("utf-8", "ignore"))


def write_grounding(cited: list[tuple[str, Citation]]) -> dict[str, object] | None:
    """The metadata of citations, each with the text that it stands in; None if none has an address."""
    chunks: list[dict[str, object]] = []
    supports: list[dict[str, object]] = []
    for text, citation in cited:
        if citation.url is None:
            continue
        web = {"uri": citation.url} | ({"title": citation.title} if citation.title else {})
        segment: dict[str, object] = {}
        if citation.unit == "char" and citation.start is not None and citation.end is not None:
            segment["startIndex"] = len(text[: citation.start].encode("utf-8", "replace"))
            segment["endIndex"] = len(text[: citation.end].encode("utf-8", "replace"))
        if citation.cited_text is not None:
            segment["text"] = citation.cited_text
        supports.append({"segment": segment, "groundingChunkIndices": [len(chunks)]})
        chunks.append({"web": web})
    return {"groundingChunks": chunks, "groundingSupports": supports} if chunks else None
