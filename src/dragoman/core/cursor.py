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
_BEYOND = 2**63

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
        place = msgspec.json.decode(data, type=kind)
    except (binascii.Error, msgspec.DecodeError, UnicodeError, ValueError):
        raise bad_cursor() from None
    if not all(map(_is_askable, place if isinstance(place, tuple) else (place,))):
        raise bad_cursor()
    return place


def _is_askable(part: object) -> bool:
    """Whether a database can be asked for it: a larger number, or a NUL, would be our failure."""
    if isinstance(part, int):
        return -_BEYOND <= part < _BEYOND
    return not isinstance(part, str) or "\0" not in part


def bad_cursor() -> CallerError:
    """The refusal of a cursor that is none of ours."""
    return invalid(
        "cursor is none that a page of this list gave: leave it out to begin at the first.",
        "cursor",
        "invalid_field_value",
    )
