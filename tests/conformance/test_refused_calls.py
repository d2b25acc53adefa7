"""A call whose rows the database does not take: it is found and kept for a person, and the others are in, once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from databases import KINDS, database_url
from dragoman.accounting.drain import drain
from dragoman.accounting.journal import Journal
from dragoman.accounting.ledger import Settled, Writer
from dragoman.accounting.ports import Scope
from dragoman.accounting.records import About, Closed, Opened, Tokens
from dragoman.afterwards import notice_of
from dragoman.core.ids import uuid7_of
from dragoman.store.schema import open_upgraded
from dragoman.store.sql.ledger import SqlLedger
from dragoman.telemetry.metrics import Metrics

CALLS = 24
BAD = (6, 7, 15)
WALL = 1.75e9
STREAM = False
EVERYBODY = Scope(None)


class Told:
    """A log that remembers."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, object]]] = []

    def event(self, level: str, message: str, **more: object) -> None:
        self.lines.append((level, message, more))


def name_of(number: int) -> str:
    return uuid7_of(WALL, number)


def call(number: int, *, fits: bool) -> tuple[Opened, Closed]:
    """Every second one is nothing out of the ordinary; one that does not fit has tried too often."""
    name = name_of(number)
    about = About(name, f"r-{number}", "f" * 32, "t1", "k1", "me", "chat", "chat", WALL)
    begin = Opened(f"a-{number}", about, "fast", STREAM, 1, "openai", "gpt-5-mini", "c1", 0.25)
    end = Closed(
        f"a-{number}", name, "complete", 200, 200, f"x-{number}", None, Tokens(100, 20),
        "reported", 1000, "priced", 0.5, 1.5, 2.0, "" if number % 2 else "n;action=dropped",
    )  # fmt: skip
    return begin if fits else replace(begin, number=2**63), end


@pytest.mark.req("R-USE-008", "D2")
@pytest.mark.parametrize("kind", KINDS)
def test_it_keeps_no_other_out_and_none_counts_twice(kind: str, tmp_path: Path):
    folder, log, metrics = tmp_path / "journal", Told(), Metrics()
    notice = notice_of(log, metrics)  # type: ignore[arg-type]  # what it says is all that is asked

    async def story() -> None:
        async with database_url(kind, tmp_path) as url:
            database = await open_upgraded(url)
            try:
                ledger = SqlLedger(database)
                journal = Journal(folder, "a", rotate_bytes=700)
                writer = Writer(journal, ledger, notice)
                for number in range(CALLS):
                    files: list[int] = []
                    records = call(number, fits=number not in BAD)
                    for record in records:
                        files.append(journal.append(record, files[-1] if files else 0))
                    writer.add(Settled(records, sorted(set(files))))
                number_of_files = len([*folder.glob("*.journal")])
                assert await writer.flush()
                assert writer.waiting == 0
                await as_told(ledger)
                writer.add(Settled(call(CALLS, fits=True), ()))
                assert await writer.flush(), "the next batch goes"
                assert 0 < len([*folder.glob("*.journal")]) < number_of_files
                journal.close()
                await drain(folder, ledger, notice)
                assert (await ledger.sums(EVERYBODY)).requests == CALLS - len(BAD) + 1
                assert {path.suffix for path in folder.iterdir()} == {".refused"}
            finally:
                await database.close()

    async def as_told(ledger: SqlLedger) -> None:
        lines = [line async for page in ledger.lines(EVERYBODY, 100) for line in page]
        good = {name_of(number) for number in range(CALLS)} - {name_of(number) for number in BAD}
        assert {line.call_id for line in lines} == good
        sums = await ledger.sums(EVERYBODY)
        assert (sums.requests, sums.input_tokens) == (len(good), 100 * len(good))
        (hour,) = (await ledger.by_hour(EVERYBODY)).values()
        assert hour.cost_pico == 1000 * len(good)
        assert metrics.usage_refused == len(BAD)
        told = [more["detail"] for level, _, more in log.lines if level == "error"]
        assert sorted(str(each).partition(":")[0] for each in told) == [
            name_of(each) for each in BAD
        ]

    asyncio.run(story())
