"""What is left when all is over: the callers' log, the provider's truth, the journal and the ledger.

Everything is plain data here, so that a history can be made up as well as read: the laws of ``check`` are tested
on made-up ones. The journal's frames are read by hand on purpose: a reader of the product's own would be
wrong in the same place as its writer.
"""

from __future__ import annotations

import json
import re
import sqlite3
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

import msgspec

End = Literal["whole", "refused", "broken", "left", "lost"]
"""How a request ended for its caller: a whole answer; an HTTP error; a stream that told of an error; the caller
left; the connection was gone before the answer was whole."""

_HEAD = struct.Struct("<IIB")


@dataclass(frozen=True, slots=True)
class Heard:
    """One request as its caller saw it."""

    name: str
    """Its ``x-request-id``, which no other has."""
    trace: str
    end: End
    status: int | None = None
    input: int | None = None
    output: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Served:
    """One request as the provider saw it."""

    number: int
    trace: str
    provider: str
    """The first segment of its path."""
    model: str
    input: int = 0
    output: int = 0
    cached: int = 0
    cache_write: int = 0
    invoice_pico: int = 0
    """What the provider charges, in 10⁻¹² USD, rounded half-even."""
    told: bool = False
    """Whether its last word on usage went out."""
    whole: bool = False
    answered: bool = True
    """Whether a byte of an answer went out."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A row of ``ledger_attempts``."""

    attempt_id: str
    call_id: str
    number: int
    provider: str
    model: str
    status: str
    upstream_id: str | None = None
    input: int | None = None
    output: int | None = None
    cached: int | None = None
    cache_write: int | None = None
    tokens_from: str = "none"
    cost_pico: int | None = None
    cost_from: str = "none"


@dataclass(frozen=True, slots=True)
class Request:
    """A row of ``ledger_requests``."""

    call_id: str
    request_id: str
    trace_id: str
    status: str
    http_status: int | None
    attempts: int
    input: int | None = None
    output: int | None = None
    cost_pico: int | None = None


@dataclass(frozen=True, slots=True)
class Noted:
    """What the journals of the dead say of an attempt: it was opened, and perhaps how it was closed."""

    attempt_id: str
    call_id: str
    status: str | None = None
    input: int | None = None
    output: int | None = None
    cost_pico: int | None = None


@dataclass(slots=True)
class History:
    """All of it."""

    heard: list[Heard] = field(default_factory=list)
    served: list[Served] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    hours: dict[str, int] = field(default_factory=dict)
    """The sums over all of ``ledger_hours``."""
    noted: list[Noted] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)
    """Journal files that nobody has drained."""
    harmed: bool = False
    """Whether what the provider sent may have been cut off on its way."""


# --------------------------------------------------------------------------- the provider

_MOCK_ID = re.compile(r"mock0*(\d+)$")


def served_of(lines: Iterable[dict[str, Any]]) -> list[Served]:
    """The provider's requests for answers, from its truth log; of two lines about one the later holds."""
    last = {entry["id"]: entry for entry in lines if entry["method"] == "POST"}
    return [
        Served(
            number=number_of(entry["id"]) or 0,
            trace=entry["trace"],
            provider=entry["path"].split("/")[1],
            model=entry["model"],
            input=entry["input"],
            output=entry["output"],
            cached=entry["cached"],
            cache_write=entry["cache_write"],
            invoice_pico=pico(entry["invoice"]),
            told=entry["told"],
            whole=entry["whole"],
            answered=entry["status"] is not None,
        )
        for entry in last.values()
    ]


def number_of(name: str | None) -> int | None:
    """The number that the mock gave a request, from any of the ids that it made of it."""
    found = _MOCK_ID.search(name or "")
    return int(found[1]) if found else None


def pico(usd: str) -> int:
    """Whole 10⁻¹² USD, rounded half-even, by integers alone."""
    whole, _, rest = usd.partition(".")
    kept, cut = rest[:12].ljust(12, "0"), rest[12:]
    amount = int(whole + kept)
    half = (cut + "0")[0], cut[1:].strip("0")
    up = half[0] > "5" or (half[0] == "5" and (bool(half[1]) or amount % 2 == 1))
    return amount + up


# --------------------------------------------------------------------------- the journal


def frames(data: bytes) -> Iterator[list[Any]]:
    """The whole records of a journal file, as lists; a torn tail ends them."""
    at = 0
    while at + _HEAD.size < len(data):
        length, crc, _ = _HEAD.unpack_from(data, at)
        end = at + _HEAD.size + length
        covered = struct.pack("<II", length, 0) + data[at + 8 : end]
        if end > len(data) or crc32(covered) != crc:
            return
        yield msgspec.msgpack.decode(data[at + _HEAD.size : end])
        at = end


def noted_in(folder: Path) -> list[Noted]:
    """What the journals in a folder say, before anybody drains them."""
    opened: dict[str, str] = {}
    closed: dict[str, Noted] = {}
    for path in sorted(folder.glob("*.journal")):
        for kind, *record in frames(path.read_bytes()):
            if kind == "o":
                opened[record[0]] = record[1][0]
            elif kind == "c":
                tokens = record[7]
                closed.setdefault(
                    record[0],
                    Noted(record[0], record[1], record[2], tokens[0], tokens[1], record[9]),
                )
    return [closed.get(attempt) or Noted(attempt, call) for attempt, call in opened.items()]


# --------------------------------------------------------------------------- the ledger

_ATTEMPT = (
    "SELECT attempt_id, call_id, number, provider, model, status, upstream_id, input_tokens, output_tokens,"
    " cache_read_tokens, cache_write_tokens, tokens_from, cost_pico, cost_from FROM ledger_attempts"
)
_REQUEST = (
    "SELECT call_id, request_id, trace_id, status, http_status, attempts, input_tokens, output_tokens, cost_pico"
    " FROM ledger_requests"
)
_HOURS = ("requests", "input_tokens", "output_tokens", "cost_pico")
_SUMS = f"SELECT {', '.join(f'COALESCE(SUM({name}), 0)' for name in _HOURS)} FROM ledger_hours"


def add_sqlite(history: History, path: Path) -> None:
    """Reads the ledger of a SQLite file."""
    database = sqlite3.connect(path)
    try:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        history.attempts = [Attempt(*row) for row in database.execute(_ATTEMPT)]
        history.requests = [Request(*row) for row in database.execute(_REQUEST)]
        (sums,) = database.execute(_SUMS)
        history.hours = dict(zip(_HOURS, sums, strict=True))
    finally:
        database.close()


async def add_postgres(history: History, url: str) -> None:
    """Reads the ledger of a PostgreSQL database."""
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        history.attempts = [Attempt(*row) for row in await connection.fetch(_ATTEMPT)]
        history.requests = [Request(*row) for row in await connection.fetch(_REQUEST)]
        sums = await connection.fetchrow(_SUMS)
        history.hours = {name: int(value) for name, value in zip(_HOURS, sums, strict=True)}
    finally:
        await connection.close()


def add_truth(history: History, file: Path) -> None:
    """Reads the file of the provider's truth log."""
    with file.open("rb") as lines:
        history.served = served_of(json.loads(line) for line in lines)


def add_left_over(history: History, folder: Path) -> None:
    """What is in the journal's folder when everybody has ended in good order."""
    history.left_over = sorted(
        path.name for path in folder.glob("*") if path.suffix not in {".torn", ".lock"}
    )
