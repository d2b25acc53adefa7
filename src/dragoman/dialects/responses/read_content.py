"""Content parts of input items → canonical parts; one small reader for each ``type``.

A part of an unknown type is refused with its path, for nobody can say what it means (P88).
"""

from __future__ import annotations

from collections.abc import Callable

from dragoman.core.errors import invalid
from dragoman.core.parts import (
    Citation,
    FileRef,
    Inline,
    Media,
    Part,
    Refusal,
    Text,
    Url,
)
from dragoman.dialects.media_kind import media_kind
from dragoman.dialects.members import (
    Object,
    array,
    mapping,
    missing,
    need,
    string,
    take,
    wrong_type,
)
from dragoman.dialects.responses.annotations import read_annotation
from dragoman.dialects.responses.media import file_source, parse_source
from dragoman.dialects.responses.wire import DIALECT, leftover, take_cache


def read_content(content: object, at: str) -> tuple[Part, ...]:
    """A message's ``content`` or a call's ``output``: a string, parts, or nothing."""
    if content is None or content == "":
        return ()
    if isinstance(content, str):
        return (Text(content),)
    if not isinstance(content, list):
        raise wrong_type(at, "a string or an array of parts", content)
    return tuple(_part(part, f"{at}[{i}]") for i, part in enumerate(content))


def _part(value: object, at: str) -> Part:
    part = mapping(value, at)
    name = need(part, "type", string, at)
    read = _READERS.get(name)
    if read is None:
        raise invalid(
            f"{at}.type is {name[:64]!r}, which is no content part of the Responses dialect.",
            f"{at}.type",
            "unknown_content_type",
        )
    return read(part, at)


def _text(part: Object, at: str) -> Text:
    text = take(part, "text", string, at)
    if text is None:
        raise missing(f"{at}.text")
    citations: list[Citation] = []
    for note in take(part, "annotations", array, at) or ():
        citation = read_annotation(note)
        if citation is not None:
            citations.append(citation)
    part.pop("logprobs", None)  # of an answer that was given; nobody reads them again
    cache = take_cache(part, at)
    return Text(text, tuple(citations), cache, leftover(part))


def _refusal(part: Object, at: str) -> Refusal:
    return Refusal(need(part, "refusal", string, at))


def _image(part: Object, at: str) -> Media:
    """``input_image``: an address or a data URL, or the id of a file that was uploaded."""
    url = take(part, "image_url", string, at)
    file_id = take(part, "file_id", string, at)
    detail = take(part, "detail", string, at)
    cache = take_cache(part, at)
    if url is None:
        if file_id is None:
            raise missing(f"{at}.image_url")
        ref = FileRef(file_id, DIALECT)
        return Media("image", ref, detail=detail, cache=cache, ext=leftover(part))
    source = parse_source(url, f"{at}.image_url")
    kind = media_kind(source.mime) if isinstance(source, Inline) else "image"
    # A PDF in an image's place is a document (P81).
    return Media(kind, source, detail=detail, cache=cache, ext=leftover(part))


def _file(part: Object, at: str) -> Media:
    """``input_file``: its bytes, its address, or its id."""
    filename = take(part, "filename", string, at)
    data = take(part, "file_data", string, at)
    url = take(part, "file_url", string, at)
    file_id = take(part, "file_id", string, at)
    detail = take(part, "detail", string, at)
    cache = take_cache(part, at)
    if data is not None:
        source: Inline | Url | FileRef = file_source(data, filename, f"{at}.file_data")
    elif url is not None:
        source = Url(url)
    elif file_id is not None:
        source = FileRef(file_id, DIALECT)
    else:
        raise missing(f"{at}.file_data")
    kind = media_kind(source.mime) if isinstance(source, Inline) else "document"
    return Media(kind, source, detail=detail, filename=filename, cache=cache, ext=leftover(part))


def _audio(part: Object, at: str) -> Media:
    """``input_audio``, which some servers of this dialect take."""
    audio = need(part, "input_audio", mapping, at)
    where = f"{at}.input_audio"
    form = take(audio, "format", string, where) or "wav"
    mime = {"mp3": "audio/mpeg"}.get(form.lower(), f"audio/{form.lower()}")
    data = need(audio, "data", string, where)
    return Media("audio", Inline(data, mime), cache=take_cache(part, at), ext=leftover(part))


_READERS: dict[str, Callable[[Object, str], Part]] = {
    "input_text": _text,
    "output_text": _text,
    "text": _text,
    "summary_text": _text,
    "refusal": _refusal,
    "input_image": _image,
    "input_file": _file,
    "input_audio": _audio,
}
