"""What a gateway does for its database by itself: old calls go, and deleted tenants' calls come to name nobody."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import nullcontext

import msgspec
import pytest
from sqlalchemy import func, select, text, update

from databases import KINDS, database_url
from dragoman.accounting.ports import Scope
from dragoman.accounting.question import Question
from dragoman.core.clock import ManualClock
from dragoman.core.errors import HouseError
from dragoman.core.ids import uuid7_of
from dragoman.identity.tenancy import PlaceChange
from dragoman.store.engine import open_database
from dragoman.store.ledger_tables import requests
from dragoman.store.seal import open_sealer
from dragoman.store.sql import forgetting, thinning
from dragoman.store.sql.keys import NewKey, open_keys
from dragoman.store.sql.ledger import SqlLedger
from dragoman.store.sql.summing import DAY_US, Summing
from dragoman.store.sql.tenancy import SqlTenancy
from dragoman.store.sql.thinning import OTHERS, THINNED, SqlThinning
from dragoman.store.tables import meta
from dragoman.store.usage_tables import labels
from dragoman.upkeep import LATE_S, Upkeep, unhurried
from ledger_entries import NOTHING, WALL, attempt, entry

pytestmark = [pytest.mark.anyio, pytest.mark.req("R-AUTH-008", "R-CLI-015")]
DAY_S = 86_400.0


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(params=KINDS)
async def place(request, tmp_path, monkeypatch):
    monkeypatch.setattr(forgetting, "BATCH", 3)
    monkeypatch.setattr(forgetting, "PAUSE_S", 0)
    monkeypatch.setattr(thinning, "BATCH", 4)
    monkeypatch.setattr(thinning, "PAUSE_S", 0)
    async with database_url(request.param, tmp_path) as url:
        database, clock = open_database(url), ManualClock(wall=WALL)
        keys = await open_keys(database, open_sealer(tmp_path, None), clock)
        yield database, clock, keys
        await database.close()


def upkeep(database, clock, keep_days, *, mine=True, most_names=100):
    told = []

    async def take(name, for_s):
        return mine

    return Upkeep(
        lambda: nullcontext(database),
        clock,
        keep_days,
        take,
        lambda *said, **more: told.append(said + ((more["what"],) if "what" in more else ())),
        most_names,
    ), told


def call(number, key_id, tenant="acme", **changes):
    said = {"end_user": f"person-{number}", "tags": "blue", "caller": "program"}
    tried = attempt(number, 0, tenant=tenant)
    return entry(number, tried, tenant=tenant, key_id=key_id, **{**said, **changes})


def older(number, key_id, days):
    """A call of so many days before."""
    at = WALL - days * DAY_S
    name, moment = uuid7_of(at, number), int(at * 1e6)
    tried = attempt(
        number, 0, call_id=name, attempt_id=uuid7_of(at, number + 500), created_us=moment
    )
    return entry(number, tried, key_id=key_id, created_us=moment)


async def rows(database):
    async with database.read() as connection:
        return (await connection.execute(select(requests))).mappings().all()


async def test_calls_that_are_older_than_is_said_go_and_others_stay(place):
    database, clock, _ = place
    await SqlLedger(database).write([older(n, "k1", n * 10) for n in range(1, 6)])
    forever, told = upkeep(database, clock, None)
    await forever.once()
    assert (len(await rows(database)), told) == (5, [])
    a_while, told = upkeep(database, clock, 25)
    await a_while.once()
    assert sorted(row["request_id"] for row in await rows(database)) == ["r-1", "r-2"]
    assert told == [("info", "old calls removed")]


async def test_calls_of_a_deleted_tenant_name_nobody_and_those_of_others_do(place):
    database, clock, keys = place
    (mine, _), (other, _) = [await keys.create(NewKey("k", tenant=t)) for t in ("acme", "bolt")]
    ledger, tenancy = SqlLedger(database), SqlTenancy(database, clock)
    await ledger.write([call(n, mine.id) for n in range(1, 9)])
    await ledger.write([call(n, other.id, "bolt") for n in range(11, 13)])
    await tenancy.change_tenant("acme", PlaceChange(suspended=True))
    await tenancy.delete_tenant("acme")
    work, told = upkeep(database, clock, None)
    await work.once()
    found = await rows(database)
    of_mine = [row for row in found if row["tenant"] == "acme"]
    assert len(of_mine) == 8
    assert {(row["caller"], row["end_user"], row["tags"]) for row in of_mine} == {("", "", "")}
    assert {row["key_id"] for row in of_mine} == {mine.id}
    others = [row for row in found if row["tenant"] == "bolt"]
    assert {(row["caller"], row["tags"]) for row in others} == {("program", "blue")}
    async with database.read() as connection:
        kinds = (await connection.execute(select(labels.c.tenant, labels.c.kind))).all()
    assert {kind for tenant, kind in kinds if tenant == "acme"} <= {"project"}
    assert {kind for tenant, kind in kinds if tenant == "bolt"} >= {"caller", "user", "tag"}
    assert told == [("info", "a deleted tenant's calls name nobody")]
    # What a call that was under way writes down afterwards goes with the next round, for some days.
    await ledger.write([call(20, mine.id)])
    await work.once()
    assert len(told) == 2
    await ledger.write([call(21, mine.id)])
    clock.advance(LATE_S + 1)
    await work.once()
    assert len(told) == 2


async def tagged(database):
    """What each tag has come to: calls, and 10⁻¹² USD."""
    found = await Summing(database).ask(Question(Scope(tenant="acme"), ("tag",)), 1000)
    return {key[0]: (sums.requests, sums.cost_pico) for key, sums in found.items()}


def costing(pico):
    return msgspec.structs.replace(NOTHING, cost_pico=pico, cost_from="provider")


async def test_labels_that_are_another_in_each_call_are_bounded_and_sums_stay(place):
    database, clock, _ = place
    ledger = SqlLedger(database)

    def noted(number, tags, **changes):
        tried = attempt(number, 0, consumed=costing(number))
        said = {"end_user": f"person-{number % 2}", "caller": "program", "tags": tags}
        return entry(number, tried, **{**said, **changes})

    calls = [noted(n, f"nightly,request-{n}") for n in range(1, 21)]
    calls += [noted(n, "request-7", key_id="k2", model="other") for n in range(21, 24)]
    calls += [noted(n, f"request-{n}", tenant="bolt") for n in range(31, 34)]
    await ledger.write(calls)
    before = await tagged(database)
    assert len(before) == 21
    work, told = upkeep(database, clock, None, most_names=3)
    await work.once()
    clock.advance(2 * DAY_S)
    await work.once()
    assert (await tagged(database), told) == (before, [])
    clock.advance(2 * DAY_S)
    await work.once()
    after = await tagged(database)
    assert after.pop(OTHERS) == (18, sum(range(1, 20)) - 7)
    assert after == {name: before[name] for name in ("nightly", "request-7", "request-20")}
    assert told == [("info", "rarer labels of past days put together")]
    async with database.read() as connection:
        found = (await connection.execute(select(labels))).all()
    count = Counter((row.tenant, row.kind, row.name) for row in found)
    assert [key for key in count if key[1] == "user"] == [
        ("acme", "user", "person-0"),
        ("acme", "user", "person-1"),
        ("bolt", "user", "person-0"),
        ("bolt", "user", "person-1"),
    ]
    assert len([key for key in count if key[0] == "bolt" and key[1] == "tag"]) == 3
    # Done again it does nothing; what comes late is put together as well, once it is looked at again.
    await work.once()
    await ledger.write([noted(40, "request-40,request-41"), noted(41, "request-42")])
    async with database.write() as connection:
        await connection.execute(update(meta).where(meta.c.name == THINNED).values(number=0))
    await work.once()
    late = await tagged(database)
    assert late.pop(OTHERS)[0] == 18 + 3
    # Of those with as many calls the dearest stay.
    assert late.pop("request-42") == (1, 41)
    assert late == {name: before[name] for name in ("nightly", "request-7")}


def on_day(number, days, tags):
    """A call of so many days before, with tags."""
    moment = int((WALL - days * DAY_S) * 1e6)
    name = uuid7_of(moment / 1e6, number)
    tried = attempt(
        number,
        0,
        call_id=name,
        attempt_id=uuid7_of(moment / 1e6, number + 500),
        created_us=moment,
        consumed=costing(number),
    )
    return entry(number, tried, created_us=moment, tags=tags)


async def thinned_day(database):
    async with database.read() as connection:
        return await connection.scalar(select(meta.c.number).where(meta.c.name == THINNED))


async def tags_of(database, day):
    kept = select(labels.c.name).where(labels.c.kind == "tag", labels.c.day == day)
    async with database.read() as connection:
        return set((await connection.execute(kept)).scalars())


async def test_each_day_that_is_done_is_noted_and_who_is_ended_goes_on_from_there(
    place, monkeypatch
):
    database, clock, _ = place
    calls = [on_day(n, 20, f"a-{n}") for n in range(1, 7)]
    calls += [on_day(n, 10, f"b-{n}") for n in range(11, 17)]
    await SqlLedger(database).write(calls)
    before = await tagged(database)
    # Of the second day at most one batch is done while it is asked what is noted.
    monkeypatch.setattr(thinning, "BATCH", 3)
    monkeypatch.setattr(thinning, "PAUSE_S", 0.5)
    today = int(WALL * 1e6) // DAY_US
    work = asyncio.create_task(SqlThinning(database, clock, 2).thin())
    while await thinned_day(database) == 0:  # noqa: ASYNC110  it is the database that tells
        await asyncio.sleep(0.01)
    work.cancel()
    await asyncio.wait([work])
    assert await thinned_day(database) == today - 20 + 1
    assert await tags_of(database, today - 20) == {"a-6", "a-5", OTHERS}
    assert len(await tags_of(database, today - 10)) > 3
    monkeypatch.setattr(thinning, "PAUSE_S", 0)
    await SqlThinning(database, clock, 2).thin()
    assert await tags_of(database, today - 10) == {"b-16", "b-15", OTHERS}
    assert await thinned_day(database) == today - thinning.YOUNG_DAYS
    after = await tagged(database)
    assert sum(cost for _, cost in after.values()) == sum(cost for _, cost in before.values())


async def test_several_at_once_beside_one_who_writes_count_nothing_twice_and_nothing_less(place):
    database, clock, _ = place
    ledger = SqlLedger(database)
    await ledger.write([on_day(n, 10, f"a-{n}") for n in range(1, 60)])

    async def late():
        for n in range(100, 130):
            await ledger.write([on_day(n, 10, f"a-{n - 90},a-{n - 80}")])

    several = [SqlThinning(database, clock, 2).thin() for _ in range(3)]
    await asyncio.gather(*several, late())
    after = await tagged(database)
    assert sum(calls for calls, _ in after.values()) == 59 + 60
    assert sum(cost for _, cost in after.values()) == sum(range(1, 60)) + 2 * sum(range(100, 130))


@pytest.mark.parametrize(
    ("away", "fails"),
    [("budget_alerts", "deleted tenant bolt"), ("ledger_attempts", "old calls")],
)
async def test_what_fails_is_told_and_keeps_nothing_else_from_being_done(place, away, fails):
    database, clock, keys = place
    ledger, tenancy = SqlLedger(database), SqlTenancy(database, clock)
    (mine, _) = await keys.create(NewKey("k", tenant="bolt"))
    await ledger.write([call(n, mine.id, "bolt") for n in range(1, 9)])
    await ledger.write([on_day(n, 10, f"a-{n}") for n in range(21, 27)])
    await ledger.write([older(40, "k1", 90)])
    await tenancy.change_tenant("bolt", PlaceChange(suspended=True))
    await tenancy.delete_tenant("bolt")
    async with database.write() as connection:
        await connection.execute(text(f"ALTER TABLE {away} RENAME TO elsewhere"))
    work, told = upkeep(database, clock, 30, most_names=2)
    await work.once()
    assert told.pop(told.index(("warn", "upkeep was not done", fails)))
    assert len(told) == 2
    async with database.read() as connection:
        calls = await connection.scalar(select(func.count()).select_from(requests))
    assert calls == (14 if fails != "old calls" else 15)


async def test_what_takes_longer_than_a_request_would_wait_is_done_all_the_same(tmp_path):
    async with database_url("postgresql", tmp_path) as url:  # SQLite's have no limit of time
        hurried, clock = open_database(url, query_timeout_s=0.2), ManualClock(wall=WALL)
        await SqlLedger(hurried).write([on_day(n, 10, f"a-{n}") for n in range(1, 9)])
        said = []

        async def take(name, for_s):
            return True

        work = Upkeep(
            lambda: unhurried(hurried, url),
            clock,
            None,
            take,
            lambda *told, **_: said.append(told),
            2,
        )
        async with hurried.write() as connection:
            await connection.execute(text("LOCK TABLE ledger_labels IN ACCESS EXCLUSIVE MODE"))
            doing = asyncio.create_task(work.once())
            await asyncio.sleep(0.8)
            assert not doing.done()
        await doing
        assert said == [("info", "rarer labels of past days put together")]
        await hurried.close()


async def test_whose_turn_it_is_not_does_nothing_and_a_failure_is_told(place):
    database, clock, _ = place
    await SqlLedger(database).write([older(1, "k1", 90)])
    idle, told = upkeep(database, clock, 5, mine=False)
    broken, failed = upkeep(database, clock, 5)

    async def fails():
        raise HouseError("overloaded", "The database is away.", code="database_error")

    broken.once = fails
    for each in (idle, broken):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await each.run(0.0, 0.1)
    assert (len(await rows(database)), told) == (1, [])
    assert failed[0] == ("warn", "upkeep was not done")
