"""One suite for both caches of answers: in memory, and in a Redis that several processes share."""

from __future__ import annotations

import asyncio
import os
import uuid

import pytest
from redis.asyncio import Redis

from databases import database_url
from dragoman.core.call import Origin
from dragoman.core.clock import ManualClock, SystemClock
from dragoman.reuse.transcript import Told, Transcript
from dragoman.store.memory.answers import MemoryAnswers
from dragoman.store.redis.answers import REST_S, RedisAnswers
from dragoman.store.redis.connection import open_redis
from dragoman.store.schema import open_upgraded
from dragoman.store.seal import open_sealer
from dragoman.store.sql.tenant_keys import TenantKeys
from lacking import lacking
from servers import free_port

pytestmark = pytest.mark.anyio
URL = os.environ.get("DRAGOMAN_TEST_REDIS") or "redis://127.0.0.1:6379/0"


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def keys(tmp_path):
    async with database_url("sqlite", tmp_path) as url:
        database = await open_upgraded(url)
        yield TenantKeys(database, open_sealer(tmp_path, None), SystemClock())
        await database.close()


async def server() -> Redis:
    client = open_redis(URL)
    try:
        await client.ping()
    except OSError as error:
        lacking(
            f"There is no Redis for the tests ({error}); DRAGOMAN_TEST_REDIS=redis://… names one."
        )
    return client


@pytest.fixture
async def redis(keys):
    told = []
    prefix = f"dragoman-test-{uuid.uuid4().hex}:"
    client = await server()
    cache = RedisAnswers(client, keys, ManualClock(), lambda *what: told.append(what), prefix)
    yield cache
    async for name in client.scan_iter(match=prefix + "*"):
        await client.delete(name)
    await cache.client.aclose()
    assert not told


@pytest.fixture(params=["memory", "redis"])
def cache(request):
    if request.param == "redis":
        return request.getfixturevalue("redis")
    return MemoryAnswers(SystemClock(), 1_000_000)


def answer(*pieces: bytes) -> Transcript:
    told = Told("m", (), (), estimated=False, stream=True, label_model="m")
    return Transcript(
        Origin("call", "openai", "gpt-4o"),
        told,
        200,
        "text/event-stream",
        streamed=True,
        pieces=pieces or (b"data: secret words\n\n", b"data: [DONE]\n\n"),
        made=1.5,
    )


async def test_what_was_put_is_there(cache):
    assert await cache.get("ours", "a") is None
    await cache.put("ours", "a", answer(), 60)
    assert await cache.get("ours", "a") == answer()
    assert await cache.get("ours", "b") is None
    await cache.put("ours", "a", answer(b"x" * 500_000), 60)
    assert await cache.get("ours", "a") == answer(b"x" * 500_000)


async def test_it_goes_with_its_time(cache):
    await cache.put("ours", "a", answer(), 0.05)
    await asyncio.sleep(0.1)
    assert await cache.get("ours", "a") is None


async def test_redis_has_it_sealed(redis):
    await redis.put("ours", "a", answer(), 60)
    raw = await redis.client.get(redis.prefix + "a")
    assert b"secret" not in raw
    assert b"gpt-4o" not in raw


async def test_what_was_moved_or_is_anothers_is_no_answer(keys):
    told = []
    prefix = f"dragoman-test-{uuid.uuid4().hex}:"
    cache = RedisAnswers(await server(), keys, ManualClock(), lambda *w: told.append(w), prefix)
    await cache.put("ours", "a", answer(), 60)
    await cache.client.copy(cache.prefix + "a", cache.prefix + "b")
    assert await cache.get("ours", "b") is None
    assert await cache.get("theirs", "a") is None
    assert len(told) == 2
    # The server itself is well, and is asked on.
    assert await cache.get("ours", "a") == answer()
    await cache.client.delete(cache.prefix + "a", cache.prefix + "b")
    await cache.client.aclose()


async def test_one_that_is_away_is_left_alone_for_a_while(keys):
    told, clock = [], ManualClock()
    client = open_redis(f"redis://127.0.0.1:{free_port()}/0")
    cache = RedisAnswers(client, keys, clock, lambda *what: told.append(what))
    assert await cache.get("ours", "a") is None
    await cache.put("ours", "a", answer(), 60)
    assert await cache.get("ours", "a") is None
    assert len(told) == 1
    clock.advance(REST_S)
    await cache.put("ours", "a", answer(), 60)
    assert len(told) == 2
    await cache.client.aclose()
