"""The journals of dead processes come into the ledger, once, and nothing is thrown away unread."""

from __future__ import annotations

import asyncio
import os

import pytest

from dragoman.accounting.drain import BATCH, drain, tags
from dragoman.accounting.journal import Journal, claim
from dragoman.accounting.records import frame
from dragoman.core.errors import HouseError


def leave(folder, tag, *records, rotate_bytes=1 << 20):
    """What a process leaves that dies with these records written."""
    journal = Journal(folder, tag, rotate_bytes=rotate_bytes)
    for record in records:
        journal.append(record)
    journal.close()


@pytest.mark.req("M1")
def test_a_dead_processes_calls_are_written_and_its_files_deleted(bench, opened, closed, finished):
    leave(bench.folder, "a", opened(), closed(), finished("call-2"), opened("call-3", "attempt-3"))
    assert asyncio.run(drain(bench.folder, bench.ledger, bench.heard)) == 3
    statuses = {call: entry.request.status for call, entry in bench.ledger.entries.items()}
    assert statuses == {"call-1": "complete", "call-2": "refused", "call-3": "unknown"}
    assert list(bench.folder.iterdir()) == []
    assert bench.heard.of("journal_drained") == [(3, "a")]


def test_a_living_process_is_left_alone(bench, opened):
    journal = Journal(bench.folder, "a")
    journal.append(opened())
    assert asyncio.run(drain(bench.folder, bench.ledger)) == 0
    assert bench.files() == ["a.000001.journal"]
    journal.close()


def test_a_call_whose_records_lie_in_two_files_is_one_call(bench, opened, closed):
    leave(bench.folder, "a", opened(), closed(), rotate_bytes=1)
    assert len(bench.files()) == 2
    asyncio.run(drain(bench.folder, bench.ledger))
    assert bench.ledger.entries["call-1"].request.status == "complete"
    assert bench.files() == []


@pytest.mark.req("M2")
def test_a_journal_that_is_replayed_three_times_counts_once(bench, opened, closed):
    leave(bench.folder, "a", opened(), closed())
    kept = {path.name: path.read_bytes() for path in bench.folder.iterdir()}
    new = []
    for _ in range(3):
        for name, data in kept.items():
            (bench.folder / name).write_bytes(data)
        new.append(asyncio.run(drain(bench.folder, bench.ledger)))
    assert new == [1, 0, 0]


@pytest.mark.req("M2")
def test_two_replayers_at_once_share_the_work(bench, opened, closed):
    for number in range(20):
        leave(
            bench.folder,
            f"p{number:02}",
            opened(f"call-{number}", f"attempt-{number}"),
            closed(f"call-{number}", f"attempt-{number}"),
        )

    async def both() -> list[int]:
        return await asyncio.gather(
            drain(bench.folder, bench.ledger), drain(bench.folder, bench.ledger)
        )

    assert sum(asyncio.run(both())) == 20
    assert list(bench.folder.iterdir()) == []


@pytest.mark.req("D10")
def test_a_torn_tail_is_cut_off_and_the_file_set_aside(bench, opened, closed):
    leave(bench.folder, "a", opened(), closed())
    path = bench.folder / "a.000001.journal"
    path.write_bytes(path.read_bytes() + frame(opened("call-2"))[:-1])
    asyncio.run(drain(bench.folder, bench.ledger, bench.heard))
    assert list(bench.ledger.entries) == ["call-1"]
    assert bench.files() == ["a.000001.torn"]
    assert bench.heard.of("journal_torn") == [
        (len(frame(opened("call-2"))) - 1, "a.000001.journal")
    ]
    asyncio.run(drain(bench.folder, bench.ledger, bench.heard))
    assert bench.files() == ["a.000001.torn"]


def test_an_end_whose_beginning_lies_behind_a_tear_is_told(bench, opened, closed):
    leave(bench.folder, "a", opened(), closed(), rotate_bytes=1)
    path = bench.folder / "a.000001.journal"
    path.write_bytes(b"x" + path.read_bytes())
    asyncio.run(drain(bench.folder, bench.ledger, bench.heard))
    assert bench.heard.of("journal_orphans") == [(1, "a")]
    assert bench.ledger.entries == {}
    assert bench.files() == ["a.000001.torn"]


@pytest.mark.parametrize("tail", [b"", b"x"])
def test_an_end_whose_beginning_was_deleted_is_in_sql_already(bench, closed, tail):
    leave(bench.folder, "a", closed())
    path = bench.folder / "a.000001.journal"
    path.write_bytes(path.read_bytes() + tail)
    asyncio.run(drain(bench.folder, bench.ledger, bench.heard))
    assert bench.heard.of("journal_orphans") == []
    assert bench.files() == (["a.000001.torn"] if tail else [])


@pytest.mark.req("D2")
def test_while_sql_is_down_everything_stays_for_the_next_try(bench, opened, closed):
    leave(bench.folder, "a", opened(), closed())
    bench.ledger.down = 1
    with pytest.raises(HouseError):
        asyncio.run(drain(bench.folder, bench.ledger))
    assert bench.files() == ["a.000001.journal"]
    assert asyncio.run(drain(bench.folder, bench.ledger)) == 1
    assert list(bench.folder.iterdir()) == []


def test_one_refused_entry_does_not_keep_the_others_out(bench, opened, closed):
    records = []
    for number in range(9):
        records += [
            opened(f"call-{number}", f"a-{number}"),
            closed(f"call-{number}", f"a-{number}"),
        ]
    leave(bench.folder, "a", *records)
    bench.ledger.refused = {"call-4"}
    assert asyncio.run(drain(bench.folder, bench.ledger, bench.heard)) == 8
    assert "call-4" not in bench.ledger.entries
    assert bench.heard.of("entry_refused") == [(1, "call-4: DataError")]
    assert bench.files() == ["a.000001.refused"]


def test_a_long_journal_goes_in_batches(bench, opened, closed):
    records = []
    for number in range(BATCH + 10):
        records += [opened(f"c-{number}", f"a-{number}"), closed(f"c-{number}", f"a-{number}")]
    records += [opened(f"open-{number}", f"x-{number}") for number in range(BATCH + 1)]
    leave(bench.folder, "a", *records)
    assert asyncio.run(drain(bench.folder, bench.ledger)) == 2 * BATCH + 11
    assert max(bench.ledger.batches) <= 2 * BATCH
    assert len(bench.ledger.batches) >= 3


def test_a_file_without_its_lock_is_drained_too(bench, opened):
    leave(bench.folder, "a", opened())
    (bench.folder / "a.lock").unlink()
    assert tags(bench.folder) == ["a"]
    assert asyncio.run(drain(bench.folder, bench.ledger)) == 1
    assert list(bench.folder.iterdir()) == []


def test_a_lock_without_files_is_cleared_away(bench):
    bench.folder.mkdir()
    lock = claim(bench.folder, "a")
    os.close(lock)
    assert asyncio.run(drain(bench.folder, bench.ledger, bench.heard)) == 0
    assert list(bench.folder.iterdir()) == []
    assert bench.heard.notices == []
