"""The buffer before SQL: batches, back-off, a bound, and the journal behind it."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from dragoman.accounting import ledger as module
from dragoman.accounting.journal import Journal
from dragoman.accounting.ledger import Settled, Writer
from dragoman.accounting.records import call_id, read


def settled(journal, *records):
    files: list[int] = []
    for record in records:
        number = journal.append(record, files[-1] if files else 0)
        if not files or files[-1] != number:
            files.append(number)
    return Settled(list(records), files)


@pytest.fixture
def begin(bench, opened, closed):
    """A journal, a writer on it, and a function that settles a call by number."""

    def make(**options):
        journal = Journal(bench.folder, "a", rotate_bytes=options.pop("rotate_bytes", 1 << 20))
        writer = Writer(journal, bench.ledger, bench.heard, **options)

        def settle(number: int) -> None:
            name = f"call-{number}"
            begin, end = opened(name, f"a-{number}"), closed(name, f"a-{number}")
            if number % 2:
                # Nothing out of the ordinary: it goes straight to its rows.
                end = replace(end, losses="")
            writer.add(settled(journal, begin, end))

        return journal, writer, settle

    return make


def test_a_flush_writes_all_that_waits_and_frees_the_journal(bench, begin):
    journal, writer, settle = begin()
    for number in range(3):
        settle(number)
    assert asyncio.run(writer.flush())
    assert len(bench.ledger.entries) == 3
    assert writer.waiting == 0
    assert bench.heard.of("written") == [(3, "")]
    journal.close()
    assert list(bench.folder.iterdir()) == []


@pytest.mark.req("D2", "R-USE-008")
def test_while_sql_fails_calls_wait_and_nothing_is_lost(bench, begin):
    journal, writer, settle = begin()
    settle(1)
    bench.ledger.down = 1
    assert not asyncio.run(writer.flush())
    assert writer.waiting == 1
    assert bench.heard.of("flush_failed") == [(1, "HouseError")]
    settle(2)
    assert asyncio.run(writer.flush())
    assert set(bench.ledger.entries) == {"call-1", "call-2"}
    journal.close()
    assert list(bench.folder.iterdir()) == []


def test_a_bug_in_the_ledger_is_told_and_loses_nothing(bench, begin):
    journal, writer, settle = begin()
    settle(1)
    bench.ledger.bug = True
    assert not asyncio.run(writer.flush())
    assert bench.heard.of("flush_failed") == [(1, "ZeroDivisionError")]
    bench.ledger.bug = False
    assert asyncio.run(writer.flush())
    journal.close()


def test_a_ledger_that_hangs_is_given_up_and_asked_again(bench, begin, monkeypatch):
    journal, writer, settle = begin()
    settle(1)
    monkeypatch.setattr(module, "_WRITE_TIMEOUT_S", 0.02)
    write = bench.ledger.write

    async def hang(*batch):
        await write(*batch)
        await asyncio.sleep(60)

    monkeypatch.setattr(bench.ledger, "write", hang)
    assert not asyncio.run(writer.flush())
    assert bench.heard.of("flush_failed") == [(1, "TimeoutError")]
    monkeypatch.setattr(bench.ledger, "write", write)
    assert asyncio.run(writer.flush())
    assert len(bench.ledger.entries) == 1
    journal.close()


@pytest.mark.parametrize("refused", ["call-1", "call-2"])
def test_a_refused_call_is_set_aside_and_its_journal_kept(bench, begin, refused):
    journal, writer, settle = begin()
    for number in range(4):
        settle(number)
    bench.ledger.refused = {refused}
    assert asyncio.run(writer.flush())
    assert set(bench.ledger.entries) == {f"call-{number}" for number in range(4)} - {refused}
    assert bench.heard.of("entry_refused") == [(1, f"{refused}: DataError")]
    journal.close()
    assert bench.files() == ["a.000001.journal"]


def test_a_refused_batch_is_not_sent_whole_again(bench, begin):
    journal, writer, settle = begin()
    for number in range(8):
        settle(number)
    bench.ledger.refused = {"call-5"}
    assert asyncio.run(writer.flush())
    assert bench.ledger.batches == [8, 4, 4, 2, 2, 1, 1]
    journal.close()


def test_of_a_batch_with_a_refused_call_only_that_ones_file_is_kept(bench, begin):
    journal, writer, settle = begin(rotate_bytes=700)
    for number in range(9):
        settle(number)
    assert len(bench.files()) > 2
    bench.ledger.refused = {"call-4"}
    assert asyncio.run(writer.flush())
    journal.close()
    (kept,) = bench.files()
    calls = [call_id(each) for each in read((bench.folder / kept).read_bytes()).records]
    assert calls.count("call-4") == 2


def test_many_refused_calls_hold_up_nobody_though_they_take_longer_than_one_write_may(
    bench, begin, monkeypatch
):
    journal, writer, settle = begin()
    for number in range(16):
        settle(number)
    monkeypatch.setattr(module, "_WRITE_TIMEOUT_S", 0.1)
    write = bench.ledger.write

    async def slow(*batch):
        await asyncio.sleep(0.02)
        return await write(*batch)

    monkeypatch.setattr(bench.ledger, "write", slow)
    bench.ledger.refused = {f"call-{number}" for number in range(8)}
    assert asyncio.run(writer.flush())
    assert writer.waiting == 0
    assert set(bench.ledger.entries) == {f"call-{number}" for number in range(8, 16)}
    assert len(bench.heard.of("entry_refused")) == 8
    journal.close()


def test_over_its_bound_the_buffer_leaves_calls_to_the_journal_and_reads_them_back(bench, begin):
    journal, writer, settle = begin(most=2, rotate_bytes=700)
    for number in range(9):
        settle(number)
    assert writer.waiting == 2
    bench.ledger.down = 1
    assert not asyncio.run(writer.flush())
    assert asyncio.run(writer.flush())
    assert len(bench.ledger.entries) == 9
    settle(9)
    assert asyncio.run(writer.flush())
    journal.close()
    assert list(bench.folder.iterdir()) == []


def test_what_is_read_back_leaves_calls_alone_that_have_not_ended(bench, begin, opened, closed):
    journal, writer, settle = begin(most=1)
    number = journal.append(opened("long", "a-long"))
    settle(1)
    settle(2)
    assert asyncio.run(writer.flush())
    assert set(bench.ledger.entries) == {"call-1", "call-2"}
    later = journal.append(closed("long", "a-long"), number)
    writer.add(Settled([opened("long", "a-long"), closed("long", "a-long")], [number, later]))
    assert asyncio.run(writer.flush())
    assert bench.ledger.entries["long"].request.status == "complete"
    journal.close()
    assert list(bench.folder.iterdir()) == []


def test_a_refusal_while_reading_back_keeps_the_files(bench, begin):
    journal, writer, settle = begin(most=1)
    for number in range(3):
        settle(number)
    bench.ledger.refused = {"call-2"}
    assert asyncio.run(writer.flush())
    assert set(bench.ledger.entries) == {"call-0", "call-1"}
    journal.close()
    assert "a.000001.journal" in bench.files()


def test_while_reading_back_only_the_files_of_a_refused_call_are_kept(bench, begin):
    journal, writer, settle = begin(most=1, rotate_bytes=700)
    for number in range(9):
        settle(number)
    assert len(bench.files()) > 2
    bench.ledger.refused = {"call-4"}
    assert asyncio.run(writer.flush())
    assert len(bench.ledger.entries) == 8
    journal.close()
    (kept,) = bench.files()
    calls = [call_id(each) for each in read((bench.folder / kept).read_bytes()).records]
    assert calls.count("call-4") == 2


async def _until(condition, seconds=5.0):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 -- polls another task
            await asyncio.sleep(0.005)


async def _stop(task):
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.req("R-USE-008")
def test_a_full_buffer_is_written_at_once_and_a_small_one_after_the_interval(
    bench, begin, monkeypatch
):
    monkeypatch.setattr(module, "_SPREAD_S", 0.01)

    async def story() -> None:
        journal, writer, settle = begin(size=3, interval_s=60)
        task = asyncio.create_task(writer.run())
        settle(1)
        settle(2)
        await asyncio.sleep(0.05)
        assert bench.ledger.entries == {}
        settle(3)
        await _until(lambda: len(bench.ledger.entries) == 3)
        await _stop(task)
        journal.close()

    asyncio.run(story())


@pytest.mark.req("R-USE-008")
def test_a_small_buffer_is_written_when_the_interval_is_over(bench, begin):
    async def story() -> None:
        journal, writer, settle = begin(size=100, interval_s=0.02)
        task = asyncio.create_task(writer.run())
        settle(1)
        await _until(lambda: bench.ledger.entries)
        await _stop(task)
        journal.close()

    asyncio.run(story())


def test_tries_are_spaced_out_while_sql_fails_and_held_records_are_written(
    bench, begin, monkeypatch
):
    monkeypatch.setattr(module, "_SPREAD_S", 0.0)
    monkeypatch.setattr(module, "_BACK_OFF_S", (0.03, 0.03))

    async def story() -> None:
        journal, writer, settle = begin(size=1, interval_s=60)
        bench.ledger.down = 3
        task = asyncio.create_task(writer.run())
        started = asyncio.get_running_loop().time()
        settle(1)
        journal.full = True
        await _until(lambda: bench.ledger.entries)
        assert asyncio.get_running_loop().time() - started >= 0.09
        assert len(bench.ledger.batches) == 4
        assert not journal.full
        await _stop(task)
        journal.close()

    asyncio.run(story())


def test_a_flush_ends_though_new_calls_keep_coming(bench, begin, monkeypatch):
    journal, writer, settle = begin()
    write = bench.ledger.write

    async def busy(*batch):
        settle(1000 + len(bench.ledger.batches))
        return await write(*batch)

    monkeypatch.setattr(bench.ledger, "write", busy)
    settle(1)
    assert asyncio.run(writer.flush())
    assert writer.waiting == 1
    journal.close()
