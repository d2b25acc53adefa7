"""Spans as OTLP's protobuf, written by hand: a span is a few joins of bytes that are mostly known already.

The library's own way (an object for a span, one for each attribute, then protobuf's objects) costs a
multiple of what a whole request may cost; see docs/decisions/0016. The messages are those of
opentelemetry/proto/trace/v1/trace.proto and collector/trace/v1; their field numbers never change.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, TypeAlias

Value: TypeAlias = str | bool | int | float | Sequence[str]
"""What an attribute may be."""
Kind: TypeAlias = Literal["internal", "server", "client"]

_KINDS: dict[Kind, bytes] = {"internal": b"\x30\x01", "server": b"\x30\x02", "client": b"\x30\x03"}
FAILED = b"\x7a\x02\x18\x02"
_TIMES = struct.Struct("<BQBQ")
_DOUBLE = struct.Struct("<d")
_FLAGS = struct.Struct("<I")
_ONE = [bytes((number,)) for number in range(128)]
_TEN_BYTES = (1 << 64) - 1
_LONGEST = 1024
"""Characters of an ordinary attribute: names come from callers."""

SAMPLED = 0x1
_KNOWS_ORIGIN = 0x100
_FROM_ELSEWHERE = 0x200
LOCAL = b"\x85\x01" + _FLAGS.pack(SAMPLED | _KNOWS_ORIGIN)
REMOTE = b"\x85\x01" + _FLAGS.pack(SAMPLED | _KNOWS_ORIGIN | _FROM_ELSEWHERE)


def varint(number: int) -> bytes:
    """A number as protobuf writes it; negative ones as 64 bits in two's complement."""
    if 0 <= number < 128:
        return _ONE[number]
    if 0 <= number < 16384:  # most sizes, and most counts of tokens
        return bytes((number & 0x7F | 0x80, number >> 7))
    number &= _TEN_BYTES
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _sized(tag: bytes, body: bytes) -> bytes:
    return tag + varint(len(body)) + body


@lru_cache(maxsize=512)
def _key(name: str) -> bytes:
    return _sized(b"\x0a", name.encode())


def _value(value: Value) -> bytes:
    match value:
        case str():
            return _sized(b"\x0a", value.encode("utf-8", "replace"))
        case bool():
            return b"\x10\x01" if value else b"\x10\x00"
        case int():
            return b"\x18" + varint(value)
        case float():
            return b"\x21" + _DOUBLE.pack(value)
        case _:
            listed = b"".join(_sized(b"\x0a", _value(each)) for each in value)
            return _sized(b"\x2a", listed)


def key_value(name: str, value: Value) -> bytes:
    """A ``KeyValue``, without its own tag."""
    return _key(name) + _sized(b"\x12", _value(value))


def attribute(name: str, value: Value) -> bytes:
    """An attribute of a span; of a long text the beginning."""
    if isinstance(value, str):
        raw, key = value.encode("utf-8", "replace"), _key(name)
        size = len(raw)
        if size + len(key) < 124:  # every length is one byte: the usual case, in one go
            return b"".join(
                (
                    b"\x4a",
                    _ONE[size + len(key) + 4],
                    key,
                    b"\x12",
                    _ONE[size + 2],
                    b"\x0a",
                    _ONE[size],
                    raw,
                )
            )
        value = value[:_LONGEST]
    return _sized(b"\x4a", key_value(name, value))


def beginning(name: str, size: int) -> bytes:
    """An attribute up to its text, of which it is known that it has so many bytes, fewer than 64."""
    whole = attribute(name, "x" * size)
    return whole[: len(whole) - size]


def count(name: str, number: int) -> bytes:
    """A whole number that is not negative, as an attribute."""
    said = varint(number)
    return _counted(name, len(said)) + said


@lru_cache(maxsize=512)
def _counted(name: str, size: int) -> bytes:
    """An attribute up to its whole number, of which it is known that it has so many bytes."""
    whole = _sized(b"\x4a", _key(name) + _sized(b"\x12", b"\x18" + bytes(size)))
    return whole[: len(whole) - size]


def attributes(members: Mapping[str, Value | None]) -> bytes:
    """Those that are not None."""
    return b"".join(attribute(name, value) for name, value in members.items() if value is not None)


def span(
    trace_id: str,
    span_id: str,
    parent_id: str,
    name: str,
    kind: Kind,
    start_ns: int,
    end_ns: int,
    said: Sequence[bytes],
    *,
    failed: bool = False,
    is_entry: bool = False,
    state: str = "",
) -> bytes:
    """One span as a field of ``ScopeSpans``.

    Args:
        trace_id: 32 hex digits.
        span_id: 16 hex digits.
        parent_id: as ``span_id``; empty for the first of a trace.
        name: few different ones.
        kind: whose side it is.
        start_ns: Unix nanoseconds.
        end_ns: as ``start_ns``.
        said: its attributes, encoded, in any number of pieces.
        failed: whether it ended in an error.
        is_entry: whether its parent is in another process.
        state: the trace state that came with the request.
    """
    pieces = [
        bytes.fromhex(
            f"0a10{trace_id}1208{span_id}2208{parent_id}"
            if parent_id
            else f"0a10{trace_id}1208{span_id}"
        ),
        named(name, kind),
        _TIMES.pack(0x39, start_ns, 0x41, max(start_ns, end_ns)),
        *said,
        REMOTE if is_entry and parent_id else LOCAL,
    ]
    if state:
        pieces.append(state_said(state))
    if failed:
        pieces.append(FAILED)
    return _sized(b"\x12", b"".join(pieces))


