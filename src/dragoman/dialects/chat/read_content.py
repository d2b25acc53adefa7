"""Content parts of the chat dialect → canonical parts; one small reader for each ``type``.

Known are OpenAI's own parts and those of Groq, OpenRouter and Mistral. A part of an unknown
type is refused with its path, for nobody can say what it means (P88).
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import structs

from dragoman.core.errors import invalid
from dragoman.core.parts import (
    CacheMark,
    FileRef,
    Media,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    raw,
)
from dragoman.dialects.chat.media import audio_mime, inline, parse_source
from dragoman.dialects.chat.wire import leftover, take_cache
from dragoman.dialects.media_kind import media_kind
from dragoman.dialects.members import Object, array, kind, mapping, need, string, take, wrong_type

_Read = Callable[[Object, str], Part]


def read_content(content: object, at: str) -> tuple[Part, ...]:
    """A message's ``content``: a string, parts, or nothing."""
    if content is None or content == "":
        return ()
    if isinstance(content, str):
        return (Text(content),)
    if not isinstance(content, list):
        raise wrong_type(at, "a string or an array of parts", content)
    return tuple(_read_part(part, f"{at}[{i}]") for i, part in enumerate(content))


def mark_last(parts: tuple[Part, ...], mark: CacheMark | None) -> tuple[Part, ...]:
    """A cache mark of a whole message stands behind its last part (P124)."""
    if mark is None or not parts:
        return parts
    last = parts[-1]
    if isinstance(last, (Text, Media, ToolCall, ToolResult)) and last.cache is None:
        return (*parts[:-1], structs.replace(last, cache=mark))
    return parts


def _read_part(value: object, at: str) -> Part:
    part = mapping(value, at)
    name = need(part, "type", string, at)
    read = _READERS.get(name)
    if read is None:
        raise invalid(
            f"{at}.type is {name[:64]!r}, which is no content part of the chat dialect.",
            f"{at}.type",
            "unknown_content_type",
        )
    return read(part, at)


def _text(part: Object, at: str) -> Text:
    text = need(part, "text", string, at)
    mark = take_cache(part, at)
    return Text(text, cache=mark, ext=leftover(part))


def _refusal(part: Object, at: str) -> Refusal:
    return Refusal(need(part, "refusal", string, at))


def _image(part: Object, at: str) -> Media:
    return _addressed(part, at, "image_url", "image/*")


def _video(part: Object, at: str) -> Media:
    return _addressed(part, at, "video_url", "video/*")


def _addressed(part: Object, at: str, name: str, mime: str) -> Media:
    """``image_url`` and ``video_url``: an object with ``url``, or Mistral's bare string."""
    where = f"{at}.{name}"
    value = part.pop(name, None)
    image = {"url": value} if isinstance(value, str) else mapping(value, where)
    source = parse_source(need(image, "url", string, where), f"{where}.url")
    shown = getattr(source, "mime", None) or mime
    return Media(
        media_kind(shown),  # a PDF in an image's place is a document (P81)
        source,
        detail=take(image, "detail", string, where),
        cache=take_cache(part, at),
        ext=leftover(part),
    )


def _audio(part: Object, at: str) -> Media:
    """``input_audio``: base64 beside its format, or Mistral's bare base64 or address (P83, P186)."""
    where = f"{at}.input_audio"
    value = part.pop("input_audio", None)
    audio = {"data": value} if isinstance(value, str) else mapping(value, where)
    data = need(audio, "data", string, where)
    name = take(audio, "format", string, where)
    mime = audio_mime(name) if name else None
    if data[:5].lower() == "data:" or "://" in data[:16]:
        source = parse_source(data, f"{where}.data", mime)
    else:
        source = inline(data, mime, f"{where}.data")
    return Media("audio", source, cache=take_cache(part, at), ext=leftover(part))


def _file(part: Object, at: str) -> Media:
    """A ``file`` part: its data, its address (OpenRouter) or its id; Mistral's id stands flat."""
    where = f"{at}.file"
    if part.get("file") is None and isinstance(part.get("file_id"), str):
        file: Object = {"file_id": part.pop("file_id")}
        part.pop("file", None)
    else:
        file = need(part, "file", mapping, at)
    filename = take(file, "filename", string, where)
    data = take(file, "file_data", string, where)
    cache = take_cache(part, at)
    if data is None:
        ref = FileRef(need(file, "file_id", string, where), "chat")
        return Media("document", ref, filename=filename, cache=cache, ext=leftover(part))
    place = f"{where}.file_data"
    addressed = data[:5].lower() == "data:" or "://" in data[:16]
    source = parse_source(data, place) if addressed else inline(data, None, place)
    shown = getattr(source, "mime", None) or "application/pdf"
    return Media(media_kind(shown), source, filename=filename, cache=cache, ext=leftover(part))


def _document_url(part: Object, at: str) -> Media:
    """Mistral's document: an address or a data URL."""
    source = parse_source(need(part, "document_url", string, at), f"{at}.document_url")
    name = take(part, "document_name", string, at)
    cache = take_cache(part, at)
    return Media("document", source, filename=name, cache=cache, ext=leftover(part))


def _thinking(part: Object, at: str) -> Thinking:
    """Mistral's thinking chunk: a list of text chunks, or a string (P203)."""
    where = f"{at}.thinking"
    value = part.pop("thinking", None)
    signature = take(part, "signature", string, at)
    if value is None or isinstance(value, str):
        return Thinking(value or "", signature=signature, family="chat")
    texts: list[str] = []
    for i, chunk in enumerate(array(value, where)):
        inner = mapping(chunk, f"{where}[{i}]")
        texts.append(take(inner, "text", string, f"{where}[{i}]") or "")
    return Thinking("".join(texts), signature=signature, family="chat")


def _opaque(name: str) -> _Read:
    def read(part: Object, at: str) -> Opaque:
        if not part:
            raise invalid(f"{at} says nothing but its type, {kind(part)} {name}.", at)
        return Opaque("chat", name, raw({"type": name, **part}))

    return read


_READERS: dict[str, _Read] = {
    "text": _text,
    "refusal": _refusal,
    "image_url": _image,
    "video_url": _video,
    "input_audio": _audio,
    "file": _file,
    "document_url": _document_url,
    "thinking": _thinking,
    "document": _opaque("document"),  # Groq's
    "reference": _opaque("reference"),  # Mistral's
}
