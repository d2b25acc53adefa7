"""Where the lines of failed calls go: Redis, else a file; both capped, and neither ever waited for."""

from __future__ import annotations

import asyncio
import json

import pytest

from dragoman.core.clock import ManualClock
from dragoman.store.error_log import LIST, MOST_WAITING, REST_S, ErrorLog, open_error_log
from dragoman.store.redis.connection import open_redis
from redis_server import URL, redis_prefix
from servers import free_port

pytestmark = [pytest.mark.anyio, pytest.mark.req("R-STOR-008")]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def told():
    return []


def log_in(tmp_path, told, redis=None, prefix="p", clock=None, **more):
    def failed(what, error):
        told.append((what, type(error).__name__))

    return ErrorLog(tmp_path, redis, prefix, clock or ManualClock(), failed, **more)


async def test_without_redis_lines_are_appended_to_a_file_of_its_owners_alone(tmp_path, told):
    log = log_in(tmp_path, told)
    log.put(b"1")
    log.put(b"2")
    await log.flush()
    log.put(b"3")
    await log.flush()
    await log.flush()
    path = tmp_path / "logs" / "api-error.jsonl"
    assert path.read_bytes() == b"1\n2\n3\n"
    assert path.stat().st_mode & 0o077 == 0
    assert told == []


async def test_the_file_is_put_aside_when_it_is_large_and_one_before_it_is_kept(tmp_path, told):
    log = log_in(tmp_path, told, most_bytes=10)
    for number in range(30):
        log.put(b"line %02d" % number)
        await log.flush()
    files = sorted((tmp_path / "logs").glob("api-error.jsonl*"))
    assert [file.name for file in files] == ["api-error.jsonl", "api-error.jsonl.1"]
    assert all(file.stat().st_size <= 20 for file in files)
    assert files[0].read_bytes().endswith(b"line 29\n")


async def test_several_workers_lose_no_line_of_one_another(tmp_path, told):
    logs = [log_in(tmp_path, told, most_bytes=1 << 20) for _ in range(8)]

    async def write(number, log):
        for each in range(20):
            log.put(json.dumps({"w": number, "n": each}).encode())
            await log.flush()

    await asyncio.gather(*(write(*each) for each in enumerate(logs)))
    lines = (tmp_path / "logs" / "api-error.jsonl").read_text().splitlines()
    assert {(each["w"], each["n"]) for each in map(json.loads, lines)} == {
        (w, n) for w in range(8) for n in range(20)
    }


async def test_in_redis_only_the_newest_lines_are_kept(tmp_path, told):
    with redis_prefix() as prefix:
        client = open_redis(URL)
        log = log_in(tmp_path, told, client, prefix, most_lines=3)
        for number in range(5):
            log.put(b"%d" % number)
        await log.flush()
        log.put(b"5")
        await log.flush()
        assert await client.lrange(prefix + LIST, 0, -1) == [b"3", b"4", b"5"]
        await client.aclose()
    assert not (tmp_path / "logs").exists()


async def test_while_redis_is_away_the_file_takes_them_and_afterwards_redis_again(tmp_path, told):
    # R-STOR-003
    clock = ManualClock()
    with redis_prefix() as prefix:
        client, nobody = open_redis(URL), open_redis(f"127.0.0.1:{free_port()}")
        log = log_in(tmp_path, told, nobody, prefix, clock)
        for line in (b"1", b"2"):
            log.put(line)
            await log.flush()
        path = tmp_path / "logs" / "api-error.jsonl"
        assert path.read_bytes() == b"1\n2\n"
        assert told == [("Redis is away: errors go to a file", "ConnectionError")]
        log._redis = client
        log.put(b"3")
        await log.flush()
        assert path.read_bytes() == b"1\n2\n3\n"  # it is left alone for a while
        clock.advance(REST_S)
        log.put(b"4")
        await log.flush()
        assert path.read_bytes() == b"1\n2\n3\n"
        assert await client.lrange(prefix + LIST, 0, -1) == [b"4"]
        await client.aclose()
        await nobody.aclose()


async def test_what_nobody_takes_is_counted_and_told_once(tmp_path, told):
    (tmp_path / "logs").write_text("a file where the folder would be")
    log = log_in(tmp_path, told)
    for line in (b"1", b"2"):
        log.put(line)
        await log.flush()
    assert log.lost == 2
    assert told == [("errors not written", "FileExistsError")]


async def test_of_too_many_lines_the_oldest_go(tmp_path, told):
    log = log_in(tmp_path, told)
    for number in range(MOST_WAITING + 3):
        log.put(b"%d" % number)
    assert log.lost == 3
    await log.flush()
    lines = (tmp_path / "logs" / "api-error.jsonl").read_bytes().split()
    assert (len(lines), lines[0]) == (MOST_WAITING, b"3")


async def test_what_waits_at_the_end_is_written(tmp_path):
    async with open_error_log(tmp_path, None, "p", ManualClock(), lambda *_: None) as log:
        log.put(b"last")
    assert (tmp_path / "logs" / "api-error.jsonl").read_bytes() == b"last\n"
