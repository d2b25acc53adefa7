"""Members of a request that routing looks at: whatever bytes they hold, no reading of them fails.

A body's members are taken apart without being read, so what is too deep, no JSON or no UTF-8 within
one of them shows only here. What decides who may serve is read strictly and refused; what only helps
to choose is looked at, and says nothing where it cannot be read.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from dragoman.core.errors import CallerError, invalid

T = TypeVar("T")

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_ANY = msgspec.json.Decoder()


def read_member(decoder: msgspec.json.Decoder[T], raw: Raw | bytes, param: str) -> T:
    """The member in its type.

    Raises:
        CallerError: it is of another type or is no JSON; the message names it.
    """
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise invalid(f"{param}: {error}.", param, "invalid_field_type") from None
    except _UNREADABLE:
        raise CallerError(
            "invalid_request", f"{param} is not valid JSON.", code="invalid_request", param=param
        ) from None


def peek(decoder: msgspec.json.Decoder[T], raw: Raw, otherwise: T) -> T:
    """The member in its type, or ``otherwise`` where it is not of it."""
    try:
        return decoder.decode(raw)
    except _UNREADABLE:
        return otherwise


def peek_value(raw: Raw | None) -> Any:
    """The member, whatever it is; None where it is absent or cannot be read."""
    return None if raw is None else peek(_ANY, raw, None)
