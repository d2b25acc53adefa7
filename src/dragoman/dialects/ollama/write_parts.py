"""Parts as Ollama takes them: one text and a list of images for each message.

What has neither form and would change what the model sees is refused with its path (§5):
nothing is fetched, transcoded or guessed here.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import assert_never

from dragoman.core.errors import unsupported
from dragoman.core.parts import (
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
from dragoman.dialects.halves import mend
from dragoman.dialects.ollama.draft import Draft, Object


@dataclass(slots=True)
class Content:
    """What one message says: its texts, and all of its images (P168)."""

    words: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)

    def put(self, item: Object, joiner: str = "\n") -> Object:
        """The content in a message (P84); an empty text stands where there is nothing else."""
        item["content"] = mend(joiner.join(words for words in self.words if words))
        if self.images:
            item["images"] = self.images
        return item


def add_part(part: Part, at: str, content: Content, draft: Draft) -> None:
    """Says one part of a system's, a user's or a tool's words.

    Raises:
        CallerError: Ollama has no way to say it.
    """
    match part:
        case Text():
            _text(part, at, content, draft)
        case Refusal():
            content.words.append(part.text)
        case Media():
            _media(part, at, content, draft)
        case SearchResult():
            draft.lose(at, "a search result became text", "emulated")
            if part.citations_enabled:
                draft.lose(f"{at}.citations", "citations have no place here")
            if part.cache is not None:
                draft.lose(f"{at}.cache_control", "no cache marks at this provider")
            content.words.append(f"{part.title}\n{part.source}")
            for number, inner in enumerate(part.parts):
                add_part(inner, f"{at}.content[{number}]", content, draft)
        case Thinking():
            draft.lose(at, "reasoning has no place here")
        case Opaque():
            _opaque(part, at, draft)
        case ToolCall() | ToolResult():
            raise unsupported(f"{at} is a {type(part).__name__} on the wrong side.", at)
        case _:
            assert_never(part)


def _text(part: Text, at: str, content: Content, draft: Draft) -> None:
    if part.citations:
        draft.lose(f"{at}.citations", "citations have no place here")
    if part.cache is not None:
        draft.lose(f"{at}.cache_control", "no cache marks at this provider")
    if part.ext is not None:
        draft.foreign(part.ext, at)
    content.words.append(part.text)


def _opaque(part: Opaque, at: str, draft: Draft) -> None:
    if part.kind == "tool_addition":
        # Every tool of the list is on offer from the start here, the added one too.
        draft.lose(at, "the tool is on offer from the start", "emulated")
        return
    raise unsupported(
        f"{at} is a {part.kind} block, which only {part.dialect} understands; leave it out or "
        f"use a model of that dialect.",
        at,
    )


def _media(part: Media, at: str, content: Content, draft: Draft) -> None:
    if part.cache is not None:
        draft.lose(f"{at}.cache_control", "no cache marks at this provider")
    if part.citations_enabled:
        draft.lose(f"{at}.citations", "this provider does not cite documents")
    if part.ext is not None:
        draft.foreign(part.ext, at)
    head = [words for words in (part.title, part.context) if words]
    match part.source:
        case TextDoc() as source:
            draft.lose(at, "a text document became text", "emulated")
            content.words.append("\n\n".join([*head, source.text]))
        case PartsDoc() as source:
            draft.lose(at, "a document of parts became its parts", "emulated")
            content.words += head
            for number, inner in enumerate(source.parts):
                add_part(inner, f"{at}.source.content[{number}]", content, draft)
        case Inline() as source if part.kind == "image":
            _image(part, source, at, content, draft)
        case Inline() as source if part.kind == "document" and source.mime.startswith("text/"):
            _text_file(part, source, at, content, draft)
        case Url() if part.kind == "image":
            raise unsupported(
                f"{at} is an image by its address, and Ollama takes images as bytes alone: send it "
                "in base64.",
                at,
            )  # P79
        case FileRef():
            raise unsupported(
                f"{at} is a file that is stored at one provider only; send its bytes instead.", at
            )  # P82
        case _:
            raise unsupported(
                f"{at}: {draft.target.provider}/{draft.target.model} takes no {part.kind} input, "
                "only texts and images.",
                at,
            )


def _image(part: Media, source: Inline, at: str, content: Content, draft: Draft) -> None:
    target = draft.target
    if not target.capability.images:
        raise unsupported(f"{at}: {target.provider}/{target.model} takes no images.", at)
    if part.detail is not None and part.detail != "auto":
        draft.lose(f"{at}.detail", "this provider sees every image alike")
    content.images.append(source.data)


def _text_file(part: Media, source: Inline, at: str, content: Content, draft: Draft) -> None:
    try:
        words = base64.b64decode(source.data).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        raise unsupported(f"{at} is a {source.mime} file that is not UTF-8.", at) from None
    draft.lose(at, "a text document became text", "emulated")
    head = part.title or part.filename
    content.words.append(words if head is None else f"{head}\n\n{words}")
