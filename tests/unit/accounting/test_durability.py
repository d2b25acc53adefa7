"""Group commit: one sync for all who wait, and a new file after one that failed."""

from __future__ import annotations

import asyncio
import errno
import os
import threading

import pytest

from dragoman.accounting.durability import GroupSync
from dragoman.accounting.journal import Journal, journal_files
from dragoman.accounting.records import read


def test_all_who_wait_share_a_sync_and_newcomers_wait_for_the_next(tmp_path, opened):
    async def story() -> None:
        journal = Journal(tmp_path, "a", remember_unsynced=True)
        gate = threading.Event()
        syncs: list[int] = []

        def sync(descriptor: int) -> None:
            syncs.append(os.fstat(descriptor).st_size)
            assert gate.wait(5)

        group = GroupSync(journal, sync)
        journal.append(opened("call-1"))
        first = [asyncio.create_task(group.kept()) for _ in range(10)]
        while not syncs:  # noqa: ASYNC110 -- polls another task
            await asyncio.sleep(0.001)
        journal.append(opened("call-2"))
        late = asyncio.create_task(group.kept())
        await asyncio.sleep(0.01)
        assert not any(task.done() for task in [*first, late])
        gate.set()
        await asyncio.gather(*first, late)
        assert len(syncs) == 2
        assert syncs[1] > syncs[0]
        await group.kept()
        assert len(syncs) == 3
        journal.close()

    asyncio.run(story())


def test_who_stops_waiting_does_not_stop_the_others(tmp_path, opened):
    async def story() -> None:
        journal = Journal(tmp_path, "a", remember_unsynced=True)
        group = GroupSync(journal)
        journal.append(opened())
        leaving, staying = (asyncio.create_task(group.kept()) for _ in range(2))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait_for(staying, 5)
        journal.close()

    asyncio.run(story())


@pytest.mark.req("D11")
@pytest.mark.parametrize("failing", range(1, 5))
def test_the_nth_sync_fails_and_no_record_is_lost(tmp_path, opened, failing):
    async def story() -> None:
        journal = Journal(tmp_path, "a", remember_unsynced=True)
        durable: dict[int, int] = {}
        calls = 0

        def sync(descriptor: int) -> None:
            nonlocal calls
            calls += 1
            if calls == failing:
                raise OSError(errno.EIO, "Input/output error")
            status = os.fstat(descriptor)
            durable[status.st_ino] = status.st_size

        group = GroupSync(journal, sync)
        for number in range(4):
            journal.append(opened(f"call-{number}"))
            await group.kept()
            kept = set()
            for path in journal_files(tmp_path, "a"):
                size = durable.get(path.stat().st_ino, 0)
                kept |= {record.about.call_id for record in read(path.read_bytes()[:size]).records}
            assert kept == {f"call-{number}" for number in range(number + 1)}
        assert len(journal_files(tmp_path, "a")) == 2
        journal.close()

    asyncio.run(story())


def test_a_disk_that_is_gone_lets_the_answer_go_and_refuses_the_next_call(
    tmp_path, opened, monkeypatch
):
    async def story() -> None:
        journal = Journal(tmp_path, "a", remember_unsynced=True)

        def sync(descriptor: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        group = GroupSync(journal, sync)
        journal.append(opened())
        monkeypatch.setattr(journal, "_begin_file", lambda: sync(0))
        await asyncio.wait_for(group.kept(), 5)
        assert journal.full
        monkeypatch.undo()
        journal.close()

    asyncio.run(story())
