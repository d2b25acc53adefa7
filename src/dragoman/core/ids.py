"""Identifiers: time-ordered, made from dice that are passed in."""

from __future__ import annotations

import re
from binascii import hexlify
from collections.abc import Callable
from struct import Struct

REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
"""What a caller's own ``x-request-id`` may look like (D23)."""
_groups_of = Struct("8s4s4s4s12s").unpack


def uuid7(wall: float, dice: Callable[[int], bytes]) -> str:
    """A UUIDv7 of Unix seconds ``wall`` and ten random bytes."""
    return uuid7_of(wall, int.from_bytes(dice(10), "big"))


def uuid7_of(wall: float, noise: int) -> str:
    """A UUIDv7 of Unix seconds and 76 random bits, as 32 hex digits with hyphens (RFC 9562)."""
    stamp = int(wall * 1000) & 0xFFFF_FFFF_FFFF
    version_and_variant = 0x7000_8000_0000_0000_0000
    bits = stamp << 80 | version_and_variant | noise & 0x0FFF_3FFF_FFFF_FFFF_FFFF
    # Two are made for every call: one cut into five is half the steps of five slices.
    return b"-".join(_groups_of(hexlify(bits.to_bytes(16, "big")))).decode()
