"""Images, sounds, films and documents in the chat dialect's parts.

Formats that a target does not take are refused with their path, for leaving them out would
change what the model sees (§5): nothing is fetched and nothing transcoded here.
"""

from __future__ import annotations

import base64
import binascii
from typing import assert_never

from dragoman.core.errors import CallerError, unsupported
from dragoman.core.parts import FileRef, Inline, Media, Url
from dragoman.dialects.chat.draft import Draft
from dragoman.dialects.chat.media import AUDIO_FORMAT
from dragoman.dialects.members import Object


def write_media(part: Media, at: str, draft: Draft) -> Object:
    """The content part for a medium that is bytes, an address or a stored file."""
    match part.kind:
        case "image":
            _need(draft.target.capability.images, "images", at, draft)
            return _image(part, at, draft)
        case "audio":
            _need(draft.target.capability.audio_input, "audio input", at, draft)
            return _audio(part, at, draft)
        case "video":
            _need(draft.flavour.videos, "video input", at, draft)
            return {"type": "video_url", "video_url": {"url": _address(part, at, draft)}}
        case "document":
            _need(draft.target.capability.documents, "documents", at, draft)
            return _document(part, at, draft)
        case _:
            assert_never(part.kind)


def _need(able: bool, what: str, at: str, draft: Draft) -> None:  # noqa: FBT001  # read as a sentence
    if not able:
        raise _refusal(what, at, draft)


def _refusal(what: str, at: str, draft: Draft) -> CallerError:
    target = draft.target
    return unsupported(
        f"{at}: {target.provider}/{target.model} takes no {what} in this form; choose a model that does.",
        at,
    )


def _address(part: Media, at: str, draft: Draft) -> str:
    match part.source:
        case Inline() as source:
            return f"data:{source.mime};base64,{source.data}"
        case Url() as source:
            return source.url
        case FileRef():
            # P82
            raise unsupported(
                f"{at} is a file that is stored at one provider only; send its bytes instead.", at
            )
        case _:
            raise _refusal(part.kind, at, draft)


def _image(part: Media, at: str, draft: Draft) -> Object:
    image: Object = {"url": _address(part, at, draft)}
    if part.detail is not None:
        if part.detail in draft.flavour.details:
            image["detail"] = part.detail
        else:
            draft.lose(f"{at}.detail", f"{part.detail} is unknown to this provider")
    return {"type": "image_url", "image_url": image}


def _audio(part: Media, at: str, draft: Draft) -> Object:
    match draft.flavour.audio, part.source:
        case "bare", Inline() as source:
            return {"type": "input_audio", "input_audio": source.data}
        case "bare", Url() as source:
            return {"type": "input_audio", "input_audio": source.url}
        case "formats" | "any", Inline() as source:
            name = AUDIO_FORMAT.get(source.mime)
            if name is None:
                if draft.flavour.audio != "any":
                    raise _refusal(f"{source.mime} (send wav or mp3)", at, draft)
                name = source.mime.partition("/")[2]
            return {"type": "input_audio", "input_audio": {"data": source.data, "format": name}}
        case _:
            raise _refusal("audio input", at, draft)


def _document(part: Media, at: str, draft: Draft) -> Object:
    source = part.source
    if isinstance(source, FileRef) and source.dialect == "chat" and draft.flavour.documents:
        file: Object = {"file_id": source.id}
        return {"type": "file", "file": {**file, **_named(part)}}
    if isinstance(source, Inline) and source.mime.startswith("text/"):
        return _plain_text(part, source, at, draft)
    if isinstance(source, Url) and not draft.flavour.document_urls:
        raise _refusal("documents by address (send the file's bytes)", at, draft)  # P185
    match draft.flavour.documents:
        case "file":
            address = _address(part, at, draft)
            named = _named(part) or {"filename": part.title or "document.pdf"}
            return {"type": "file", "file": {**named, "file_data": address}}
        case "document_url":
            item: Object = {"type": "document_url", "document_url": _address(part, at, draft)}
            name = part.filename or part.title
            return item if name is None else {**item, "document_name": name}
        case _:
            raise _refusal("documents", at, draft)


def _named(part: Media) -> Object:
    return {} if part.filename is None else {"filename": part.filename}


def _plain_text(part: Media, source: Inline, at: str, draft: Draft) -> Object:
    """A text file in bytes: its words, under its name."""
    try:
        words = base64.b64decode(source.data).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        raise unsupported(f"{at} is a {source.mime} file that is not UTF-8.", at) from None
    draft.lose(at, "a text document became text", "emulated")
    head = part.title or part.filename
    return {"type": "text", "text": words if head is None else f"{head}\n\n{words}"}
