r"""Halves of characters: a lone ``\ud83d`` in one frame, its other half in the next (D8).

No UTF-8 text can hold a lone surrogate, so each is carried as a private character of
plane 16 (U+10F800 + offset: room for exactly all of them) until its other half has come.
``join`` puts the halves together; what stays alone becomes U+FFFD. Only streams in which a
lone surrogate was seen are searched for them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

_BASE = 0x10F800 - 0xD800
_SURROGATE = re.compile("[\ud800-\udfff]")
_PAIR = re.compile("([\U0010f800-\U0010fbff])([\U0010fc00-\U0010ffff])")
_ALONE = re.compile("[\U0010f800-\U0010ffff]")


def mark(value: Any) -> Any:
    """The JSON value with every lone surrogate replaced by its private character."""
    return _each(value, lambda found: chr(ord(found[0]) + _BASE))


def mend(value: Any) -> Any:
    """The JSON value of a whole reply, in which no other half can follow any more."""
    return _each(value, lambda _: "\ufffd")


def _each(value: Any, put: Callable[[re.Match[str]], str]) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub(put, value)
    if isinstance(value, list):
        return [_each(item, put) for item in value]
    if isinstance(value, dict):
        return {_each(name, put): _each(item, put) for name, item in value.items()}
    return value


def join(held: str, piece: str) -> tuple[str, str]:
    """What can be said of ``held`` and ``piece``, and the first half that still waits."""
    text = _PAIR.sub(_character, held + piece)
    waiting = text[-1:] if "\U0010f800" <= text[-1:] <= "\U0010fbff" else ""
    return _ALONE.sub("\ufffd", text[: len(text) - len(waiting)]), waiting


def _character(found: re.Match[str]) -> str:
    high = ord(found[1]) - 0x10F800
    low = ord(found[2]) - 0x10FC00
    return chr(0x10000 + (high << 10) + low)
