"""A ledger in memory, and calls to account for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest

from dragoman.accounting.entry import Entry
from dragoman.accounting.ports import EntryRefused, Line, Scope, Sums
from dragoman.accounting.records import About, Closed, Finished, Opened, Tokens
from dragoman.accounting.served import Served
from dragoman.core.call import Attempt, Call, Caller
from dragoman.core.clock import ManualClock
from dragoman.core.errors import HouseError
from dragoman.core.ids import uuid7
from dragoman.core.provider import Price

STREAM = True


@dataclass
class MemoryLedger:
    """Takes each call once, as SQL does; fails and refuses when told."""

    entries: dict[str, Entry] = field(default_factory=dict)
    batches: list[int] = field(default_factory=list)
    down: int = 0
    """So many writes fail from now on."""
    refused: set[str] = field(default_factory=set)
    bug: bool = False

    async def write(self, entries: Sequence[Entry], served: Sequence[Served] = ()) -> int:
        entries = [*entries, *(each.entry() for each in served)]
        self.batches.append(len(entries))
        if self.bug:
            raise ZeroDivisionError
        if self.down:
            self.down -= 1
            raise HouseError("overloaded", "The database cannot be reached.")
        if self.refused & {entry.request.call_id for entry in entries}:
            raise EntryRefused("DataError")
        new = [entry for entry in entries if entry.request.call_id not in self.entries]
        self.entries.update({entry.request.call_id: entry for entry in new})
        return len(new)

    async def sums(self, scope: Scope) -> Sums:
        raise NotImplementedError

    async def by_hour(self, scope: Scope) -> dict[int, Sums]:
        raise NotImplementedError

    async def by_day(self, scope: Scope) -> dict[int, Sums]:
        raise NotImplementedError

    async def by_model(self, scope: Scope) -> dict[tuple[str, str], Sums]:
        raise NotImplementedError

    async def find(self, scope: Scope, name: str) -> Line | None:
        raise NotImplementedError

    async def entry(self, scope: Scope, name: str) -> Entry | None:
        raise NotImplementedError

    def lines(self, scope: Scope, limit: int) -> AsyncIterator[list[Line]]:
        raise NotImplementedError


@dataclass
class Heard:
    """Remembers every notice."""

    notices: list[tuple[str, int, str]] = field(default_factory=list)

    def __call__(self, happening: str, number: int, detail: str) -> None:
        self.notices.append((happening, number, detail))

    def of(self, happening: str) -> list[tuple[int, str]]:
        return [(number, detail) for name, number, detail in self.notices if name == happening]


@dataclass
class Bench:
    """What a test of accounting needs, in one place."""

    folder: Path
    clock: ManualClock = field(default_factory=ManualClock)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    heard: Heard = field(default_factory=Heard)
    caller: Caller = field(default_factory=lambda: Caller("k1", "t1", "skill_a->skill_b"))
    price: Price = field(
        default_factory=lambda: Price(
            input=Decimal("0.15"),
            output=Decimal("0.60"),
            source="genai-prices",
            effective_from="2025-01-01",
        )
    )
    made: int = 0

    def id(self) -> str:
        self.made += 1
        number = self.made
        return uuid7(self.clock.wall(), lambda length: number.to_bytes(length, "big"))

    def call(self, operation: str = "chat") -> Call:
        call = Call(
            self.id(),
            f"req-{self.made}",
            "f" * 32,
            "chat",
            operation,
            "/v1/chat/completions",
            None,
            {},
            _no_body,
            self.clock.monotonic(),
            self.clock.wall(),
        )
        call.outcome.requested_model = "openai/gpt-5-mini"
        return call

    def attempt(self, call: Call) -> Attempt:
        attempt = Attempt(
            self.id(),
            len(call.outcome.attempts) + 1,
            "openai",
            "gpt-5-mini",
            "c1",
            self.clock.monotonic(),
            self.clock.wall(),
        )
        call.outcome.attempts.append(attempt)
        return attempt

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("*") if path.suffix != ".lock")


async def _no_body() -> bytes:
    return b""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "journal")


@pytest.fixture
def about() -> Callable[[str], About]:
    def make(call_id: str = "call-1") -> About:
        return About(call_id, f"r-{call_id}", "f" * 32, "t1", "k1", "me", "chat", "chat", 1.75e9)

    return make


@pytest.fixture
def opened(about: Callable[[str], About]) -> Callable[..., Opened]:
    def make(call_id: str = "call-1", attempt_id: str = "attempt-1", number: int = 1) -> Opened:
        return Opened(
            attempt_id, about(call_id), "fast", STREAM, number, "openai", "gpt-5-mini", "c1", 0.25,
            "genai-prices", "2025-01-01",
        )  # fmt: skip

    return make


@pytest.fixture
def closed() -> Callable[..., Closed]:
    def make(
        call_id: str = "call-1", attempt_id: str = "attempt-1", status: str = "complete"
    ) -> Closed:
        return Closed(
            attempt_id, call_id, status, 200, 200, "chatcmpl-1", None, Tokens(100, 20, 10),
            "reported", 27_000_000, "priced", 0.5, 1.5, 2.0, "n;action=dropped;reason=none",
        )  # fmt: skip

    return make


@pytest.fixture
def finished(about: Callable[[str], About]) -> Callable[..., Finished]:
    def make(call_id: str = "call-1", status: str = "refused", http_status: int = 429) -> Finished:
        return Finished(
            about(call_id), "fast", not STREAM, status, http_status, "rate_limited", 0.01
        )

    return make
