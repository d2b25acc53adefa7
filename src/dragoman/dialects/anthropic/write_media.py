"""Images and documents as Anthropic takes them; what it cannot see is refused."""

from __future__ import annotations

import base64
import binascii
from typing import assert_never

from dragoman.core.errors import CallerError, invalid, unsupported
from dragoman.core.parts import FileRef, Inline, Media, PartsDoc, Text, TextDoc, Url
from dragoman.dialects.anthropic.draft import Draft, own
from dragoman.dialects.anthropic.wire import DIALECT

_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_MAGIC = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF", "application/pdf"),
)
_HEAD = 16
"""Base64 digits that hold the first twelve bytes, where every format names itself."""


def write_media(draft: Draft, part: Media, path: str) -> dict[str, object]:
    """The block of an image or a document.

    Raises:
        CallerError: sound, film, a file of another provider, a format that is not taken.
    """
    block: dict[str, object]
    if part.kind in {"audio", "video"}:
        raise unsupported(
            f"{path} is {part.kind}, which Anthropic's models cannot take: send text, images or "
            "PDF documents.",
            path,
        )
    kind, source = _source(draft, part, path)
    able = draft.target.capability.images if kind == "image" else draft.target.capability.documents
    if not able:
        raise CallerError(
            "unsupported_feature",
            f"{path} is of kind {kind}, which the model {draft.target.model} cannot take.",
            code="model_capability_mismatch",
            param=path,
        )
    block = {"type": kind, "source": source}
    if kind == "document":
        if title := part.title or part.filename:
            block["title"] = title
        if part.context is not None:
            block["context"] = part.context
        if part.citations_enabled is not None:
            block["citations"] = {"enabled": part.citations_enabled}
    if part.detail not in {None, "auto"}:
        draft.lose(f"{path}.detail", "not_in_dialect")
    draft.foreign(part.ext, path)
    block.update(own(part.ext))
    if part.cache is not None:
        block["cache_control"] = draft.cache_control(part.cache, path)
    return block


def _source(draft: Draft, part: Media, path: str) -> tuple[str, dict[str, object]]:
    """What is shown (image or document), and where it is."""
    kind = "image" if part.kind == "image" else "document"
    match part.source:
        case Inline():
            return _inline(part.source, path)
        case Url(url=url, mime=mime):
            if not url.lower().startswith(("https://", "http://")):
                raise invalid(
                    f"The address at {path} has to begin with https://, http:// or data:.", path
                )
            if mime == "application/pdf":
                kind = "document"
            return kind, {"type": "url", "url": url}
        case FileRef(id=file_id, dialect=dialect):
            if dialect != DIALECT:
                raise unsupported(
                    f"The file at {path} was uploaded to another provider and exists only there: "
                    "send its content instead.",
                    path,
                )
            return kind, {"type": "file", "file_id": file_id}
        case TextDoc(text=text):
            return "document", {"type": "text", "media_type": "text/plain", "data": text}
        case PartsDoc(parts=parts):
            return "document", {"type": "content", "content": _inner(draft, parts, path)}
        case _:
            assert_never(part.source)


def _inner(draft: Draft, parts: tuple[object, ...], path: str) -> list[dict[str, object]]:
    blocks: list[dict[str, object]] = []
    for number, part in enumerate(parts):
        place = f"{path}.source.content[{number}]"
        match part:
            case Text(text=text):
                blocks.append({"type": "text", "text": text})
            case Media():
                blocks.append(write_media(draft, part, place))
            case _:
                raise unsupported(f"{place} is neither text nor an image.", place)
    return blocks


def _inline(source: Inline, path: str) -> tuple[str, dict[str, object]]:
    """Bytes: their own first ones decide, for Anthropic compares them with the type (P78, P81)."""
    mime = _sniffed(source.data) or source.mime.replace("image/jpg", "image/jpeg")
    if mime in _IMAGES:
        return "image", {"type": "base64", "media_type": mime, "data": source.data}
    if mime == "application/pdf":
        return "document", {"type": "base64", "media_type": mime, "data": source.data}
    if mime.startswith("text/") or mime == "application/json":
        return "document", {
            "type": "text",
            "media_type": "text/plain",
            "data": _plain_text(source.data, path),
        }
    raise unsupported(
        f"{path} is of type {mime}, which Anthropic does not take: send JPEG, PNG, GIF, WebP, "
        "PDF or plain text.",
        path,
    )


def _sniffed(data: str) -> str | None:
    try:
        head = base64.b64decode(data[:_HEAD])
    except (binascii.Error, ValueError):
        return None
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return next((mime for magic, mime in _MAGIC if head.startswith(magic)), None)


def _plain_text(data: str, path: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except ValueError:  # binascii.Error and UnicodeDecodeError are both of its kind
        raise invalid(f"The text document at {path} has to be UTF-8 in base64.", path) from None
