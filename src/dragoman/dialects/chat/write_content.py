"""Canonical parts → content of the chat dialect, as the target's flavour takes it."""

from __future__ import annotations

from typing import assert_never

from dragoman.core.errors import unsupported
from dragoman.core.parts import (
    CacheMark,
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
)
from dragoman.dialects.chat.draft import Draft
from dragoman.dialects.chat.write_media import write_media
from dragoman.dialects.members import Object, members_of

_OWN_TTL = {"5m": None, "1h": "12h", "30m": "30m", "12h": "12h"}
_ANTHROPIC_TTL = {"30m": "1h", "12h": "1h"}


def write_parts(parts: tuple[Part, ...], at: str, draft: Draft) -> list[Object]:
    """Content parts; ``at`` is the path of the message's content."""
    content: list[Object] = []
    for i, part in enumerate(parts):
        content += write_part(part, f"{at}[{i}]", draft)
    return content


def write_part(part: Part, at: str, draft: Draft) -> list[Object]:
    """The content parts, mostly one, that say this part."""
    match part:
        case Text():
            return [_text(part, at, draft)]
        case Refusal():
            return [{"type": "text", "text": part.text}]  # P86
        case Media():
            return _media(part, at, draft)
        case SearchResult():
            draft.lose(at, "a search result became text", "emulated")
            if part.citations_enabled:
                draft.lose(f"{at}.citations", "this provider does not cite search results")
            return [
                {"type": "text", "text": f"{part.title}\n{part.source}"},
                *_inner(part, at, draft),
            ]
        case Thinking():
            draft.lose(at, "reasoning has no place here")
            return []
        case Opaque():
            return _opaque(part, at, draft)
        case ToolCall() | ToolResult():
            raise unsupported(f"{at} is a {type(part).__name__} on the wrong side.", at)
        case _:
            assert_never(part)


def collapse(content: list[Object], draft: Draft, joiner: str = "\n") -> str | list[Object]:
    """A single text as a string; several stay a list where the target takes one (P84)."""
    if not content:
        return ""
    bare = all(part.keys() == {"type", "text"} for part in content)
    if bare and (len(content) == 1 or not draft.flavour.lists):
        return joiner.join(part["text"] for part in content if part["text"])
    return content


def mark(item: Object, cache: CacheMark | None, at: str, draft: Draft) -> None:
    """A cache breakpoint in the target's spelling, or a loss (P124)."""
    if cache is None:
        return
    match draft.flavour.marks:
        case "breakpoint":
            spelled: Object = {"mode": "explicit"}
            name, ttl = "prompt_cache_breakpoint", _OWN_TTL.get(cache.ttl or "", cache.ttl)
        case "cache_control":
            spelled = {"type": "ephemeral"}
            name, ttl = "cache_control", _ANTHROPIC_TTL.get(cache.ttl or "", cache.ttl)
        case _:
            draft.lose(f"{at}.cache_control", "no cache marks at this provider")
            return
    if ttl is not None:
        spelled["ttl"] = ttl
    if cache.ttl not in {None, ttl}:
        became = ttl or "the provider's default"
        draft.lose(f"{at}.cache_control.ttl", f"{cache.ttl} became {became}", "changed")
    item[name] = spelled


def _text(part: Text, at: str, draft: Draft) -> Object:
    item: Object = {"type": "text", "text": part.text}
    if part.citations:
        draft.lose(f"{at}.citations", "citations have no place in a chat history")
    draft.extend(item, part.ext, at)
    mark(item, part.cache, at, draft)
    return item


def _inner(part: SearchResult, at: str, draft: Draft) -> list[Object]:
    content = write_parts(part.parts, f"{at}.content", draft)
    if part.cache is not None and content:
        mark(content[-1], part.cache, at, draft)
    return content


def _media(part: Media, at: str, draft: Draft) -> list[Object]:
    """A document of text becomes text under its title; everything else has a part of its own."""
    content: list[Object] = []
    head = [words for words in (part.title, part.context) if words]
    match part.source:
        case TextDoc() as source:
            draft.lose(at, "a text document became text", "emulated")
            content.append({"type": "text", "text": "\n\n".join([*head, source.text])})
        case PartsDoc() as source:
            draft.lose(at, "a document of parts became its parts", "emulated")
            if head:
                content.append({"type": "text", "text": "\n\n".join(head)})
            content += write_parts(source.parts, f"{at}.source.content", draft)
        case _:
            if part.context:
                content.append({"type": "text", "text": part.context})
            content.append(write_media(part, at, draft))
    if part.citations_enabled:
        draft.lose(f"{at}.citations", "this provider does not cite documents")
    if content:
        draft.extend(content[-1], part.ext, at)
        if content[-1].get("type") == "text" or draft.flavour.marks != "cache_control":
            mark(content[-1], part.cache, at, draft)
        elif part.cache is not None:
            draft.lose(f"{at}.cache_control", "only texts carry cache marks at this provider")
    return content


def _opaque(part: Opaque, at: str, draft: Draft) -> list[Object]:
    if part.dialect == "chat":
        return [members_of(part.payload, at)]
    if part.kind == "tool_addition":
        # Every tool of the list is on offer from the start here, the added one too.
        draft.lose(at, "the tool is on offer from the start", "emulated")
        return []
    raise unsupported(
        f"{at} is a {part.kind} block, which only {part.dialect} understands; leave it out or "
        f"use a model of that dialect.",
        at,
    )