@lru_cache(maxsize=4096)
def head_of(size: int) -> bytes:
    """The beginning of a span of so many bytes."""
    return b"\x12" + varint(size)


def state_said(state: str) -> bytes:
    """The trace state that came with the request."""
    return _sized(b"\x1a", state.encode())


@lru_cache(maxsize=2048)
def named(name: str, kind: Kind) -> bytes:
    """What a span is called, and whose side it is."""
    return _sized(b"\x2a", name.encode("utf-8", "replace")) + _KINDS[kind]


def resource(members: Mapping[str, str]) -> bytes:
    """Who sends: the ``Resource`` of all spans, as a field of ``ResourceSpans``."""
    listed = b"".join(_sized(b"\x0a", key_value(name, text)) for name, text in members.items())
    return _sized(b"\x0a", listed)


def scope(name: str, version: str) -> bytes:
    """What has made the spans, as a field of ``ScopeSpans``."""
    said = _sized(b"\x0a", name.encode()) + _sized(b"\x12", version.encode())
    return _sized(b"\x0a", said)


def request(resource_field: bytes, scope_field: bytes, spans: Sequence[bytes]) -> bytes:
    """An ``ExportTraceServiceRequest`` of spans of one resource and scope, in pieces of one or several.

    It is large, and each copy of it would cost as much as writing some of its spans: it is joined once.
    """
    inner = len(scope_field) + sum(map(len, spans))
    scoped = b"\x12" + varint(inner)
    size = len(resource_field) + len(scoped) + inner
    return b"".join((b"\x0a", varint(size), resource_field, scoped, scope_field, *spans))


# --------------------------------------------------------------------------- read back


def read_fields(data: bytes) -> list[tuple[int, int | bytes]]:
    """A message's fields in order: number, and a whole number or bytes.

    Raises:
        ValueError: it is no message.
    """
    found: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        match tag & 7:
            case 0:
                number, at = _read_varint(data, at)
                found.append((tag >> 3, number))
                continue
            case 1:
                size = 8
            case 2:
                size, at = _read_varint(data, at)
            case 5:
                size = 4
            case kind:
                raise ValueError(f"wire type {kind}")
        if at + size > len(data):
            raise ValueError("cut off")
        found.append((tag >> 3, data[at : at + size]))
        at += size
    return found


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("cut off")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 128:
            return number, at
        shift += 7


_PARTIAL_SUCCESS = 1
_REJECTED_SPANS = 1


def rejected_in(reply: bytes) -> int:
    """How many spans an ``ExportTraceServiceResponse`` says were not taken; what is none says nothing."""
    try:
        for number, partial in read_fields(reply):
            if number == _PARTIAL_SUCCESS and isinstance(partial, bytes):
                for inner, value in read_fields(partial):
                    if inner == _REJECTED_SPANS and isinstance(value, int):
                        return value
    except ValueError:
        pass
    return 0


def told(spans: bytes) -> list[dict[str, Any]]:
    """Spans for people, from what ``span`` has written, one after another."""
    return [_told(body) for _, body in read_fields(spans) if isinstance(body, bytes)]


def _told(body: bytes) -> dict[str, Any]:
    shown: dict[str, Any] = {"attributes": {}}
    for number, value in read_fields(body):
        match number, value:
            case 1, bytes():
                shown["trace_id"] = value.hex()
            case 2, bytes():
                shown["span_id"] = value.hex()
            case 4, bytes():
                shown["parent_id"] = value.hex()
            case 5, bytes():
                shown["name"] = value.decode()
            case 7, bytes():
                shown["start_ns"] = int.from_bytes(value, "little")
            case 8, bytes():
                shown["end_ns"] = int.from_bytes(value, "little")
            case 9, bytes():
                (_, name), (_, said) = read_fields(value)
                assert isinstance(name, bytes)
                assert isinstance(said, bytes)
                shown["attributes"][name.decode()] = _plain(said)
            case 15, bytes():
                shown["failed"] = True
            case _:
                continue
    return shown


def _plain(said: bytes) -> Any:
    ((number, value),) = read_fields(said)
    match number, value:
        case 1, bytes():
            return value.decode()
        case 2, int():
            return bool(value)
        case 4, bytes():
            return _DOUBLE.unpack(value)[0]
        case 5, bytes():
            return [_plain(each) for _, each in read_fields(value) if isinstance(each, bytes)]
        case _:
            return value
