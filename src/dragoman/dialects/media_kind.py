"""What a MIME type shows."""

from __future__ import annotations

from typing import Literal, TypeAlias

MediaKind: TypeAlias = Literal["image", "audio", "video", "document"]


def media_kind(mime: str) -> MediaKind:
    """What a MIME type is; everything that is no image, sound or film is a document (P81)."""
    match mime.partition("/")[0]:
        case "image":
            return "image"
        case "audio":
            return "audio"
        case "video":
            return "video"
        case _:
            return "document"
