"""What fetched bytes are. Their beginning decides; a declared type counts for text alone.

Servers say ``application/octet-stream`` of pictures and ``image/png`` of pages that ask to log in,
and a model that is shown either wastes a call.
"""

from __future__ import annotations

from msgspec import Struct

from dragoman.attempt.ports import MediaKind
from dragoman.dialects.media_kind import media_kind
from dragoman.transport.fetch_url import Refused

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"%PDF-", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"\x1a\x45\xdf\xa3", "video/webm"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
_BRANDS = {
    b"avif": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heif",
    b"M4A ": "audio/mp4",
    b"qt  ": "video/quicktime",
}
"""Of the ISO base media format; every other one is a film in MP4."""
_MPEG = frozenset({0xFB, 0xFA, 0xF3, 0xF2})
_ADTS = frozenset({0xF1, 0xF9})
_TEXTS = frozenset({"application/json", "application/xml"})


class Content(Struct, frozen=True):
    """What was fetched."""

    kind: MediaKind
    mime: str


def content_of(body: bytes, declared: str, wanted: MediaKind) -> Content:
    """What the bytes are, if they are what a request means by them.

    A PDF in an image's place is a document (P81).

    Raises:
        Refused: they are something else.
    """
    mime = _sniff(body[:32])
    if mime is None and wanted == "document":
        mime = _text(body, declared.partition(";")[0].strip().lower())
    if mime is not None:
        kind = media_kind(mime)
        if kind == wanted or (wanted == "image" and kind == "document"):
            return Content(kind, mime)
        if {kind, wanted} == {"audio", "video"} and mime in {"video/webm", "audio/ogg"}:
            return Content(wanted, f"{wanted}/{mime.partition('/')[2]}")
    raise Refused("image_fetch_wrong_type", f"what it sends is no {_NAMES[wanted]}")


_NAMES: dict[MediaKind, str] = {
    "image": "image of a known kind (PNG, JPEG, GIF, WebP …)",
    "document": "PDF and no text",
    "audio": "sound of a known kind (WAV, MP3, Ogg, FLAC …)",
    "video": "film of a known kind (MP4, WebM, QuickTime)",
}


def _sniff(head: bytes) -> str | None:
    for magic, mime in _MAGIC:
        if head.startswith(magic):
            return mime
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video/mp4")
    if head.startswith(b"BM") and head[6:10] == b"\0\0\0\0":
        return "image/bmp"
    if head[:1] == b"\xff" and len(head) > 1:
        if head[1] in _MPEG:
            return "audio/mpeg"
        if head[1] in _ADTS:
            return "audio/aac"
    return None


def _text(body: bytes, declared: str) -> str | None:
    """The declared type of what is declared to be text, and is."""
    if not (declared.startswith("text/") or declared in _TEXTS) or b"\0" in body:
        return None
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return declared
