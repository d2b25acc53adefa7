"""JSON of the Responses dialect, taken apart member by member, with the path in every complaint.

A request's top level stays ``Raw``, so that schemas and unknown members keep their own bytes.
A reader *takes* (pops) what it knows out of an object; what is left over is the object's
extension bag (`dialects.md` §2.2). Null and absent are one thing (P89).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import msgspec
from msgspec import Raw

from dragoman.core.errors import CallerError, invalid
from dragoman.core.parts import CacheMark, Ext, raw
from dragoman.dialects.halves import mend

DIALECT = "responses"
THINKING_FORMAT = "openai-responses-v1"
"""OpenRouter's name for this family's reasoning, which the chat family knows it by (P97)."""

Object: TypeAlias = dict[str, Any]
"""A JSON object; values are plain or, where nobody has looked yet, ``Raw``."""

T = TypeVar("T")

BAD_JSON = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""What decoding foreign bytes can raise: malformed or wrong, not UTF-8, too deep (D8)."""

NULL = Raw(b"null")

encode = msgspec.json.Encoder().encode

_NOTHING = (Raw(b"[]"), Raw(b"{}"), Raw(b'""'))
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
    """A value as Python objects, whether it was decoded already or not."""
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


def wrong_type(at: str, wanted: str, value: object) -> CallerError:
    """The refusal of a member of the wrong type."""
    said = "null" if value is None else _KINDS.get(type(value), "a number")
    return invalid(f"{at} must be {wanted}, not {said}.", at, "invalid_type")


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
    path = f"{at}.{name}" if at else name
    value = plain(source.pop(name), path)
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


def leftover(source: Object) -> Ext | None:
    """What nobody took, as an extension bag; nothings are left out."""
    kept: dict[str, Raw] = {}
    for name in list(source):
        value = take_raw(source, name)
        if value is not None and value not in _NOTHING:
            kept[name] = value
    return {DIALECT: kept} if kept else None


def own(ext: Ext | None) -> dict[str, Raw]:
    """The members of an extension bag that belong to this dialect."""
    return (ext or {}).get(DIALECT, {})


def take_cache(source: Object, at: str) -> CacheMark | None:
    """A ``prompt_cache_breakpoint`` (P124)."""
    mark = take(source, "prompt_cache_breakpoint", mapping, at)
    if mark is None:
        return None
    return CacheMark(take(mark, "ttl", string, f"{at}.prompt_cache_breakpoint"))


# --------------------------------------------------------------------------- odd JSON of providers


def compact(value: Raw | bytes) -> Raw:
    """JSON on one line: the tokens as they were written, the white space between them gone (P27)."""
    return Raw(msgspec.json.format(value, indent=-1))


def said(words: str) -> bytes:
    """A string as JSON, whatever it holds."""
    try:
        return encode(words)
    except UnicodeEncodeError:
        return encode(mend(words))
