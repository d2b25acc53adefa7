"""JSON of OpenAI's two dialects, taken apart member by member, with the path in every complaint.

The top level is decoded to ``Raw``, so that schemas and unknown members keep their own bytes.
A reader *takes* (pops) what it knows out of an object; what is left over is the object's
extension bag (`dialects.md` §2.2). Null and absent are one thing (P89).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import msgspec
from msgspec import Raw

from dragoman.core.errors import CallerError, invalid
from dragoman.core.parts import Ext, raw

Object: TypeAlias = dict[str, Any]
"""A JSON object; values are plain or, where nobody has looked yet, ``Raw``."""

T = TypeVar("T")

NULL = Raw(b"null")

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_ARRAY = msgspec.json.Decoder(list[Raw])
_ANY = msgspec.json.Decoder()

_KINDS = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}


def top_level(body: bytes) -> dict[str, Raw]:
    """The members of a request body, their values untouched."""
    try:
        return _OBJECT.decode(body)
    except msgspec.ValidationError as error:
        raise invalid(f"The request body must be a JSON object: {error}.") from None
    except RecursionError:
        raise invalid("The request body is nested too deeply.") from None
    except ValueError as error:  # msgspec.DecodeError, and UnicodeDecodeError for bad UTF-8
        raise invalid(f"The request body is not valid JSON: {error}.") from None


def plain(value: object, at: str) -> Any:
    """A value as Python objects, whether it was decoded already or not.

    NaN and infinities are no JSON, and too deep a nesting is the caller's fault (D8).
    """
    if not isinstance(value, Raw):
        return value
    try:
        return _ANY.decode(value)
    except RecursionError:
        raise invalid(f"{at} is nested too deeply.", at) from None
    except ValueError as error:
        raise invalid(f"{at} is not valid JSON: {error}.", at) from None


def members_of(value: Raw, at: str) -> Object:
    """The members of an object, their values untouched."""
    try:
        return _OBJECT.decode(value)
    except msgspec.ValidationError:
        raise wrong_type(at, "an object", plain(value, at)) from None
    except (ValueError, RecursionError):
        raise invalid(f"{at} is not valid JSON.", at) from None


def items_of(value: Raw, at: str) -> list[Raw]:
    """The items of an array, untouched."""
    try:
        return _ARRAY.decode(value)
    except msgspec.ValidationError:
        raise wrong_type(at, "an array", plain(value, at)) from None
    except (ValueError, RecursionError):
        raise invalid(f"{at} is not valid JSON.", at) from None


def kind(value: object) -> str:
    """What a JSON value is, in words."""
    if value is None:
        return "null"
    return _KINDS.get(type(value), "a number")


def wrong_type(at: str, wanted: str, value: object) -> CallerError:
    """The refusal of a member of the wrong type."""
    return invalid(f"{at} must be {wanted}, not {kind(value)}.", at, "invalid_type")


def missing(at: str) -> CallerError:
    """The refusal of an object that lacks a required member."""
    return invalid(f"{at} is required.", at, "missing_required_parameter")


# --------------------------------------------------------------------------- one value


def string(value: object, at: str) -> str:
    """A string."""
    if isinstance(value, str):
        return value
    raise wrong_type(at, "a string", value)


def boolean(value: object, at: str) -> bool:
    """True or false."""
    if isinstance(value, bool):
        return value
    raise wrong_type(at, "true or false", value)


def integer(value: object, at: str) -> int:
    """A whole number; 16.0 is one."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise wrong_type(at, "an integer", value)


def number(value: object, at: str) -> float:
    """A number."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    raise wrong_type(at, "a number", value)


def mapping(value: object, at: str) -> Object:
    """An object, which the reader may take apart."""
    if isinstance(value, dict):
        return value
    raise wrong_type(at, "an object", value)


def array(value: object, at: str) -> list[Any]:
    """An array."""
    if isinstance(value, list):
        return value
    raise wrong_type(at, "an array", value)


def strings(value: object, at: str) -> tuple[str, ...]:
    """One string or several."""
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list):
        raise wrong_type(at, "a string or an array of strings", value)
    return tuple(string(item, f"{at}[{i}]") for i, item in enumerate(value))


def one_of(choices: dict[str, T]) -> Callable[[object, str], T]:
    """A reader of a string out of a closed list."""

    def read(value: object, at: str) -> T:
        text = string(value, at)
        if text not in choices:
            known = ", ".join(sorted(choices))
            raise invalid(
                f"{at} is {text[:64]!r}; it must be one of {known}.", at, "invalid_value"
            )
        return choices[text]

    return read


# --------------------------------------------------------------------------- members of an object


def take(source: Object, name: str, read: Callable[[object, str], T], at: str = "") -> T | None:
    """Removes a member and reads it; None where it is null or absent (P89)."""
    if name not in source:
        return None
    value = source.pop(name)
    if value is None:
        return None
    path = f"{at}.{name}" if at else name
    if isinstance(value, Raw):
        try:
            value = _ANY.decode(value)
        except (ValueError, RecursionError):
            value = plain(value, path)  # which says what is wrong
    return None if value is None else read(value, path)


def need(source: Object, name: str, read: Callable[[object, str], T], at: str = "") -> T:
    """Removes a required member and reads it."""
    found = take(source, name, read, at)
    if found is None:
        raise missing(f"{at}.{name}" if at else name)
    return found


def take_raw(source: Object, name: str) -> Raw | None:
    """Removes a member and keeps its own bytes; None where it is null or absent."""
    value = source.pop(name, None)
    if value is None:
        return None
    kept = value if isinstance(value, Raw) else raw(value)
    return None if kept == NULL else kept


def leftover(source: Object, dialect: str, nothings: tuple[Raw, ...]) -> Ext | None:
    """What nobody took, as a dialect's extension bag; what says nothing there is left out."""
    if not source:
        return None
    kept: dict[str, Raw] = {}
    for name in list(source):
        value = take_raw(source, name)
        if value is not None and value not in nothings:
            kept[name] = value
    return {dialect: kept} if kept else None
