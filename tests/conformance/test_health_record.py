"""One suite for the record of health, in every database and in Redis."""

from __future__ import annotations

import asyncio

import pytest

from databases import KINDS, database_url
from dragoman.core.errors import HouseError
from dragoman.health.sharing import (
    KEPT_S,
    RESTS_KEPT_S,
    BreakerTold,
    Entry,
    FiguresTold,
    RestTold,
    Spot,
    SwitchTold,
)
from dragoman.store.redis.connection import open_redis
from dragoman.store.redis.health import RedisHealth
from dragoman.store.schema import open_upgraded
from dragoman.store.sql.health import SqlHealth
from redis_server import URL, redis_prefix

pytestmark = pytest.mark.anyio
NOW = 1_790_000_000_000
FIGURES = Spot("figures", "p", "m", "key-1")
SWITCH = Spot("switch", "p", "m", "*")


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(params=[*KINDS, "redis"])
async def record(request, tmp_path):
    if request.param == "redis":
        with redis_prefix() as prefix:
            client = open_redis(URL)
            yield RedisHealth(client, prefix)
            await client.aclose()
        return
    async with database_url(request.param, tmp_path) as url:
        database = await open_upgraded(url)
        yield SqlHealth(database)
        await database.close()


def figures(new: int, requests: int | None = None) -> Entry:
    total = new if requests is None else requests
    return Entry(FIGURES, FiguresTold(total, 0, 0.0, NOW, first_event_s=0.5, new_requests=new))


@pytest.mark.req("R-PROV-003")
async def test_what_is_told_is_there_and_is_given_to_who_asks_since_then(record):
    rest = Entry(Spot("rest", "p", "*", "key-1"), RestTold(NOW, NOW + 300_000))
    switch = Entry(SWITCH, SwitchTold(off=True, at_ms=NOW, probe_ms=NOW + 60_000))
    assert await record.exchange([], 0, NOW) == []
    first = await record.exchange([figures(3), rest, switch], 0, NOW)
    assert sorted(first, key=lambda entry: entry.spot) == [
        Entry(FIGURES, FiguresTold(3, 0, 0.0, NOW, first_event_s=0.5)),
        rest,
        switch,
    ]
    later = await record.exchange([figures(2, 5)], NOW + 1, NOW + 1000)
    assert later == [Entry(FIGURES, FiguresTold(5, 0, 0.0, NOW, first_event_s=0.5))]
    assert len(await record.exchange([], NOW, NOW + 2000)) == 3
    assert await record.exchange([], NOW + 1001, NOW + 2000) == []


@pytest.mark.req("R-PROV-004")
async def test_the_later_word_stays(record):
    off = Entry(SWITCH, SwitchTold(off=True, at_ms=NOW + 5, probe_ms=NOW))
    on = Entry(SWITCH, SwitchTold(off=False, at_ms=NOW + 4, probe_ms=NOW))
    await record.exchange([off], 0, NOW)
    assert await record.exchange([on], 0, NOW + 1) == [off]


async def test_many_who_tell_at_once_lose_nothing(record):
    await record.exchange([figures(1)], 0, NOW)

    async def tell() -> None:
        for tries in range(20):
            try:
                await record.exchange([figures(1)], 1, NOW + 1)
            except HouseError:
                await asyncio.sleep(0.01 * (tries + 1))
            else:
                return
        pytest.fail("it was never told")

    await asyncio.gather(*(tell() for _ in range(8)))
    (found,) = await record.exchange([], 0, NOW + 2)
    assert found.state.requests == 9


async def test_hundreds_of_entries_are_one_exchange(record):
    told = [
        Entry(Spot("figures", "p", f"m{n}", "*"), FiguresTold(1, 0, 0.0, NOW, new_requests=1))
        for n in range(700)
    ]
    for _ in range(2):
        await record.exchange(told, 0, NOW)
    found = await record.exchange([], 0, NOW)
    assert len(found) == 700
    assert {entry.state.requests for entry in found} == {2}


async def test_what_nobody_has_renewed_for_a_month_is_removed(record):
    await record.exchange([figures(1)], 0, NOW)
    later = NOW + round(KEPT_S * 1000) + 1
    other = Entry(SWITCH, SwitchTold(off=True, at_ms=later, probe_ms=later))
    assert await record.exchange([other], 0, later) == [other]


