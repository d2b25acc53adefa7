"""The files of one process: who owns them, when they go, and what a full disk does."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from dragoman.accounting import journal as module
from dragoman.accounting.journal import Journal, claim, journal_files, release
from dragoman.accounting.records import read


class Disk:
    """A disk with so many bytes left; ``tears`` writes what fits."""

    def __init__(self, room: int = 1 << 30, *, tears: bool = False) -> None:
        self.room = room
        self.tears = tears

    def write(self, descriptor: int, data: bytes | bytearray) -> int:
        if len(data) > self.room:
            if self.tears:
                return os.write(descriptor, bytes(data)[: self.room])
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= len(data)
        return os.write(descriptor, data)


def stored(journal: Journal) -> list[object]:
    found: list[object] = []
    for path in journal_files(journal.folder, journal.tag):
        reading = read(path.read_bytes())
        assert reading.torn == 0
        found += reading.records
    return found


def test_records_are_in_the_file_when_append_returns(tmp_path, opened, closed):
    journal = Journal(tmp_path / "j", "a")
    journal.append(closed(), journal.append(opened()))
    assert stored(journal) == [opened(), closed()]
    journal.close()


def test_files_and_folder_are_their_owners_alone(tmp_path):
    journal = Journal(tmp_path / "j", "a")
    assert stat.S_IMODE((tmp_path / "j").stat().st_mode) == 0o700
    for path in (tmp_path / "j").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    journal.close()


def test_a_tag_has_one_owner_until_it_is_closed(tmp_path, opened):
    journal = Journal(tmp_path, "a")
    assert claim(tmp_path, "a") is None
    with pytest.raises(FileExistsError):
        Journal(tmp_path, "a")
    journal.append(opened())
    journal.close()
    lock = claim(tmp_path, "a")
    assert lock is not None
    release(tmp_path, "a", lock, empty=False)
    assert (tmp_path / "a.lock").exists()


def test_a_lock_whose_file_was_replaced_is_worth_nothing(tmp_path, monkeypatch):
    flock = module.fcntl.flock

    def late(descriptor: int, how: int) -> None:
        (tmp_path / "a.lock").unlink()
        flock(descriptor, how)

    monkeypatch.setattr(module.fcntl, "flock", late)
    assert claim(tmp_path, "a") is None

    def replaced(descriptor: int, how: int) -> None:
        (tmp_path / "a.lock").rename(tmp_path / "old")
        (tmp_path / "a.lock").touch()
        flock(descriptor, how)

    monkeypatch.setattr(module.fcntl, "flock", replaced)
    assert claim(tmp_path, "a") is None


def test_a_journal_that_nobody_needs_leaves_nothing_behind(tmp_path, opened, closed):
    journal = Journal(tmp_path, "a")
    number = journal.append(opened())
    assert journal.append(closed(), number) == number
    journal.let_go(number)
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_a_journal_that_a_call_needs_stays(tmp_path, opened):
    journal = Journal(tmp_path, "a")
    journal.append(opened())
    journal.close()
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a.000001.journal", "a.lock"]


def test_a_file_goes_with_the_last_call_that_needs_it(tmp_path, opened, closed):
    journal = Journal(tmp_path, "a", rotate_bytes=1)
    first = journal.append(opened("call-1"))
    second = journal.append(opened("call-2"))
    third = journal.append(closed("call-1"), first)
    assert (first, second, third) == (1, 2, 3)
    journal.let_go(2)
    assert [path.name for path in journal_files(tmp_path, "a")] == [
        "a.000001.journal",
        "a.000003.journal",
        "a.000004.journal",
    ]
    journal.let_go(1)
    journal.let_go(3)
    assert [path.name for path in journal_files(tmp_path, "a")] == ["a.000004.journal"]
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_a_current_file_that_is_let_go_is_deleted_when_the_next_begins(tmp_path, opened):
    journal = Journal(tmp_path, "a")
    journal.let_go(journal.append(opened()))
    assert journal.path_of(1).exists()
    journal.rotate()
    assert not journal.path_of(1).exists()
    journal.close()


@pytest.mark.req("D8")
def test_a_full_disk_refuses_and_says_so_until_there_is_room(tmp_path, opened):
    disk = Disk()
    journal = Journal(tmp_path, "a", write=disk.write)
    disk.room = 10
    with pytest.raises(OSError, match="No space"):
        journal.append(opened())
    assert journal.full
    disk.room = 10_000
    journal.append(opened())
    assert not journal.full
    assert stored(journal) == [opened()]
    journal.close()


@pytest.mark.req("D8")
def test_a_write_that_tears_is_taken_back(tmp_path, opened, closed):
    disk = Disk(tears=True)
    journal = Journal(tmp_path, "a", write=disk.write)
    journal.append(opened())
    disk.room = 10
    with pytest.raises(OSError, match="No space"):
        journal.append(opened("call-2"))
    disk.room = 10_000
    journal.append(closed(), 1)
    assert stored(journal) == [opened(), closed()]
    journal.close()


def test_a_torn_write_that_cannot_be_taken_back_ends_its_file(
    tmp_path, opened, closed, monkeypatch
):
    disk = Disk(tears=True)
    journal = Journal(tmp_path, "a", write=disk.write)
    journal.append(opened())
    disk.room = 10

    def broken(descriptor: int, length: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(module.os, "ftruncate", broken)
    with pytest.raises(OSError, match="No space"):
        journal.append(opened("call-2"))
    disk.room = 10_000
    assert journal.append(closed(), 1) == 2
    first, second = journal_files(tmp_path, "a")
    assert read(first.read_bytes()).records == [opened()]
    assert read(first.read_bytes()).torn == 10
    assert read(second.read_bytes()).records == [closed()]
    journal.close()


@pytest.mark.req("D8")
def test_what_has_cost_money_is_held_and_written_first_when_there_is_room(
    tmp_path, opened, closed
):
    disk = Disk()
    journal = Journal(tmp_path, "a", write=disk.write)
    number = journal.append(opened())
    disk.room = 0
    assert journal.append_or_hold(closed(), number) == number
    assert journal.full
    assert not journal.write_held()
    with pytest.raises(OSError, match="No space"):
        journal.append(opened("call-2"))
    disk.room = 10_000
    journal.append(opened("call-3"))
    assert stored(journal) == [opened(), closed(), opened("call-3")]
    journal.close()


def test_held_records_are_written_when_asked_and_at_the_end(tmp_path, opened, closed):
    disk = Disk()
    journal = Journal(tmp_path, "a", write=disk.write)
    number = journal.append(opened())
    disk.room = 0
    journal.append_or_hold(closed(), number)
    disk.room = 10_000
    assert journal.write_held()
    assert not journal.full
    disk.room = 0
    journal.append_or_hold(closed("call-2"))
    disk.room = 10_000
    journal.close()
    assert read((tmp_path / "a.000001.journal").read_bytes()).records == [
        opened(),
        closed(),
        closed("call-2"),
    ]


def test_no_new_file_begins_while_records_are_held(tmp_path, opened, closed):
    disk = Disk()
    journal = Journal(tmp_path, "a", write=disk.write, rotate_bytes=300)
    first = journal.append(opened())
    disk.room = 0
    assert journal.append_or_hold(closed(), first) == first
    disk.room = 10_000
    assert journal.write_held()
    assert journal.append(opened("call-2")) == 1
    assert journal.append(opened("call-3")) == 2
    journal.close()


def test_where_no_new_file_can_begin_the_old_one_grows_on(tmp_path, opened, monkeypatch):
    journal = Journal(tmp_path, "a", rotate_bytes=1)
    real = os.open

    def refuse(path, flags, mode=0o777):
        if str(path).endswith(".journal"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, flags, mode)

    monkeypatch.setattr(module.os, "open", refuse)
    assert journal.append(opened()) == 1
    assert journal.full
    assert journal.append(opened("call-2")) == 1
    monkeypatch.undo()
    assert journal.append(opened("call-3")) == 1
    assert journal.append(opened("call-4")) == 2
    assert len(stored(journal)) == 4
    journal.close()


def test_a_journal_that_cannot_begin_leaves_no_lock(tmp_path, monkeypatch):
    real = os.open

    def refuse(path, flags, mode=0o777):
        if str(path).endswith(".journal"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, flags, mode)

    monkeypatch.setattr(module.os, "open", refuse)
    with pytest.raises(OSError, match="No space"):
        Journal(tmp_path, "a")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.req("D11")
def test_after_a_failed_sync_what_was_not_durable_is_written_to_a_new_file(
    tmp_path, opened, closed
):
    journal = Journal(tmp_path, "a", remember_unsynced=True)
    number = journal.append(opened())
    mark = journal.unsynced()
    os.close(mark.descriptor)
    assert mark.frames == 1
    journal.synced(mark)
    journal.append(closed(), number)
    mark = journal.unsynced()
    os.close(mark.descriptor)
    assert mark.frames == 1
    assert journal.sync_failed(mark)
    old, new = journal_files(tmp_path, "a")
    assert read(old.read_bytes()).records == [opened(), closed()]
    assert read(new.read_bytes()).records == [closed()]
    journal.let_go(number)
    journal.close()
    assert len(journal_files(tmp_path, "a")) == 2


def test_a_sync_that_was_overtaken_by_a_new_file_changes_nothing(tmp_path, opened):
    journal = Journal(tmp_path, "a", remember_unsynced=True)
    journal.append(opened())
    mark = journal.unsynced()
    os.close(mark.descriptor)
    journal.rotate()
    journal.append(opened("call-2"))
    journal.synced(mark)
    assert journal.sync_failed(mark)
    after = journal.unsynced()
    os.close(after.descriptor)
    assert (after.number, after.frames) == (2, 1)
    journal.close()


def test_a_failed_sync_without_room_for_a_new_file_holds_the_records(
    tmp_path, opened, monkeypatch
):
    journal = Journal(tmp_path, "a", remember_unsynced=True)
    journal.append(opened())
    mark = journal.unsynced()
    os.close(mark.descriptor)

    def refuse(path, flags, mode=0o777):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "open", refuse)
    assert not journal.sync_failed(mark)
    assert journal.full
    monkeypatch.undo()
    journal.append(opened("call-2"))
    assert stored(journal) == [opened(), opened(), opened("call-2")]
    journal.close()


def test_a_journal_without_host_durability_has_nothing_to_sync(tmp_path, opened):
    journal = Journal(tmp_path, "a")
    journal.append(opened())
    mark = journal.unsynced()
    os.close(mark.descriptor)
    assert mark.frames == 0
    journal.synced(mark)
    assert journal.sync_failed(mark)
    journal.close()
