"""The outbox and the figures that are judged, against every database."""

import asyncio

import msgspec
import pytest

from databases import KINDS, database_url
from dragoman.alarms.alarm import Alarm
from dragoman.alarms.judge import Drifting, Failing, Spending
from dragoman.core.clock import ManualClock
from dragoman.store.schema import open_upgraded
from dragoman.store.sql.alarms import SqlAlarms
from dragoman.store.sql.ledger import SqlLedger
from dragoman.store.sql.settling import SqlSettling
from ledger_entries import DAY, NOTHING, WALL, attempt, entry

ALARM = Alarm("errors", "openai/m 1", "warning", "It fails.", {})
COST = msgspec.structs.replace(NOTHING, cost_pico=40, cost_from="priced")
HOUR_US = 3_600_000_000


@pytest.fixture(params=KINDS)
def play(request, tmp_path):
    def run(story) -> None:
        async def whole() -> None:
            async with database_url(request.param, tmp_path) as url:
                database = await open_upgraded(url)
                clock = ManualClock(wall=WALL)
                try:
                    await story(database, SqlAlarms(database, clock), clock)
                finally:
                    await database.close()

        asyncio.run(whole())

    return run


def test_of_several_who_raise_the_same_one_does(play):
    async def story(database, box, clock) -> None:
        raised = await asyncio.gather(
            *(box.raise_(ALARM, f"id-{n}", "{}", ["a", "b"]) for n in range(4))
        )
        assert sorted(raised) == [False, False, False, True]
        now = int(WALL * 1000)
        letters = await box.due(now, 10)
        assert sorted(each.endpoint for each in letters) == ["a", "b"]
        await box.taken(letters[0])
        await box.later(letters[1], now + 1000)
        assert await box.due(now + 999, 10) == []
        (again,) = await box.due(now + 1000, 10)
        assert again.tries == 1
        await box.forget(now)
        assert not await box.raise_(ALARM, "id-9", "{}", ["a"])
        await box.forget(now + 1)
        assert await box.raise_(ALARM, "id-9", "{}", ["a"])

    play(story)


def test_who_spends_in_an_hour_and_what_it_did_before(play):
    async def story(database, box, clock) -> None:
        ledger = SqlLedger(database)
        moments = [0, -1, -2, -2, -200]
        await ledger.write(
            [
                entry(
                    n,
                    attempt(n, 0, consumed=COST),
                    created_us=int(WALL * 1e6) + back * HOUR_US,
                    key_id="k2" if n == 3 else "k1",
                )
                for n, back in enumerate(moments, 1)
            ]
        )
        hour = int(WALL // 3600)
        found = {each.scope: each for each in await box.spending(hour, 1)}
        assert found == {
            "all": Spending("all", "", "", 40, 120, 2),
            "tenant": Spending("tenant", "acme", "", 40, 120, 2),
            "key": Spending("key", "acme", "k1", 40, 80, 2),
        }
        assert await box.spending(hour, 41) == []
        assert await box.spending(hour + 1, 1) == []

    play(story)


def test_how_calls_have_ended_of_late(play):
    async def story(database, box, clock) -> None:
        ends = [
            ("complete", 200), ("upstream_error", 500), ("upstream_error", 400), ("timeout", None),
            ("upstream_error", 429), ("upstream_error", None), ("client_cut", 200),
            ("hedge_lost", None), ("upstream_cut", 200), ("upstream_error", 401),
        ]  # fmt: skip
        rows = [
            entry(n, attempt(n, 0, status=status, upstream_status=upstream))
            for n, (status, upstream) in enumerate(ends, 1)
        ]
        await SqlLedger(database).write(rows)
        assert await box.failing(WALL - 1) == [Failing("openrouter", "m", 8, 6)]
        assert await box.failing(WALL + 1) == []

    play(story)


def test_drift_is_summed_by_model(play):
    async def story(database, box, clock) -> None:
        store = SqlSettling(database)
        await store.note_day(DAY, "openai", {"m": (2, 100, 110)})
        await store.note_day(DAY - 1, "openai", {"m": (1, 50, 50)})
        await store.note_day(DAY - 9, "openai", {"m": (1, 7, 7)})
        await store.note_day(DAY, "groq", {})
        assert await box.drifting(DAY - 7) == [Drifting("openai", "m", "report", 150, 160)]

    play(story)
