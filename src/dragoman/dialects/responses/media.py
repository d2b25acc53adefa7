"""Where an image or a file is: data URLs, bare base64, addresses.

What callers get wrong is normalised (P78): ``image/jpg``, a missing or false MIME type, URL-safe
base64, white space, missing padding. Nothing is transcoded.
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
    "application/x-pdf": "application/pdf",
    "audio/mp3": "audio/mpeg",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
}
_BY_ENDING = {
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "json": "application/json",
    "xml": "text/xml",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF-", "application/pdf"),
)


def is_data_url(text: str) -> bool:
    """Whether an address holds the bytes themselves."""
    return text[:5].lower() == "data:"


def parse_source(text: str, at: str) -> Inline | Url:
    """A data URL as its bytes, any other address as it is."""
    if not is_data_url(text):
        return Url(text)
    head, comma, body = text[5:].partition(",")
    if not comma:
        raise invalid(f"{at} is a data URL without a comma.", at, "invalid_data_url")
    declared, *options = head.split(";")
    if any(option.strip().lower() == "base64" for option in options):
        return inline(body, declared, at)
    data = binascii.b2a_base64(unquote_to_bytes(body), newline=False).decode("ascii")
    return inline(data, declared or "text/plain", at)


def file_source(text: str, filename: str | None, at: str) -> Inline | Url:
    """A file's data: a data URL, or bare base64 whose name says what it is."""
    if is_data_url(text):
        return parse_source(text, at)
    ending = (filename or "").rpartition(".")[2].lower()
    return inline(text, _BY_ENDING.get(ending), at)


def inline(data: str, mime: str | None, at: str) -> Inline:
    """Base64 in its standard form, with the MIME type that its bytes show."""
    clean, head = standard(data, at)
    declared = (mime or "").strip().lower()
    declared = _SAME.get(declared, declared)
    shown = next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)
    if shown is None and head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        shown = "image/webp"
    unsaid = declared in {"", "application/octet-stream"}
    if shown is not None and (unsaid or declared.startswith("image/")):
        declared = shown
    return Inline(clean, declared or "application/octet-stream")
