"""What really happened: every request, what it was billed, and whether its caller stayed.

Whoever checks a gateway's ledger compares it with this log; it therefore counts what went
out on the wire, not what the answer's usage said. A request stands in it before the first byte
of its answer goes out, so that no answer can be seen that the log does not know.
"""

from __future__ import annotations

import os
import time
from collections import deque
from pathlib import Path

import msgspec
from msgspec import Struct

__all__ = ["Entry", "Truth"]

_LONGEST = 100_000
"""Requests kept in memory; a file keeps all."""
_encoded = msgspec.json.Encoder().encode


class Entry(Struct):
    """One request, as far as it has come."""

    id: str
    time: float
    """Unix seconds of its arrival."""
    method: str
    path: str
    model: str = ""
    stream: bool = False
    attempt: int = 1
    """Which request of the same trace it is (``traceparent``), or of a client's own retries."""
    trace: str = ""
    auth: str = ""
    """Header and first digits of the SHA-256 of the credential that was presented."""
    status: int | None = None
    """The status sent; None while nothing is."""
    script: dict[str, object] | None = None
    input: int = 0
    output: int = 0
    cached: int = 0
    cache_write: int = 0
    invoice: str = "0"
    """USD for the tokens above, exactly."""
    told: bool = False
    """Whether the last word on the usage went out, before the answer's end."""
    whole: bool = False
    """The answer was written to its own end."""
    left: float | None = None
    """Unix seconds at which the caller closed before that."""
    ended: float | None = None


class Truth:
    """The log; one for each mock."""

    def __init__(self, file: Path | None = None) -> None:
        self.entries: deque[Entry] = deque(maxlen=_LONGEST)
        self._traces: dict[str, int] = {}
        self._file: int | None = None
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def attempt(self, trace: str, retries: str) -> int:
        """The number of this request among those of its trace; ``retries`` is a client's count."""
        if not trace:
            return int(retries) + 1 if retries.isdecimal() else 1
        if len(self._traces) >= _LONGEST:
            self._traces.clear()
        number = self._traces[trace] = self._traces.get(trace, 0) + 1
        return number

    def open(self, entry: Entry) -> None:
        """A request has arrived."""
        self.entries.append(entry)

    def answer(self, entry: Entry) -> None:
        """The first byte of its answer is about to go out; the file has it from now on."""
        self._write(entry)

    def close(self, entry: Entry, *, whole: bool, left: bool = False) -> None:
        """A request is over; of its lines in the file this one holds."""
        entry.ended = time.time()
        entry.whole = whole
        if left:
            entry.left = entry.ended
        self._write(entry)

    def _write(self, entry: Entry) -> None:
        if self._file is not None:
            os.write(self._file, _encoded(entry) + b"\n")

    def reset(self) -> None:
        """Forgets what is in memory; the file stays."""
        self.entries.clear()
        self._traces.clear()

    def report(self, newest: int | None = None) -> bytes:
        """The log as JSON: sums over all of it, and the newest requests, oldest first."""
        entries = list(self.entries)
        sums = {
            "requests": len(entries),
            "open": sum(entry.ended is None for entry in entries),
            "left": sum(entry.left is not None for entry in entries),
            "input": sum(entry.input for entry in entries),
            "output": sum(entry.output for entry in entries),
            "cached": sum(entry.cached for entry in entries),
        }
        shown = entries if newest is None else entries[max(0, len(entries) - newest) :]
        return _encoded({"totals": sums, "requests": shown})

    def shut(self) -> None:
        """Closes the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
