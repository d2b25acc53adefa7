"""The journal's records and how they lie in a file.

A frame is ``length (u32) · crc (u32) · version (u8) · payload``, little-endian; the length
counts the payload alone, the CRC-32 is zlib's and covers the whole frame with its own place
as zeros (so a writer needs no copy and no slice of its buffer). The payload is a msgpack
array whose first element is the record's tag. Members are only ever appended, with a default,
so that an older journal is still read; anything else raises ``VERSION``.

An attempt has two records (D26): ``Opened`` before its upstream call, ``Closed`` before the
last frame goes to the caller. A call whose answer is not the regular end of its last attempt
(refused, failed, cut) has a ``Finished`` beside them. Whatever the ledger shows of a call can
be made from these alone: ``entry.py`` does it, for the living process and after a crash.

``read`` is pure: bytes → records and the place of the first byte that is no whole record.
A zeroed tail, as file systems leave after a power failure, is no record either, as the shortest
payload has one byte.
"""

from __future__ import annotations

import struct
from typing import Generic, Literal, TypeAlias, TypeVar
from zlib import crc32

import msgspec
from msgspec import Struct

from dragoman.core.budget import Stake
from dragoman.core.call import Status

VERSION = 1
HEADER = 9
_HEAD = struct.Struct("<II")
_put_head = struct.Struct("<IIB").pack_into
_put_crc = struct.Struct("<I").pack_into
_CRC_AT = 4
LONGEST = 1 << 20
"""A longer record is no record of ours; keeps a flipped length bit from reading far."""

CostFrom: TypeAlias = Literal["provider", "priced", "estimated", "none"]
TokensFrom: TypeAlias = Literal["reported", "reconciled", "estimated", "none"]


class Tokens(Struct, frozen=True, gc=False, array_like=True):
    """Tokens by kind, as in ``core.usage.Usage``; None is unknown."""

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None
    web_searches: int | None = None
    image_input: int | None = None
    image_output: int | None = None
    images: int | None = None
    audio_seconds: int | None = None


class About(Struct, frozen=True, gc=False, array_like=True):
    """What is known of a call from its beginning."""

    call_id: str
    request_id: str
    trace_id: str
    tenant: str
    key_id: str
    caller: str
    """The key's name, or the chain that the caller named (R-USE-014)."""
    dialect: str
    operation: str
    wall: float
    """Unix seconds of the call's first byte."""
    project: str = ""
    end_user: str = ""
    tags: str = ""


class Opened(Struct, frozen=True, gc=False, array_like=True, tag="o"):
    """An attempt is about to be made; from here on it may cost money."""

    attempt_id: str
    about: About
    requested_model: str
    stream: bool
    number: int
    provider: str
    model: str
    credential: str | None
    after_s: float
    """Seconds from the call's first byte to this attempt."""
    price_source: str = ""
    price_from: str = ""
    """The day from which the price holds that was pinned for this attempt (M8)."""
    choice: str = ""
    """Of a call's first attempt: how it was chosen (``choice.py``); empty where there was no choice."""
    stake: Stake | None = None
    """What budgets have set aside for it; None where nobody's budget pays."""
    terms: str = ""
    """What the tenant is charged for it (``charging.py``); empty: what it costs."""


class Closed(Struct, frozen=True, gc=False, array_like=True, tag="c"):
    """An attempt has ended, as far as it will ever be known here."""

    attempt_id: str
    call_id: str
    status: Status
    http_status: int
    """What the caller gets; 0 while that is open."""
    upstream_status: int | None = None
    upstream_id: str | None = None
    error_kind: str | None = None
    tokens: Tokens = Tokens()
    tokens_from: TokensFrom = "none"
    cost_pico: int | None = None
    cost_from: CostFrom = "none"
    first_event_s: float | None = None
    duration_s: float | None = None
    elapsed_s: float | None = None
    """Seconds since the call's first byte."""
    losses: str = ""
    adjusted: str = ""
    choice: str = ""
    """The choice once more, where candidates were passed over since it was written first."""
    error_code: str | None = None
    held_pico: int = 0
    """What of the stake its budgets go on holding, for nobody knows the cost."""
    service_tier: str = ""
    """How the provider has served it, where that was not the usual way."""


class Finished(Struct, frozen=True, gc=False, array_like=True, tag="f"):
    """A call has ended otherwise than with the regular end of its last attempt."""

    about: About
    requested_model: str
    stream: bool
    status: Status
    http_status: int
    error_code: str | None = None
    elapsed_s: float | None = None
    losses: str = ""
    adjusted: str = ""
    choice: str = ""
    provider: str | None = None
    """Who made the answer that the cache gave."""
    model: str | None = None
    cached: bool = False
    """Whether the cache has answered: nothing was consumed."""


Record: TypeAlias = Opened | Closed | Finished

_encode_into = msgspec.msgpack.Encoder(decimal_format="string").encode_into
_decoder: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record)


def call_id(record: Record) -> str:
    """The call that a record belongs to."""
    return record.call_id if isinstance(record, Closed) else record.about.call_id


R = TypeVar("R", bound=Struct)


def frame_into(record: Struct, buffer: bytearray) -> None:
    """Makes ``buffer`` the frame of ``record``; the buffer is reused, as this is the data path."""
    _encode_into(record, buffer, HEADER)
    _put_head(buffer, 0, len(buffer) - HEADER, 0, VERSION)
    _put_crc(buffer, _CRC_AT, crc32(buffer))


def frame(record: Struct) -> bytes:
    """The frame of ``record``."""
    buffer = bytearray(HEADER)
    frame_into(record, buffer)
    return bytes(buffer)


class Reading(Struct, Generic[R], frozen=True):
    """Whole records from a journal file, and where they end."""

    records: list[R]
    end: int
    """Offset of the first byte after them."""
    torn: int
    """Bytes of the file after ``end`` that are no whole record; 0 while there may be more."""


def read(data: bytes, at: int = 0, most: int = 4096) -> Reading[Record]:
    """Up to ``most`` whole records from offset ``at``; the first doubtful byte ends them (D10)."""
    return read_as(_decoder, data, at, most)


def read_as(
    decoder: msgspec.msgpack.Decoder[R], data: bytes, at: int = 0, most: int = 4096
) -> Reading[R]:
    """As ``read``, for records of another kind than the ledger's own."""
    records: list[R] = []
    view = memoryview(data)
    while at < len(data) and len(records) < most:
        end = _whole(view, at)
        if end is None:
            return Reading(records, at, len(data) - at)
        try:
            records.append(decoder.decode(view[at + HEADER : end]))
        except msgspec.MsgspecError:
            return Reading(records, at, len(data) - at)
        at = end
    return Reading(records, at, 0)


def _whole(view: memoryview, at: int) -> int | None:
    """The end of the frame at ``at`` if all of it is there and its CRC agrees."""
    if at + HEADER >= len(view):
        return None
    length, crc = _HEAD.unpack_from(view, at)
    end: int = at + HEADER + length
    if not 0 < length <= LONGEST or end > len(view) or view[at + 8] != VERSION:
        return None
    return end if crc32(view[at + 8 : end], crc32(_HEAD.pack(length, 0))) == crc else None
