"""Images as bare base64, which is all that Ollama knows; what they are, their bytes tell.

Reading takes what callers get wrong as well (P78): a data URL, white space, URL-safe
letters, missing padding.
"""

from __future__ import annotations

from dragoman.core.parts import Inline, Media
from dragoman.dialects.base64_text import standard

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
)
_RIFF = {b"WEBP": "image/webp"}


def read_image(text: str, at: str) -> Media:
    """The image in an element of ``images``.

    Raises:
        CallerError: it is no base64.
    """
    declared = ""
    if text[:5].lower() == "data:":
        head, _, text = text.partition(",")
        declared = head[5:].partition(";")[0].strip().lower()
    data, start = standard(text, at, "image")
    return Media("image", Inline(data, _sniff(start) or declared or "application/octet-stream"))


def _sniff(head: bytes) -> str | None:
    for magic, mime in _MAGIC:
        if head.startswith(magic):
            return mime
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12])
    return None
