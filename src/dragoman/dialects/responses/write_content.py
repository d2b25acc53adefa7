"""Canonical parts → content parts of input items."""

from __future__ import annotations

import base64
import binascii
from typing import assert_never

from dragoman.core.errors import unsupported
from dragoman.core.parts import (
    CacheMark,
    FileRef,
    Inline,
    Media,
    Opaque,
    Part,
    PartsDoc,
    Refusal,
    SearchResult,
    Text,
    TextDoc,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
)
from dragoman.dialects.media_kind import media_kind
from dragoman.dialects.members import Object
from dragoman.dialects.responses.draft import Draft
from dragoman.dialects.responses.wire import DIALECT

_TTL = {"5m": None, "1h": "12h"}
"""Anthropic's times to live, and what comes nearest here."""
_DETAILS = frozenset({"auto", "low", "high", "original"})


def write_parts(parts: tuple[Part, ...], at: str, draft: Draft) -> list[Object]:
    """Content parts; ``at`` is the path of the message's content."""
    content: list[Object] = []
    for i, part in enumerate(parts):
        content += write_part(part, f"{at}[{i}]", draft)
    return content


def write_part(part: Part, at: str, draft: Draft) -> list[Object]:
    """The content parts, mostly one, that say a part of the user's or of a tool's."""
    match part:
        case Text():
            return [write_text(part, at, draft)]
        case Refusal():
            return [{"type": "input_text", "text": part.text}]
        case Media():
            return _media(part, at, draft)
        case SearchResult():
            draft.lose(at, "a search result became text", "emulated")
            if part.citations_enabled:
                draft.lose(f"{at}.citations", "this dialect does not cite on demand")
            head: Object = {"type": "input_text", "text": f"{part.title}\n{part.source}"}
            content = [head, *write_parts(part.parts, f"{at}.content", draft)]
            mark(content[-1], part.cache, at, draft)
            return content
        case Opaque():
            return _opaque(part, at, draft)
        case Thinking() | ToolCall() | ToolResult():
            raise unsupported(f"{at} is a {type(part).__name__} on the wrong side.", at)
        case _:
            assert_never(part)


def write_text(part: Text, at: str, draft: Draft) -> Object:
    """Words of the user's, of the system's or of a tool's."""
    item: Object = {"type": "input_text", "text": part.text}
    if part.citations:
        draft.lose(f"{at}.citations", "only answers carry citations")
    draft.extend(item, part.ext, at)
    mark(item, part.cache, at, draft)
    return item


def mark(item: Object, cache: CacheMark | None, at: str, draft: Draft) -> None:
    """A cache breakpoint (P124)."""
    if cache is None:
        return
    ttl = _TTL.get(cache.ttl or "", cache.ttl)
    item["prompt_cache_breakpoint"] = {"mode": "explicit"} | ({"ttl": ttl} if ttl else {})
    if cache.ttl not in {None, ttl}:
        became = ttl or "the provider's default"
        draft.lose(f"{at}.cache_control.ttl", f"{cache.ttl} became {became}", "changed")


def _opaque(part: Opaque, at: str, draft: Draft) -> list[Object]:
    if part.kind == "tool_addition":
        # Every tool of the list is on offer from the start here, the added one too.
        draft.lose(at, "the tool is on offer from the start", "emulated")
        return []
    raise unsupported(
        f"{at} is a {part.kind} block, which only {part.dialect} understands; leave it out or "
        f"use a model of that dialect.",
        at,
    )


# --------------------------------------------------------------------------- media


