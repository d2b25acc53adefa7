"""Media as Gemini takes them: bytes in the request, or files that Google holds."""

from __future__ import annotations

from typing import assert_never

from dragoman.core.errors import CallerError, unsupported
from dragoman.core.parts import (
    FileRef,
    Inline,
    Media,
    PartsDoc,
    Text,
    TextDoc,
    Url,
)
from dragoman.dialects.gemini.draft import Draft, own
from dragoman.dialects.gemini.wire import DIALECT

WirePart = dict[str, object]


def write_media(draft: Draft, part: Media, path: str) -> list[WirePart]:
    """The parts of one picture, sound, film or document.

    Raises:
        CallerError: it stands at an address or with another provider, or the model has no sense for it.
    """
    able = {
        "image": draft.target.capability.images,
        "document": draft.target.capability.documents,
        "audio": draft.target.capability.audio_input,
        "video": True,
    }[part.kind]
    if not able:
        raise CallerError(
            "unsupported_feature",
            f"{path} is of kind {part.kind}, which the model {draft.target.model} cannot take.",
            code="model_capability_mismatch",
            param=path,
        )
    _lose(draft, part, path)
    return [{**one, **own(part.ext)} for one in _source(draft, part, path)]


def _lose(draft: Draft, part: Media, path: str) -> None:
    if part.detail not in {None, "auto"}:
        draft.lose(f"{path}.detail", "not_in_dialect")
    if part.citations_enabled:
        draft.lose(f"{path}.citations", "not_in_dialect")
    if not isinstance(part.source, (TextDoc, PartsDoc)):
        if part.title is not None:
            draft.lose(f"{path}.title", "not_in_dialect")
        if part.context is not None:
            draft.lose(f"{path}.context", "not_in_dialect")
    if part.cache is not None:
        draft.lose(f"{path}.cache_control", "caching_is_implicit_here")
    draft.foreign(part.ext, path)


def _head(part: Media) -> list[str]:
    """What is said of a document before its text, which is told as text itself."""
    return [words for words in (part.title, part.context) if words]


def _source(draft: Draft, part: Media, path: str) -> list[WirePart]:
    match part.source:
        case Inline(data=data, mime=mime):
            blob: WirePart = {"mimeType": mime.replace("image/jpg", "image/jpeg"), "data": data}
            if part.filename is not None:
                draft.lose(f"{path}.filename", "not_in_dialect")
            return [{"inlineData": blob}]
        case Url(url=url, mime=mime):
            return [_address(draft, part, url, mime, path)]
        case FileRef(id=file_id, dialect=dialect, mime=mime):
            if dialect != DIALECT:
                raise unsupported(
                    f"The file at {path} was uploaded to another provider and exists only there: "
                    "send its content instead.",
                    path,
                )
            return [_file(file_id, mime)]
        case TextDoc(text=text):
            draft.lose(path, "a_text_document_becomes_text", "emulated")
            return [{"text": "\n\n".join([*_head(part), text])}]
        case PartsDoc(parts=parts):
            draft.lose(path, "a_document_of_parts_becomes_its_parts", "emulated")
            found: list[WirePart] = [{"text": words} for words in _head(part)]
            for number, inner in enumerate(parts):
                place = f"{path}.source.content[{number}]"
                match inner:
                    case Text(text=text):
                        found.append({"text": text})
                    case Media():
                        found += write_media(draft, inner, place)
                    case _:
                        raise unsupported(f"{place} is neither text nor an image.", place)
            return found
        case _:
            assert_never(part.source)


def _file(uri: str, mime: str | None) -> WirePart:
    return {"fileData": {"fileUri": uri} if mime is None else {"mimeType": mime, "fileUri": uri}}


def _address(draft: Draft, part: Media, url: str, mime: str | None, path: str) -> WirePart:
    """A film of YouTube; of other addresses only newer models fetch what they are told the type of."""
    tube = part.kind == "video" and ("youtube.com/" in url or "youtu.be/" in url)
    if tube or (draft.modern and mime is not None) or not url.startswith(("http://", "https://")):
        return _file(url, mime)
    raise unsupported(
        f"{path} is at an address, which this model does not fetch: send the content itself as "
        "base64.",
        path,
    )
