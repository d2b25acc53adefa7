"""Where notes of what providers keep outlive the process that took them, until the database has them.

The files are those of the ledger's journal in a folder of their own: append-only, each record
with its length and checksum, each process with a lock that the system frees when it dies. A plain
write survives kill -9; what the loss of the machine's power takes is the last moment's notes.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from dragoman.accounting.drain import drain_each
from dragoman.accounting.journal import Journal, journal_files
from dragoman.accounting.records import read_as
from dragoman.core import ids
from dragoman.core.clock import Clock
from dragoman.core.errors import HouseError
from dragoman.keeping.notes import MOST, Notes, merge_notes, write_notes
from dragoman.keeping.ports import Note, ResponseStore

DRAIN_EVERY_S = 10.0
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

    async def read(self, numbers: Sequence[int]) -> list[Note]:
        """All notes of these files, in their order; later ones go to other files."""
        self._journal.write_held()
        self._journal.rotate()
        paths = [self._journal.path_of(number) for number in numbers]
        return (await asyncio.to_thread(_read, paths))[0]


def _read(paths: Sequence[Path]) -> tuple[list[Note], list[Path]]:
    """The notes of the files, and the files that are torn."""
    notes: list[Note] = []
    torn: list[Path] = []
    for path in paths:
        data = path.read_bytes()
        reading = read_as(_DECODER, data, most=len(data))
        notes += reading.records
        if reading.torn:
            torn.append(path)
    return notes, torn


async def drain_notes(
    folder: Path, store: ResponseStore, clock: Clock, failed: Callable[[Exception], None]
) -> int:
    """Brings the notes of dead processes to the store; of how many responses they were.

    Raises:
        HouseError: the store cannot be reached; the files stay.
    """

    async def drain_tag(tag: str) -> int:
        files = journal_files(folder, tag)
        notes, torn = await asyncio.to_thread(_read, files)
        live = merge_notes(note for note in notes if note.expires > clock.wall())
        await write_notes(store, live, failed)
        for path in files:
            # A torn tail is for a person to look at: nothing is thrown away unread.
            if path in torn:
                path.rename(path.with_suffix(".torn"))
            else:
                path.unlink(missing_ok=True)
        return len(live)

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
