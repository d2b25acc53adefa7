"""Brings the journals of dead processes into the ledger (D26).

A lock that can be taken belongs to nobody alive. Whoever takes it reads the dead process's
files in the order of their writing, writes every call to the ledger, and only then deletes
them; a death in between costs nothing, as the ledger takes each call once. A file with a
torn tail gives all its whole records and is then set aside as ``….torn`` for a person, as is
one with an entry that the ledger refuses (``….refused``): nothing is thrown away unread.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from dragoman.accounting.entry import Calls, Entry
from dragoman.accounting.journal import claim, journal_files, release
from dragoman.accounting.ports import EntryRefused, Ledger, Notice, silent
from dragoman.accounting.records import read

BATCH = 500

Drained: TypeAlias = Callable[[str], Awaitable[None]]
"""Told the tag of a dead process once SQL has all that it had written."""

Write: TypeAlias = Callable[[Sequence[Entry]], Awaitable[int]]
"""Writes entries in one transaction; how many calls were new."""


def tags(folder: Path) -> list[str]:
    """The processes that left anything in the folder, oldest first."""
    names = (path.name for path in folder.glob("*.*"))
    return sorted({name.split(".")[0] for name in names if name.endswith((".lock", ".journal"))})


async def drain(
    folder: Path, ledger: Ledger, notice: Notice = silent, drained: Drained | None = None
) -> int:
    """Drains every journal whose owner is dead; how many calls were new to the ledger."""
    return await drain_each(folder, lambda tag: _drain_tag(folder, tag, ledger, notice, drained))


async def drain_each(folder: Path, drain_tag: Callable[[str], Awaitable[int]]) -> int:
    """Has every journal drained whose owner is dead, of whatever records; how many were new."""
    new = 0
    for tag in tags(folder):
        lock = claim(folder, tag)
        if lock is None:
            continue
        empty = False
        try:
            new += await drain_tag(tag)
            empty = True
        finally:
            release(folder, tag, lock, empty=empty)
    return new


async def _drain_tag(
    folder: Path, tag: str, ledger: Ledger, notice: Notice, drained: Drained | None
) -> int:
    files = journal_files(folder, tag)
    calls = Calls()
    torn: set[Path] = set()
    new = refused = 0
    async for entries in _entries(files, calls, torn, notice):
        written, bad = await write_all(ledger.write, entries, notice)
        new += written
        refused += len(bad)
    if torn and files[-1] not in torn:
        # Otherwise an end has no beginning only where SQL has the call, and the file with the
        # beginning is gone already.
        notice("journal_orphans", calls.orphans, tag)
    if drained is not None and not (torn or refused):
        await drained(tag)
    for path in files:
        if path in torn:
            path.rename(path.with_suffix(".torn"))
        elif refused:
            path.rename(path.with_suffix(".refused"))
        else:
            path.unlink(missing_ok=True)
    if files:
        notice("journal_drained", new, tag)
    return new


async def _entries(
    files: Sequence[Path], calls: Calls, torn: set[Path], notice: Notice
) -> AsyncIterator[list[Entry]]:
    """Entries in batches, first those that came to their end, then those that never did."""
    batch: list[Entry] = []
    for path in files:
        data = await asyncio.to_thread(path.read_bytes)
        end = 0
        while end < len(data):
            reading = await asyncio.to_thread(read, data, end, 2 * BATCH)
            batch.extend(filter(None, map(calls.feed, reading.records)))
            if reading.torn:
                torn.add(path)
                notice("journal_torn", reading.torn, path.name)
                break
            end = reading.end
            if len(batch) >= BATCH:
                yield batch
                batch = []
    for entry in calls.rest():
        batch.append(entry)
        if len(batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def write_all(
    write: Write, entries: Sequence[Entry], notice: Notice
) -> tuple[int, frozenset[str]]:
    """Writes entries; how many calls were new, and which were refused."""
    try:
        return await write(entries), frozenset()
    except EntryRefused as error:
        return await write_apart(write, entries, error, notice)


async def write_apart(
    write: Write, entries: Sequence[Entry], error: EntryRefused, notice: Notice
) -> tuple[int, frozenset[str]]:
    """Writes entries that were refused together, in halves until the bad ones stand alone; as ``write_all``."""
    if len(entries) == 1:
        name = entries[0].request.call_id
        notice("entry_refused", 1, f"{name}: {error}")
        return 0, frozenset((name,))
    half = len(entries) // 2
    first = await write_all(write, entries[:half], notice)
    second = await write_all(write, entries[half:], notice)
    return first[0] + second[0], first[1] | second[1]
