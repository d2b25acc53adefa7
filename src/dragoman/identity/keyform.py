"""How our keys are written: ``drg_<8 public id>_<43 secret><6 checksum>``, in base 62 (D19).

The prefix lets secret scanners find a leaked key, the public id names the key in logs and
lists, the secret holds 256 bits, and the checksum (CRC-32 of all before it) tells a mistyped
key from an unknown one without asking the database.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from zlib import crc32

from msgspec import Struct

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS = tuple(high + low for high in ALPHABET for low in ALPHABET)
PUBLIC_ID = 8
SECRET = 43
CHECKSUM = 6

SHORTEST_STORABLE = 8
LONGEST_CREDENTIAL = 256

Dice = Callable[[int], bytes]
"""Gives as many random bytes as it is asked for."""


class KeyForm(Struct, frozen=True, gc=False):
    """What a string of our form says of itself."""

    public_id: str
    valid_checksum: bool


def parse_key(text: str, prefix: str) -> KeyForm | None:
    """Reads ``text`` as a key of ours; None where it does not have the form."""
    head = len(prefix) + 1
    if len(text) != head + PUBLIC_ID + 1 + SECRET + CHECKSUM or not text.startswith(prefix):
        return None
    public_id = text[head : head + PUBLIC_ID]
    rest = text[head + PUBLIC_ID + 1 :]
    if text[head - 1] != "_" or text[head + PUBLIC_ID] != "_" or not _is_base62(public_id + rest):
        return None
    return KeyForm(public_id, checksum(text[:-CHECKSUM]) == text[-CHECKSUM:])


def _is_base62(text: str) -> bool:
    return text.isascii() and text.isalnum()


def checksum(text: str) -> str:
    """Six digits that follow from ``text``; in pairs, because every request computes it."""
    rest, low = divmod(crc32(text.encode("ascii")), len(_PAIRS))
    high, middle = divmod(rest, len(_PAIRS))
    return _PAIRS[high] + _PAIRS[middle] + _PAIRS[low]


def make_public_id(dice: Dice = secrets.token_bytes) -> str:
    """A random public id."""
    return _base62(int.from_bytes(dice(16), "big"), PUBLIC_ID)


def is_public_id(text: str) -> bool:
    """Whether it can stand in a key of ours as its public id."""
    return len(text) == PUBLIC_ID and _is_base62(text)


def make_key(
    prefix: str, dice: Dice = secrets.token_bytes, *, public_id: str | None = None
) -> str:
    """A new key, under an id that there is or a new one: its secret is 43 even digits, which is 256 bits."""
    # Eight bytes more than the digits can hold make the remainder even to one part in 2⁶⁴.
    secret = _base62(int.from_bytes(dice(40), "big"), SECRET)
    text = f"{prefix}_{public_id or make_public_id(dice)}_{secret}"
    return text + checksum(text)


def _base62(number: int, digits: int) -> str:
    """The last ``digits`` digits of ``number``."""
    text = ""
    for _ in range(digits):
        number, digit = divmod(number, 62)
        text = ALPHABET[digit] + text
    return text


def is_visible(text: str) -> bool:
    """Whether ``text`` is visible ASCII of a length that a credential may have."""
    return (
        0 < len(text) <= LONGEST_CREDENTIAL
        and text.isascii()
        and text.isprintable()
        and " " not in text
    )


def is_storable(text: str, prefix: str) -> bool:
    """Whether ``text`` may be stored as a key: 8 to 256 visible ASCII, no damaged key of ours."""
    if len(text) < SHORTEST_STORABLE or not is_visible(text):
        return False
    form = parse_key(text, prefix)
    return form is None or form.valid_checksum
