"""``annotations`` of an output text ↔ citations (`dialects.md` §1.2, §3.2)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from dragoman.core.parts import Citation, raw
from dragoman.dialects.responses.wire import BAD_JSON, DIALECT, compact


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _place(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def read_annotation(value: object) -> Citation | None:
    """The citation that an annotation is, with its own spelling beside it; None: it is no object."""
    if isinstance(value, Raw):
        own = compact(value)
        try:
            note: Any = msgspec.json.decode(own)
        except BAD_JSON:
            return None
    else:
        note, own = value, raw(value)
    if not isinstance(note, dict):
        return None
    kind = note.get("type")
    file_id = _text(note.get("file_id"))
    return Citation(
        kind="url" if kind == "url_citation" else "char",
        url=_text(note.get("url")),
        title=_text(note.get("title")) or _text(note.get("filename")),
        start=_place(note.get("start_index")),
        end=_place(note.get("end_index")),
        file_id=file_id,
        raw=own,
        dialect=DIALECT,
    )


def write_annotation(citation: Citation, length: int) -> Raw | dict[str, object] | None:
    """The annotation of a citation; None where this dialect has no word for it.

    ``length`` is that of the text so far: offsets are required, and count within the part (P85).
    """
    if citation.dialect == DIALECT and citation.raw is not None:
        return citation.raw
    if citation.url is not None:
        placed = (
            citation.unit == "char" and citation.start is not None and citation.end is not None
        )
        own = placed and citation.kind == "url"
        return {
            "type": "url_citation",
            "url": citation.url,
            "title": citation.title or "",
            "start_index": citation.start if own else 0,
            "end_index": citation.end if own else length,
        }
    if citation.file_id is not None:
        return {
            "type": "file_citation",
            "file_id": citation.file_id,
            "filename": citation.title or "",
            "index": length,
        }
    return None
