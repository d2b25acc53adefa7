"""Chat's ``annotations`` ↔ citations; chat can cite addresses only (`dialects.md` §3.2)."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from dragoman.core.parts import Citation


class _UrlCitation(Struct, gc=False):
    url: str = ""
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None
    content: str | None = None


class _Annotation(Struct, gc=False):
    type: str = ""
    url_citation: _UrlCitation | None = None


_ANNOTATION = msgspec.json.Decoder(_Annotation)


def read_annotation(raw: Raw) -> Citation | None:
    """The citation that an annotation is; None for kinds that only their provider knows."""
    try:
        found = _ANNOTATION.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    cited = found.url_citation
    if found.type != "url_citation" or cited is None:
        return None
    return Citation(
        kind="url",
        cited_text=cited.content,
        url=cited.url,
        title=cited.title,
        start=cited.start_index,
        end=cited.end_index,
        raw=raw.copy(),
        dialect="chat",
    )


def write_annotation(citation: Citation, start: int, end: int) -> object | None:
    """The annotation of a citation, None if chat has no word for it.

    ``start`` and ``end`` are where the cited text stands in the content, for citations that do
    not say it themselves: OpenAI requires both, counted in characters (P85).
    """
    if citation.dialect == "chat" and citation.raw is not None:
        return citation.raw
    if citation.url is None:
        return None
    own = citation.unit == "char" and citation.start is not None and citation.end is not None
    return {
        "type": "url_citation",
        "url_citation": {
            "url": citation.url,
            "title": citation.title or "",
            "start_index": citation.start if own else start,
            "end_index": citation.end if own else end,
        },
    }
