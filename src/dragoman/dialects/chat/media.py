"""Media as the chat dialect spells it: data URLs, bare base64, audio formats.

Reading normalises what callers get wrong (P78): ``image/jpg``, a missing or false MIME type,
URL-safe base64, white space, missing padding. Nothing is transcoded.
"""

from __future__ import annotations

import binascii
from urllib.parse import unquote_to_bytes

from dragoman.core.errors import invalid
from dragoman.core.parts import Inline, Url
from dragoman.dialects.base64_text import standard

_SAME = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "audio/mp3": "audio/mpeg",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "application/x-pdf": "application/pdf",
}
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}

_AUDIO_MIME = {"mp3": "audio/mpeg", "wav": "audio/wav"}
AUDIO_FORMAT = {mime: name for name, mime in _AUDIO_MIME.items()}
"""OpenAI's two audio formats by MIME type (P83)."""


def audio_mime(name: str) -> str:
    """The MIME type of an ``input_audio.format``."""
    return _AUDIO_MIME.get(name.lower(), f"audio/{name.lower()}")


def parse_source(text: str, at: str, mime: str | None = None) -> Inline | Url:
    """A data URL as its bytes, any other address as it is; ``mime`` is what the caller said beside it."""
    if text[:5].lower() != "data:":
        return Url(text, mime)
    head, comma, body = text[5:].partition(",")
    if not comma:
        raise invalid(f"{at} is a data URL without a comma.", at, "invalid_data_url")
    declared, *options = head.split(";")
    if any(option.strip().lower() == "base64" for option in options):
        return inline(body, declared or mime, at)
    data = binascii.b2a_base64(unquote_to_bytes(body), newline=False).decode("ascii")
    return inline(data, declared or mime or "text/plain", at)


def inline(data: str, mime: str | None, at: str) -> Inline:
    """Base64 in its standard form, with the MIME type that its bytes show."""
    clean, head = standard(data, at)
    declared = (mime or "").strip().lower()
    declared = _SAME.get(declared, declared)
    shown = _sniff(head)
    if shown is not None and _may_correct(declared, shown):
        declared = shown
    return Inline(clean, declared or "application/octet-stream")


def _may_correct(declared: str, shown: str) -> bool:
    """Bytes win over no MIME type at all, and over a false one among images and PDF."""
    if declared in {"", "application/octet-stream"}:
        return True
    return declared.startswith("image/") and shown.startswith(("image/", "application/pdf"))


def _sniff(head: bytes) -> str | None:
    for magic, mime in _MAGIC:
        if head.startswith(magic):
            return mime
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12])
    return None