async def test_a_rest_is_removed_within_hours_and_is_not_renewed_by_being_read(record):
    rest = Entry(Spot("rest", "p", "made-up", "key-1"), RestTold(NOW, NOW + 60_000))
    await record.exchange([figures(1), rest], 0, NOW)
    assert len(await record.exchange([], 0, NOW + 1)) == 2
    found = await record.exchange([figures(1, 2)], 0, NOW + round(RESTS_KEPT_S * 1000) + 1)
    assert [entry.spot for entry in found] == [FIGURES]


@pytest.mark.req("R-REL-002")
async def test_a_breaker_is_given_to_others_and_is_removed_within_hours(record):
    spot = Spot("breaker", "p", "m", "key-1")
    opened = Entry(spot, BreakerTold(NOW, NOW + 30_000, "a1"))
    closed = Entry(spot, BreakerTold(NOW + 32_000))
    await record.exchange([figures(1), opened], 0, NOW)
    assert opened in await record.exchange([], NOW, NOW + 1)
    assert closed in await record.exchange([closed], 0, NOW + 32_000)
    assert closed in await record.exchange([opened], 0, NOW + 33_000)
    found = await record.exchange([figures(1, 2)], 0, NOW + round(RESTS_KEPT_S * 1000) + 33_001)
    assert [entry.spot for entry in found] == [FIGURES]


@pytest.mark.req("R-REL-002")
async def test_what_versions_without_breakers_read_of_redis_has_none_and_a_new_kind_is_passed_over():
    with redis_prefix() as prefix:
        client = open_redis(URL)
        opened = Entry(Spot("breaker", "p", "m", "key-1"), BreakerTold(NOW, NOW + 30_000))
        await RedisHealth(client, prefix).exchange([figures(1), opened], 0, NOW)
        assert list(await client.hgetall(f"{prefix}:health")) == [b'["figures","p","m","key-1"]']
        for name in ('["tomorrow","p","m","key-1"]', '{"of":"tomorrow"}'):
            await client.hset(f"{prefix}:health", name, "{}")
            await client.zadd(f"{prefix}:health:changed", {name: NOW})
        later = NOW + round(RESTS_KEPT_S * 1000) + 1
        found = await RedisHealth(client, prefix).exchange([], 0, later)
        assert [entry.spot for entry in found] == [FIGURES]
        await client.aclose()


async def test_an_empty_report_and_one_of_another_record_are_put_as_they_are(tmp_path):
    async with database_url("sqlite", tmp_path) as url:
        database = await open_upgraded(url)
        record = SqlHealth(database)
        await record.put([], NOW)
        entry = Entry(FIGURES, FiguresTold(7, 1, 0.5, NOW))
        for _ in range(2):
            await record.put([entry], NOW)
        assert await record.exchange([], 0, NOW) == [entry]
        await database.close()


async def test_redis_that_is_away_is_an_error_of_ours_within_its_time():
    client = open_redis("redis://127.0.0.1:1")
    with pytest.raises(HouseError, match="Redis cannot be reached") as caught:
        await RedisHealth(client, "x").exchange([figures(1)], 0, NOW)
    assert "127.0.0.1" not in caught.value.message
    await client.aclose()


@pytest.mark.parametrize(
    "url", ["http://h", "redis://h:port", "nothing", "h:port", "user:pw@h:6379"]
)
def test_a_url_that_is_none_is_refused_without_showing_it(url):
    with pytest.raises(HouseError) as caught:
        open_redis(url)
    assert url not in caught.value.message
    assert "REDIS_URL" in caught.value.message


def test_what_is_said_beside_the_url_counts_where_the_url_says_nothing():
    client = open_redis("redis://h", username="u", password="p", database=3, tls=True)
    said = client.connection_pool.connection_kwargs
    assert (said["username"], said["password"], said["db"], said["host"]) == ("u", "p", 3, "h")
    assert client.connection_pool.connection_class.__name__ == "SSLConnection"
    own = open_redis("redis://a:b@h/4", username="u", password="p", database=3)
    said = own.connection_pool.connection_kwargs
    assert (said["username"], said["password"], said["db"]) == ("a", "b", 4)


@pytest.mark.req("R-STOR-002")
@pytest.mark.parametrize(
    ("url", "host", "port"),
    [("redis.internal:6380", "redis.internal", 6380), ("[::1]:6379/2", "::1", 6379)],
)
def test_a_host_with_its_port_is_a_url_as_well(url, host, port):
    said = open_redis(url, username="default", password="p").connection_pool.connection_kwargs
    assert (said["host"], said["port"], said["username"]) == (host, port, "default")
    secured = open_redis(url, tls=True).connection_pool
    assert secured.connection_class.__name__ == "SSLConnection"
