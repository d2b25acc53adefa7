"""Where notes of what providers keep outlive the process that took them, until the database has them.

The files are those of the ledger's journal in a folder of their own: append-only, each record
with its length and checksum, each process with a lock that the system frees when it dies. A plain
write survives kill -9; what the loss of the machine's power takes is the last moment's notes.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from dragoman.accounting.drain import drain_each
from dragoman.accounting.journal import Journal, journal_files
from dragoman.accounting.records import Reading, read_as
from dragoman.core import ids
from dragoman.core.clock import Clock
from dragoman.core.errors import HouseError
from dragoman.keeping.notes import MOST, Notes, merge_notes, write_notes
from dragoman.keeping.ports import Note, ResponseStore

DRAIN_EVERY_S = 10.0
PIECE = 2_000
"""Notes that are read at once."""
LAST_S = 5.0
"""How long an ending process waits for the database; the journal keeps what is left."""
_DECODER = msgspec.msgpack.Decoder(Note)


class NoteJournal:
    """The notes of this process."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    @property
    def full(self) -> bool:
        """Whether the disk has refused the last note."""
        return self._journal.full

    def append(self, note: Note) -> int:
        """Writes a note, and says in which file; what the disk refuses waits in memory."""
        return self._journal.append_or_hold(note)

    def let_go(self, number: int, notes: int) -> None:
        """The database has so many notes of that file."""
        self._journal.let_go(number, notes)

    def settle(self) -> None:
        """All that was taken stands in its file from now on, and what comes goes to another.

        Raises:
            OSError: the disk takes nothing.
        """
        if not self._journal.write_held():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._journal.rotate()

    async def read(self, number: int) -> AsyncIterator[list[Note]]:
        """The notes of a file in their order, some at a time."""
        async for reading in _pieces(self._journal.path_of(number)):
            yield reading.records


async def _pieces(path: Path) -> AsyncIterator[Reading[Note]]:
    """The notes of a file, so many at a time that others get their turn; the last piece may be torn."""
    data = await asyncio.to_thread(path.read_bytes)
    end = 0
    while end < len(data):
        reading = await asyncio.to_thread(read_as, _DECODER, data, end, PIECE)
        yield reading
        if reading.torn:
            return
        end = reading.end


async def drain_notes(
    folder: Path, store: ResponseStore, clock: Clock, failed: Callable[[Exception], None]
) -> int:
    """Brings the notes of dead processes to the store; how many it were, those of one moment together.

    Raises:
        HouseError: the store cannot be reached; the files stay.
    """

    async def drain_tag(tag: str) -> int:
        written = 0
        for path in journal_files(folder, tag):
            is_torn = False
            async for reading in _pieces(path):
                is_torn = bool(reading.torn)
                live = [note for note in reading.records if note.expires > clock.wall()]
                notes = merge_notes(live)
                await write_notes(store, notes, failed)
                written += len(notes)
            # A torn tail is for a person to look at: nothing is thrown away unread.
            if is_torn:
                path.rename(path.with_suffix(".torn"))
            else:
                path.unlink(missing_ok=True)
        return written

    return await drain_each(folder, drain_tag)


@asynccontextmanager
async def open_notes(
    folder: Path,
    store: ResponseStore,
    clock: Clock,
    failed: Callable[[Exception], None],
    *,
    again_s: float = 0.0,
    most: int = MOST,
    drain_every_s: float = DRAIN_EVERY_S,
) -> AsyncIterator[Notes]:
    """The store with notes behind it; on leaving all are written, if the database can be reached.

    Raises:
        HouseError: the folder cannot be written.
    """
    try:
        journal = Journal(folder, ids.uuid7(clock.wall(), os.urandom))
    except OSError as error:
        raise HouseError(
            "server",
            f"Notes cannot be kept in {folder} ({error.strerror}): "
            "check the folder's owner, or set DRAGOMAN_HOME.",
            code="configuration_error",
        ) from None
    notes = Notes(store, NoteJournal(journal), failed, again_s=again_s, most=most)

    async def drain() -> None:
        while True:
            try:
                await drain_notes(folder, store, clock, failed)
            except Exception as error:  # noqa: BLE001  the journals stay; the next try comes
                failed(error)
            await asyncio.sleep(drain_every_s)

    tasks = [
        asyncio.create_task(notes.run(), name="note writer"),
        asyncio.create_task(drain(), name="note drain"),
    ]
    try:
        yield notes
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            async with asyncio.timeout(LAST_S):
                await notes.flush()
        except TimeoutError as error:
            failed(error)
        journal.close()
