"""Identifiers: time-ordered, made from dice that are passed in."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import chain

REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
"""What a caller's own ``x-request-id`` may look like (D23)."""

_STAMP = 0xFFFF_FFFF_FFFF


def uuid7(wall: float, dice: Callable[[int], bytes]) -> str:
    """A UUIDv7 of Unix seconds ``wall`` and ten random bytes."""
    return uuid7_of(wall, int.from_bytes(dice(10), "big"))


def uuid7_of(wall: float, noise: int) -> str:
    """A UUIDv7 of Unix seconds and 76 random bits, as 32 hex digits with hyphens (RFC 9562)."""
    stamp = int(wall * 1000) & _STAMP
    version_and_variant = 0x7000_8000_0000_0000_0000
    bits = stamp << 80 | version_and_variant | noise & 0x0FFF_3FFF_FFFF_FFFF_FFFF
    text = bits.to_bytes(16, "big").hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


MANY = 64
"""Ids for which noise is drawn at once."""
_DIGITS = 20
"""Of noise for one id, the last of which is not used."""
_PIECES = re.compile("(...)(....)(.{12}).")
_VARIANT = bytes.maketrans(b"0123456789abcdef", b"89ab" * 4)


class Ids:
    """Makes UUIDv7 of now: what they all share of a millisecond once, what is random many at a time."""

    __slots__ = ("_dice", "_head", "_tails", "_wall")

    def __init__(self, wall: Callable[[], float], dice: Callable[[int], bytes]) -> None:
        self._wall = wall
        self._dice = dice
        self._head = (-1, "")
        """A millisecond, and how its ids begin; one value, as threads may want ids at once."""
        self._tails: list[str] = []

    def new(self) -> str:
        """An id."""
        now = int(self._wall() * 1000)
        moment, head = self._head
        if now != moment:
            head = self._begin(now)
        try:
            return head + self._tails.pop()
        except IndexError:
            return head + self._draw()

    def forget(self) -> None:
        """Draws anew, as a process has to that was forked: its parent uses what there is."""
        self._tails = []

    def _begin(self, now: int) -> str:
        stamp = f"{now & _STAMP:012x}"
        head = f"{stamp[:8]}-{stamp[8:]}-7"
        self._head = (now, head)
        return head

    def _draw(self) -> str:
        """The rest of one id; those of others are kept for later."""
        digits = bytearray(self._dice(MANY * _DIGITS // 2).hex(), "ascii")
        digits[3::_DIGITS] = digits[3::_DIGITS].translate(_VARIANT)
        pieces = chain.from_iterable(_PIECES.findall(digits.decode()))
        tails = ("%s-%s-%s " * MANY % tuple(pieces)).split()
        one = tails.pop()
        self._tails = tails
        return one
