"""The exchange with the record: at the start, every few seconds, at the end; with Redis and without."""

from __future__ import annotations

import asyncio

import pytest

from dragoman.core.clock import ManualClock
from dragoman.core.errors import HouseError
from dragoman.health.disabling import DisablingPolicy
from dragoman.health.health import Health
from dragoman.health.sharing import Entry, FiguresTold, Spot, merged
from dragoman.store import health_record
from dragoman.store.health_record import Exchange, open_record
from dragoman.store.schema import open_upgraded

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Record:
    """A record in memory, which may be away."""

    def __init__(self) -> None:
        self.states = {}
        self.is_away = False
        self.asked = 0

    async def exchange(self, told, since_ms, now_ms):
        del since_ms, now_ms
        self.asked += 1
        if self.is_away:
            raise HouseError("overloaded", "It is away.")
        for entry in told:
            self.states[entry.spot] = merged(self.states.get(entry.spot), entry.state)
        return [Entry(*item) for item in self.states.items()]

    async def put(self, entries, now_ms):
        del now_ms
        if self.is_away:
            raise HouseError("overloaded", "It is away.")
        self.states.update((entry.spot, entry.state) for entry in entries)


class Process:
    """One process's health, and what it complained of."""

    def __init__(self, sql, redis=None, *, shared=False) -> None:
        self.health = Health(disabling=DisablingPolicy(over_s=0, failures=1))
        self.told = []
        self.record = Exchange(
            self.health,
            sql,
            redis,
            ManualClock(),
            lambda what, _: self.told.append(what),
            shared=shared,
        )

    async def exchange(self) -> None:
        await self.record._exchange(figures=True, ask=True)

    def disable(self, model="m") -> None:
        self.health.disabling.failed("p", model, 1000)

    def knows(self, model="m") -> bool:
        return self.health.disabling.is_disabled("p", model)


@pytest.mark.req("R-PROV-004")
async def test_what_one_process_wrote_at_its_end_the_next_one_reads_at_its_start(tmp_path):
    database = await open_upgraded(f"sqlite:///{tmp_path}/d.db")
    clock = ManualClock()
    for time in range(2):
        health = Health(disabling=DisablingPolicy(over_s=0, failures=1))
        async with open_record(health, database, clock, pytest.fail, shared=False):
            assert health.disabling.is_disabled("p", "m") is bool(time)
            assert (health.statistics.of("p") is not None) is bool(time)
            health.disabling.failed("p", "m", clock.monotonic())
            health.statistics.failed("p", "m", "k", clock.monotonic(), known=True)
    assert health.statistics.of("p").requests == 2
    await database.close()


async def test_a_switch_is_told_soon_and_figures_in_their_turn(tmp_path, monkeypatch):
    monkeypatch.setattr(health_record, "EVERY_S", 0.01)
    monkeypatch.setattr(health_record, "FIGURES_EVERY", 1_000_000)
    database = await open_upgraded(f"sqlite:///{tmp_path}/d.db")
    sql = health_record.SqlHealth(database)
    health = Health(disabling=DisablingPolicy(over_s=0, failures=1))
    async with open_record(health, database, ManualClock(), pytest.fail, shared=False):
        health.statistics.failed("p", "m", "k", 1000, known=True)
        health.disabling.failed("p", "m", 1000)
        found = []
        for _ in range(500):
            found = found or await sql.exchange([], 0, 0)
            await asyncio.sleep(0.01 if not found else 0)
        assert [entry.spot.kind for entry in found] == ["switch"]
    assert len(await sql.exchange([], 0, 0)) == 4
    await database.close()


async def test_who_is_alone_and_has_nothing_to_tell_asks_nobody():
    sql = Record()
    alone, shared = Process(sql), Process(sql, shared=True)
    for process in (alone, shared):
        await process.record.begin()
    assert sql.asked == 2
    for process, asks in ((alone, 0), (shared, 1)):
        before = sql.asked
        over = asyncio.Event()
        running = asyncio.create_task(process.record.run(over))
        over.set()
        await running
        assert sql.asked - before == asks


@pytest.mark.req("R-PROV-004")
async def test_gateways_with_databases_of_their_own_share_through_redis():
    redis = Record()
    one, two = Process(Record(), redis), Process(Record(), redis)
    for process in (one, two):
        await process.record.begin()
    one.disable()
    await one.exchange()
    await two.exchange()
    assert two.knows()
    # The copies outlive Redis.
    third = Process(two.record._sql)
    await third.record.begin()
    assert third.knows()


async def test_while_redis_is_away_each_goes_on_with_its_database_and_comes_back_by_itself():
    redis, sql = Record(), Record()
    one, two = Process(sql, redis), Process(Record(), redis)
    for process in (one, two):
        await process.record.begin()
    one.disable("a")
    await one.exchange()
    redis.is_away = True
    redis.states.clear()
    one.disable("b")
    for _ in range(3):
        await one.exchange()
    assert one.told == ["Redis is away: health is shared through the database alone"]
    assert one.record.redis == "down"
    assert {spot.model for spot in sql.states} >= {"a", "b"}
    # What the database has been told it is not told again and again.
    assert one.record._sharing.told(1000.0, 1_760_000_000.0) == []
    await two.exchange()
    assert two.knows("a") is two.knows("b") is False
    redis.is_away = False
    await one.exchange()
    await two.exchange()
    assert one.record.redis == two.record.redis == "up"
    assert two.knows("a")
    assert two.knows("b")


async def test_a_redis_that_forgot_everything_is_told_what_the_database_knows():
    sql, redis = Record(), Record()
    before = Process(sql)
    before.disable()
    before.health.statistics.failed("p", "m", "k", 1000, known=True)
    await before.exchange()
    after = Process(sql, redis)
    await after.record.begin()
    assert after.knows()
    assert after.health.statistics.of("p").requests == 1
    await after.exchange()
    assert Spot("switch", "p", "m", "*") in redis.states
    after.health.statistics.failed("p", "m", "k", 1001, known=True)
    await after.exchange()
    told = redis.states[Spot("figures", "p", "*", "*")]
    assert isinstance(told, FiguresTold)
    assert told.requests == 2


async def test_a_database_that_is_away_is_told_of_once_and_nothing_is_lost():
    sql = Record()
    process = Process(sql)
    sql.is_away = True
    process.disable()
    for _ in range(3):
        await process.exchange()
    assert process.told == ["health not exchanged"]
    sql.is_away = False
    await process.exchange()
    assert Spot("switch", "p", "m", "*") in sql.states
    sql.is_away = True
    await process.exchange()
    assert process.told == ["health not exchanged"] * 2


async def test_copies_that_cannot_be_written_are_told_of_and_written_later():
    redis, sql = Record(), Record()
    process = Process(sql, redis)
    await process.record.begin()
    sql.is_away = True
    process.disable()
    for _ in range(2):
        await process.exchange()
    assert process.told == ["health not written"]
    sql.is_away = False
    await process.exchange()
    assert Spot("switch", "p", "m", "*") in sql.states


async def test_a_bug_in_one_exchange_does_not_end_the_others(monkeypatch):
    monkeypatch.setattr(health_record, "EVERY_S", 0.01)
    process = Process(Record(), shared=True)

    async def broken(**_):
        raise ZeroDivisionError

    monkeypatch.setattr(process.record, "_exchange", broken)
    over = asyncio.Event()
    running = asyncio.create_task(process.record.run(over))
    for _ in range(500):
        await asyncio.sleep(0.01 if len(process.told) < 3 else 0)
    assert len(process.told) >= 3
    over.set()
    await running
