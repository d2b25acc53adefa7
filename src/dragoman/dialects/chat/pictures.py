"""Images in an answer, in OpenRouter's shape: ``images: [{type, image_url: {url}}]``."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from dragoman.core.parts import Inline, Media, Url


class _Address(Struct, gc=False):
    url: str = ""


class _Image(Struct, gc=False):
    image_url: _Address | None = None


_IMAGE = msgspec.json.Decoder(_Image)


def read_image(raw: Raw) -> Media | None:
    """The image, None if there is none in it."""
    try:
        found = _IMAGE.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    url = found.image_url.url if found.image_url is not None else ""
    if not url:
        return None
    head, comma, data = url.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        mime = head.removeprefix("data:").removesuffix(";base64").lower()
        return Media("image", Inline(data, mime or "image/png"))
    return Media("image", Url(url))


def write_image(media: Media) -> dict[str, object] | None:
    """The image for a chat client, None for media that chat's answers cannot hold."""
    if media.kind != "image":
        return None
    match media.source:
        case Inline(data=data, mime=mime):
            url = f"data:{mime};base64,{data}"
        case Url(url=url):
            pass
        case _:
            return None
    return {"type": "image_url", "image_url": {"url": url}}