def _media(part: Media, at: str, draft: Draft) -> list[Object]:
    """A document of text becomes text under its title; everything else has a part of its own."""
    content: list[Object] = []
    head = [words for words in (part.title, part.context) if words]
    match part.source:
        case TextDoc() as source:
            draft.lose(at, "a text document became text", "emulated")
            content.append({"type": "input_text", "text": "\n\n".join([*head, source.text])})
        case PartsDoc() as source:
            draft.lose(at, "a document of parts became its parts", "emulated")
            if head:
                content.append({"type": "input_text", "text": "\n\n".join(head)})
            content += write_parts(source.parts, f"{at}.source.content", draft)
        case _:
            if part.context:
                content.append({"type": "input_text", "text": part.context})
            content.append(_held(part, at, draft))
    if part.citations_enabled:
        draft.lose(f"{at}.citations", "this dialect does not cite documents on demand")
    if content:
        draft.extend(content[-1], part.ext, at)
        mark(content[-1], part.cache, at, draft)
    return content


def _held(part: Media, at: str, draft: Draft) -> Object:
    """An image or a file that is bytes, an address or stored."""
    capability = draft.target.capability
    match part.kind:
        case "image":
            _need(capability.images, "images", at, draft)
            return _image(part, at, draft)
        case "document":
            _need(capability.documents, "documents", at, draft)
            return _document(part, at, draft)
        case "audio" | "video":
            raise _refusal(f"{part.kind} input", at, draft)  # P83
        case _:
            assert_never(part.kind)


def _need(able: bool, what: str, at: str, draft: Draft) -> None:  # noqa: FBT001  # read as a sentence
    if not able:
        raise _refusal(what, at, draft)


def _refusal(what: str, at: str, draft: Draft) -> Exception:
    target = draft.target
    return unsupported(
        f"{at}: {target.provider}/{target.model} takes no {what} in this form; choose a model "
        "that does.",
        at,
    )


def _image(part: Media, at: str, draft: Draft) -> Object:
    """``detail`` is required here (§1.2)."""
    item: Object = {"type": "input_image", "detail": part.detail or "auto"}
    if item["detail"] not in _DETAILS:
        draft.lose(f"{at}.detail", f"{item['detail']} is unknown here", "changed")
        item["detail"] = "auto"
    match part.source:
        case Inline() as source:
            if media_kind(source.mime) != "image":  # a PDF in an image's place (P81)
                return _document(part, at, draft)
            item["image_url"] = f"data:{source.mime};base64,{source.data}"
        case Url() as source:
            if source.mime == "application/pdf":
                return _document(part, at, draft)
            item["image_url"] = source.url
        case FileRef() as source:
            item["file_id"] = _file_id(source, at)
        case _:
            raise _refusal("image", at, draft)
    return item


def _document(part: Media, at: str, draft: Draft) -> Object:
    item: Object = {"type": "input_file"}
    name = part.filename or part.title
    match part.source:
        case Inline() as source:
            if source.mime.startswith("text/"):
                return _plain_text(name, source, at, draft)
            item["filename"] = name or f"document.{source.mime.rpartition('/')[2][:8]}"
            item["file_data"] = f"data:{source.mime};base64,{source.data}"
        case Url() as source:
            item["file_url"] = source.url
            if name is not None:
                draft.lose(f"{at}.title", "a file by address has no name here")
        case FileRef() as source:
            item["file_id"] = _file_id(source, at)
        case _:
            raise _refusal("documents", at, draft)
    return item


def _file_id(source: FileRef, at: str) -> str:
    """A file that OpenAI itself keeps: chat's and this dialect's are the same (P82)."""
    if source.dialect not in {DIALECT, "chat"}:
        raise unsupported(
            f"{at} is a file that is stored at one provider only; send its bytes instead.", at
        )
    return source.id


def _plain_text(name: str | None, source: Inline, at: str, draft: Draft) -> Object:
    """A text file in bytes: its words, under its name."""
    try:
        words = base64.b64decode(source.data).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        raise unsupported(f"{at} is a {source.mime} file that is not UTF-8.", at) from None
    draft.lose(at, "a text document became text", "emulated")
    return {"type": "input_text", "text": words if name is None else f"{name}\n\n{words}"}
