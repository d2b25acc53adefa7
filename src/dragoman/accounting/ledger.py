"""The buffer between the data path and SQL: settled calls wait in memory and go in batches.

A batch goes when ``size`` calls wait or ``interval_s`` has passed, but size alone triggers at
most every ``_SPREAD_S``, or ``_MANY`` calls: a busy process writes few large transactions. While SQL fails, calls
wait, and tries are spaced out. The buffer is bounded: over ``most`` calls the newcomers are
left to the journal alone, and are read back from it when SQL takes rows again. A call's
journal files are let go only when SQL has its rows, so nothing is lost whatever ends first. A batch
that SQL refuses goes once more in halves: whatever it does not take alone stays in its file, which
is set aside when the process is gone (``drain.py``), and the others are in.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice

from msgspec import Struct

from dragoman.accounting.drain import BATCH, write_all, write_apart
from dragoman.accounting.entry import Calls, Entry, entry_of
from dragoman.accounting.journal import Journal
from dragoman.accounting.ports import EntryRefused, Ledger, Notice
from dragoman.accounting.records import Record, call_id, read
from dragoman.accounting.served import Served, served_of

MOST = 20_000
_SPREAD_S = 0.25
_MANY = 700
"""Calls that do not wait for so long: a busy process would hold some megabytes of them."""
_AT_ONCE = 2000
"""Calls of one transaction: all that a busy process has in ``_SPREAD_S``, for one fsync."""
_SLICE = 500
"""Calls between two looks at what else the event loop has to do: a millisecond or so."""
_BACK_OFF_S = (0.5, 1.0, 2.0, 4.0, 8.0)
_WRITE_TIMEOUT_S = 10.0


class Settled(Struct, frozen=True, gc=False):
    """A call that has ended: its records, and the journal files that hold them."""

    records: Sequence[Record]
    files: Sequence[int]


class Writer:
    """Takes settled calls and sees them into the ledger."""

    def __init__(
        self,
        journal: Journal,
        ledger: Ledger,
        notice: Notice,
        *,
        size: int = 100,
        interval_s: float = 5.0,
        most: int = MOST,
    ) -> None:
        self._journal = journal
        self.ledger = ledger
        self._notice = notice
        self._size = size
        self._interval_s = interval_s
        self._most = most
        self._waiting: deque[Settled] = deque()
        self._left_to_journal: Counter[int] = Counter()
        self._writing = asyncio.Lock()
        self._due = asyncio.Event()
        self._many = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Calls that SQL does not have yet and memory does."""
        return len(self._waiting)

    def add(self, settled: Settled) -> None:
        """Takes a call that has ended; never waits."""
        waiting = self._waiting
        waiting.append(settled)
        number = len(waiting)
        if number > self._most:
            self._left_to_journal.update(waiting.pop().files)
        elif number == self._size:
            self._due.set()
        elif number == _MANY:
            self._many.set()

    async def flush(self) -> bool:
        """Writes all that waits now; whether SQL has it. Never raises."""
        async with self._writing:
            due = len(self._waiting)
            try:
                while due > 0:
                    due -= await self._write_batch()
                if self._left_to_journal:
                    await self._catch_up()
            except Exception as error:  # noqa: BLE001 -- all of it waits for the next try
                self._notice("flush_failed", len(self._waiting), type(error).__name__)
                return False
            finally:
                if len(self._waiting) < self._size:
                    self._due.clear()
        return True

    async def _write_batch(self) -> int:
        batch = list(islice(self._waiting, _AT_ONCE))
        entries: list[Entry] = []
        served: list[Served] = []
        for start in range(0, len(batch), _SLICE):
            some = batch[start : start + _SLICE]
            made = [served_of(settled.records) for settled in some]
            served += filter(None, made)
            if not all(made):
                entries += _others(some, made)
            await asyncio.sleep(0)
        refused = await self._write(entries, served)
        for _ in batch:
            self._waiting.popleft()
        # What was refused stays in its file, for a person to look at.
        done = [each for each in batch if not _is_among(each, refused)] if refused else batch
        files = Counter(chain.from_iterable([settled.files for settled in done]))
        for number, calls in files.items():
            self._journal.let_go(number, calls)
        return len(batch)

    async def _write(
        self, entries: Sequence[Entry], served: Sequence[Served] = ()
    ) -> frozenset[str]:
        """Writes calls, those apart that the ledger refuses; which these are."""
        try:
            new, refused = await self._write_once(entries, served), frozenset[str]()
        except EntryRefused as error:
            every = [*entries, *(each.entry() for each in served)]
            write, notice = self._write_once, self._notice
            if len(every) == 1 and served:
                # As an entry it is made fit, and may be taken.
                new, refused = await write_all(write, every, notice)
            else:
                new, refused = await write_apart(write, every, error, notice)
        self._notice("written", new, "")
        return refused

    async def _write_once(self, entries: Sequence[Entry], served: Sequence[Served] = ()) -> int:
        async with asyncio.timeout(_WRITE_TIMEOUT_S):
            return await self.ledger.write(entries, served)

    async def _catch_up(self) -> None:
        """Reads back from our own files what the buffer had no room for.

        Calls that have not ended are not written, and those that SQL has it takes no second time.
        """
        self._journal.rotate()
        left = Counter(self._left_to_journal)
        calls = Calls()
        refused: frozenset[str] = frozenset()
        for number in sorted(left):
            async for records in self._records_of(number):
                refused |= await self._write([*filter(None, map(calls.feed, records))])
        # What was refused stays in its files, for a person to look at.
        kept = {number for number in left if refused and await self._holds_any(number, refused)}
        self._left_to_journal -= left
        for number, count in left.items():
            if number not in kept:
                self._journal.let_go(number, count)

    async def _records_of(self, number: int) -> AsyncIterator[Sequence[Record]]:
        """What one of our files holds, some at a time."""
        data = await asyncio.to_thread(self._journal.path_of(number).read_bytes)
        end = torn = 0
        while end < len(data) and not torn:
            reading = await asyncio.to_thread(read, data, end, 2 * BATCH)
            yield reading.records
            end, torn = reading.end, reading.torn

    async def _holds_any(self, number: int, calls: frozenset[str]) -> bool:
        """Whether one of our files has a record of one of these calls."""
        async for records in self._records_of(number):
            if not calls.isdisjoint(map(call_id, records)):
                return True
        return False

    async def run(self) -> None:
        """Writes batches as they fall due, until it is cancelled."""
        failures = 0
        while True:
            if failures:
                await asyncio.sleep(_BACK_OFF_S[min(failures, len(_BACK_OFF_S)) - 1])
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._interval_s):
                        await self._due.wait()
            if self._journal.full:
                self._journal.write_held()
            failures = 0 if await self.flush() else failures + 1
            if len(self._waiting) < _MANY or failures:
                self._many.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_SPREAD_S):
                    await self._many.wait()


def _is_among(settled: Settled, calls: frozenset[str]) -> bool:
    records = settled.records
    return bool(records) and call_id(records[0]) in calls


def _others(some: Sequence[Settled], served: Sequence[Served | None]) -> Iterator[Entry]:
    """The entries of calls that were not served at once."""
    for settled, at_once in zip(some, served, strict=True):
        if at_once is None and (entry := entry_of(settled.records)) is not None:
            yield entry
