"""Notes outlive their process: whoever comes next brings them to the store, each once."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from dragoman.accounting.journal import Journal
from dragoman.core.clock import ManualClock
from dragoman.core.errors import HouseError
from dragoman.keeping.ports import Kept, Note
from dragoman.store import note_journal
from dragoman.store.note_journal import NoteJournal, drain_notes, open_notes
from memory_responses import MemoryResponses

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def store():
    return MemoryResponses()


@pytest.fixture
def clock():
    return ManualClock()


def own(name="resp_1", *items):
    return Kept(name, 0.0, 9e9, "openai", "key-1", items=items)


def note(name="resp_1", *items, expires=9e9):
    return Note("ours", name, 0.0, expires, "openai", "key-1", items)


async def until(there):
    for _ in range(2000):
        if there():
            return
        await asyncio.sleep(0.002)
    pytest.fail("it did not come")


async def test_notes_are_written_on_leaving_and_nothing_is_left(tmp_path, store, clock):
    failures = []
    async with open_notes(tmp_path / "notes", store, clock, failures.append) as notes:
        for number in range(3):
            notes.note("ours", own(f"resp_{number}"))
        assert list((tmp_path / "notes").glob("*.journal"))
    assert len(store.rows) == 3
    assert list((tmp_path / "notes").iterdir()) == []
    assert failures == []


async def test_what_could_not_be_written_is_there_at_the_next_start(tmp_path, store, clock):
    failures = []
    store.fail()
    async with open_notes(tmp_path, store, clock, failures.append, drain_every_s=0.01) as notes:
        notes.note("ours", own("resp_1"))
        notes.note("ours", own("resp_1", "msg_1"))
    assert store.rows == {}
    assert failures
    async with open_notes(tmp_path, store, clock, failures.append, drain_every_s=0.01):
        # The database is away still: the files stay.
        before = len(failures)
        await until(lambda: len(failures) >= before + 2)
        store.broken = None
        await until(lambda: len(list(tmp_path.glob("*.journal"))) == 1)
    assert store.rows == {("ours", "resp_1"): own("resp_1", "msg_1")}
    assert list(tmp_path.iterdir()) == []


DYING = """
import os, sys
from pathlib import Path
from dragoman.accounting.journal import Journal
from dragoman.keeping.ports import Note
from dragoman.store.note_journal import NoteJournal
journal = NoteJournal(Journal(Path(sys.argv[1]), "dead", rotate_bytes=200))
for number in range(5):
    journal.append(Note("ours", f"resp_{number}", 0.0, 9e9, "openai", None, ("msg_1",)))
os.kill(os.getpid(), 9)
"""


async def test_a_process_that_was_killed_has_lost_none(tmp_path, store, clock):
    command = [sys.executable, "-c", DYING, str(tmp_path)]
    done = await asyncio.to_thread(subprocess.run, command, check=False)
    assert done.returncode == -9
    assert len(list(tmp_path.glob("dead.*.journal"))) > 1
    alive = Journal(tmp_path, "alive")
    NoteJournal(alive).append(note("resp_alive"))
    assert await drain_notes(tmp_path, store, clock, pytest.fail) == 5
    assert set(store.rows) == {("ours", f"resp_{number}") for number in range(5)}
    assert not list(tmp_path.glob("dead.*"))
    alive.close()


async def test_a_torn_tail_is_set_aside_and_what_has_expired_is_left_out(tmp_path, store, clock):
    journal = Journal(tmp_path, "dead")
    for one in (note(), note("resp_2", expires=clock.wall())):
        NoteJournal(journal).append(one)
    (file,) = tmp_path.glob("*.journal")
    with file.open("ab") as more:
        more.write(b"torn")
    journal.close()
    assert await drain_notes(tmp_path, store, clock, pytest.fail) == 1
    assert set(store.rows) == {("ours", "resp_1")}
    assert [path.suffix for path in tmp_path.iterdir()] == [".torn"]


async def test_what_the_queue_had_no_room_for_is_read_back_from_the_files(tmp_path, store, clock):
    failures = []
    async with open_notes(tmp_path, store, clock, failures.append, most=1) as notes:
        store.fail()
        for number in range(5):
            notes.note("ours", own(f"resp_{number}"))
        assert notes.waiting == 1
        assert not await notes.flush()
        store.broken = None
        assert await notes.flush()
        assert len(store.rows) == 5
        assert len(list(tmp_path.glob("*.journal"))) == 1
    assert list(tmp_path.iterdir()) == []


async def test_a_long_backlog_is_read_in_pieces(tmp_path, store, clock, monkeypatch):
    monkeypatch.setattr(note_journal, "PIECE", 2)
    journal = Journal(tmp_path, "dead", rotate_bytes=200)
    for number in range(9):
        NoteJournal(journal).append(note("resp_1", f"msg_{number}"))
    journal.close()
    pieces = []
    merge = note_journal.merge_notes
    monkeypatch.setattr(
        note_journal, "merge_notes", lambda notes: pieces.append(len(notes)) or merge(notes)
    )
    assert await drain_notes(tmp_path, store, clock, pytest.fail) == len(pieces)
    assert (sum(pieces), max(pieces)) == (9, 2)
    assert len(store.rows["ours", "resp_1"].items) == 9
    assert list(tmp_path.iterdir()) == []


async def test_a_full_disk_holds_notes_in_memory(tmp_path):
    room = [False]

    def write(descriptor, data):
        if not room[0]:
            raise OSError
        return os.write(descriptor, data)

    journal = NoteJournal(Journal(tmp_path, "x", write=write))
    number = journal.append(note())
    assert journal.full
    with pytest.raises(OSError, match="space"):
        journal.settle()
    room[0] = True
    journal.settle()
    assert [notes async for notes in journal.read(number)] == [[note()]]
    journal.let_go(number, 1)


async def test_a_database_that_hangs_does_not_hold_the_end_up(tmp_path, store, clock, monkeypatch):
    monkeypatch.setattr(note_journal, "LAST_S", 0.01)
    failures = []

    async def hang(*_):
        await asyncio.sleep(60)

    store.put = hang
    async with open_notes(tmp_path, store, clock, failures.append) as notes:
        notes.note("ours", own())
    assert [type(failure) for failure in failures] == [TimeoutError]
    assert list(tmp_path.glob("*.journal"))


async def test_a_folder_that_cannot_be_written_is_named(tmp_path, store, clock):
    (tmp_path / "file").write_text("")
    with pytest.raises(HouseError, match="DRAGOMAN_HOME"):
        async with open_notes(tmp_path / "file" / "notes", store, clock, pytest.fail):
            pass
