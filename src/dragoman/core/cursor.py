"""Cursors of lists: behind which row the next page begins, so that none comes twice or is lost.

A cursor is opaque to callers and holds nothing but the row's own place; whose rows are listed is never
read from it.
"""

from __future__ import annotations

import base64
import binascii
from typing import TypeVar

import msgspec

from dragoman.core.errors import CallerError, invalid

LONGEST = 1024

Place = TypeVar("Place")


def cursor_of(place: object) -> str:
    """The cursor of a place, which is anything that JSON can say."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def place_of(cursor: str | None, kind: type[Place]) -> Place | None:
    """The place that a cursor says, None for the first page.

    Raises:
        CallerError: it is none of ours.
    """
    if cursor is None:
        return None
    try:
        data = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        return msgspec.json.decode(data, type=kind)
    except (binascii.Error, msgspec.DecodeError, UnicodeError, ValueError):
        raise bad_cursor() from None


def bad_cursor() -> CallerError:
    """The refusal of a cursor that is none of ours."""
    return invalid(
        "cursor is none that a page of this list gave: leave it out to begin at the first.",
        "cursor",
        "invalid_field_value",
    )
