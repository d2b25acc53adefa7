"""Gemini's JSON as it is on the wire, and how its pieces are decoded.

Members come in camelCase or, from some clients, in snake_case (P90): structural objects are
read through ``members``, which gives camelCase alone. What the caller's program wrote (arguments,
results, schemas) is never looked into that way.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Raw

from dragoman.dialects import halves

DIALECT = "gemini"
FORMAT = "google-gemini-v1"
"""The chat family's word for this family's reasoning (P97)."""

BAD_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding foreign bytes can raise: malformed or wrong, not UTF-8, too deep (D8)."""

NULL = Raw(b"null")

encode = msgspec.json.Encoder().encode

_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])
_ANY = msgspec.json.Decoder()
_SNAKE = re.compile(r"_([a-z0-9])")


class WireError(Exception):
    """A member is missing or of a wrong type; readers turn it into their side's error."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


def camel(name: str) -> str:
    """The camelCase spelling of a member."""
    return _SNAKE.sub(lambda found: found[1].upper(), name) if "_" in name else name


def reason(error: BaseException) -> str:
    """Why decoding failed, in words that hold nothing of the value."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "it is not valid UTF-8"
    if isinstance(error, msgspec.ValidationError):
        return str(error).replace("$", "it", 1)
    return "it is not valid JSON"


def members(raw: bytes | Raw, path: str) -> dict[str, Raw]:
    """The members of an object in camelCase; null ones are absent (P89)."""
    try:
        found = _MEMBERS.decode(raw)
    except BAD_JSON as error:
        raise WireError(path, reason(error)) from None
    return {camel(name): value for name, value in found.items() if bytes(value) != b"null"}


def items(raw: Raw, path: str) -> list[Raw]:
    """The elements of an array; of one that is no array, that one (P91)."""
    if bytes(raw)[:1] != b"[":
        return [raw]
    try:
        return _LIST.decode(raw)
    except BAD_JSON as error:
        raise WireError(path, reason(error)) from None


def any_value(raw: Raw | bytes, path: str) -> Any:
    """A value of whatever kind."""
    try:
        return _ANY.decode(raw)
    except BAD_JSON as error:
        raise WireError(path, reason(error)) from None


def text(raw: Raw, path: str) -> str:
    """A JSON string."""
    value = any_value(raw, path)
    if isinstance(value, str):
        return value
    raise WireError(path, "it has to be a string")


def opt_text(found: dict[str, Raw], name: str, path: str) -> str | None:
    """A string member, None where it is absent."""
    return text(found[name], f"{path}.{name}") if name in found else None


def integer(raw: Raw, path: str) -> int:
    """A whole number; proto3 writes long ones as strings."""
    value = any_value(raw, path)
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise WireError(path, "it has to be a whole number")


def number(raw: Raw, path: str) -> float:
    """A number."""
    value = any_value(raw, path)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    raise WireError(path, "it has to be a number")


def boolean(raw: Raw, path: str) -> bool:
    """True or false."""
    value = any_value(raw, path)
    if isinstance(value, bool):
        return value
    raise WireError(path, "it has to be true or false")


def compact(raw: Raw | bytes) -> str:
    """JSON on one line: the tokens as they were written, the white space between them gone (P27)."""
    return msgspec.json.format(raw, indent=-1).decode("utf-8", "replace")


def mended(data: bytes) -> bytes:
    """The same JSON without halves of characters, for decoders that take whole ones only (D8).

    Raises:
        WireError: it is no JSON.
    """
    try:
        return halves.mended(data)
    except (ValueError, RecursionError, msgspec.MsgspecError):
        raise WireError("", "it is not valid JSON") from None


def lenient_members(data: bytes, path: str) -> dict[str, Raw]:
    """``members``, also of JSON with half characters in it."""
    try:
        found = members(data, path)
        _ANY.decode(data)
    except (WireError, *BAD_JSON):
        return members(mended(data), path)
    return found
