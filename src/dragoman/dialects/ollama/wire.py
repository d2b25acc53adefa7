"""The JSON of Ollama's interface, and how its pieces are decoded.

Only what the codecs look at is typed; everything else stays ``Raw`` and keeps its bytes.
Absent and null are one thing (P89), and so are the empty values that Ollama's clients send
for what they do not want: ``""``, ``[]``, ``{}`` (Go leaves a zero value's meaning to nobody).
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import Raw

from dragoman.core.errors import invalid
from dragoman.core.parts import Ext

DIALECT = "ollama"
"""Whose members ride in an extension bag; both of Ollama's families share it."""

BAD_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding foreign bytes can raise: malformed or wrong, not UTF-8, too deep (D8)."""

NULL = Raw(b"null")

Members = dict[str, Raw]
T = TypeVar("T")

encode = msgspec.json.Encoder().encode

_NOTHING = frozenset({b"null", b'""', b"[]", b"{}"})
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_ITEMS = msgspec.json.Decoder(list[Raw])
_TEXT = msgspec.json.Decoder(str)
_BOOL = msgspec.json.Decoder(bool)
_INT = msgspec.json.Decoder(int)
_FLOAT = msgspec.json.Decoder(float)
_STRINGS = msgspec.json.Decoder(str | list[str])


def reason(error: BaseException) -> str:
    """Why decoding failed, in words that hold nothing of the value."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "it is not valid UTF-8"
    if isinstance(error, msgspec.ValidationError):
        return str(error).replace("$", "it", 1) if "$" in str(error) else str(error)
    return "it is not valid JSON"


def value(decoder: msgspec.json.Decoder[T], raw: Raw | bytes, path: str) -> T:
    """A caller's value of known type.

    Raises:
        CallerError: it is of another type, or no JSON; names the path.
    """
    try:
        return decoder.decode(raw)
    except BAD_JSON as error:
        if not path:
            raise invalid(f"The body has to be one JSON object: {reason(error)}.") from None
        raise invalid(f"The member {path} is not usable: {reason(error)}.", path) from None


def members(raw: Raw | bytes, path: str) -> Members:
    """The members of an object, each as it was written; of repeated ones the last."""
    return value(_MEMBERS, raw, path)


def items(raw: Raw, path: str) -> list[Raw]:
    """The elements of an array, each as it was written."""
    return value(_ITEMS, raw, path)


def is_nothing(raw: Raw | None) -> bool:
    """Whether a member says nothing: absent, null or empty."""
    if raw is None:
        return True
    view = memoryview(raw)  # no copy of a message full of pictures
    return view.nbytes <= 4 and bytes(view) in _NOTHING


def take(source: Members, name: str) -> Raw | None:
    """Removes a member; None where it says nothing."""
    raw = source.pop(name, None)
    return None if is_nothing(raw) else raw


def take_text(source: Members, name: str, at: str = "") -> str:
    """Removes a string; empty where it says nothing."""
    raw = take(source, name)
    return "" if raw is None else value(_TEXT, raw, at + name)


def take_bool(source: Members, name: str, at: str = "") -> bool | None:
    """Removes a truth value."""
    raw = take(source, name)
    return None if raw is None else value(_BOOL, raw, at + name)


def take_int(source: Members, name: str, at: str = "") -> int | None:
    """Removes a whole number; 16.0 is one."""
    raw = take(source, name)
    return None if raw is None else value(_INT, raw, at + name)


def take_float(source: Members, name: str, at: str = "") -> float | None:
    """Removes a number."""
    raw = take(source, name)
    return None if raw is None else value(_FLOAT, raw, at + name)


def take_strings(source: Members, name: str, at: str = "") -> tuple[str, ...]:
    """Removes a string or several."""
    raw = take(source, name)
    found = () if raw is None else value(_STRINGS, raw, at + name)
    return (found,) if isinstance(found, str) else tuple(found)


def starts_with(raw: Raw, sign: bytes) -> bool:
    """Whether a value is of the kind that begins so: ``{``, ``[``, a quote."""
    view = memoryview(raw)
    return view.nbytes > 0 and view[0] == sign[0]


def bag(rest: Members) -> Ext | None:
    """What nobody took, as an extension bag; nothings are left out."""
    kept = {name: raw for name, raw in rest.items() if not is_nothing(raw)}
    return {DIALECT: kept} if kept else None


def own(ext: Ext | None) -> Members:
    """The members of an extension bag that belong to this dialect."""
    return (ext or {}).get(DIALECT, {})


def compact(raw: Raw | bytes) -> bytes:
    """JSON on one line: the tokens as they were written, the white space between them gone (P27)."""
    return msgspec.json.format(raw, indent=-1)
