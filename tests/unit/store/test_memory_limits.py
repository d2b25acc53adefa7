"""Rate limits of one process."""

from __future__ import annotations

import pytest

from dragoman.core.call import Allowed, Denied, Limits
from dragoman.store.memory import limits as memory
from dragoman.store.memory.limits import MemoryLimits

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def fire(store: MemoryLimits, limits: Limits, times: list[float], key: str = "k") -> int:
    verdicts = [await store.hit(key, limits, now) for now in times]
    return sum(isinstance(verdict, Allowed) for verdict in verdicts)


@pytest.mark.req("R-TIER-001", "R-TIER-003")
async def test_the_third_request_of_two_a_minute_is_refused_with_the_wait():
    store = MemoryLimits()
    limits = Limits(rpm=2)
    assert await store.hit("k", limits, 100.0) == Allowed(2, 1, pytest.approx(60, abs=0.3))
    assert await store.hit("k", limits, 110.0) == Allowed(2, 0, pytest.approx(60, abs=0.3))
    denied = await store.hit("k", limits, 120.0)
    assert denied == Denied("rpm", 2, pytest.approx(40, abs=0.3))
    assert isinstance(await store.hit("k", limits, 120.001 + denied.retry_after_s), Allowed)


async def test_keys_do_not_share_their_limits():
    store = MemoryLimits()
    assert await fire(store, Limits(rps=1), [5.0], "one") == 1
    assert await fire(store, Limits(rps=1), [5.0], "two") == 1
    assert await fire(store, Limits(rps=1), [5.0], "one") == 0


async def test_the_longest_wait_of_several_limits_is_told():
    store = MemoryLimits()
    limits = Limits(rps=1, rpm=1, rpd=1)
    assert await fire(store, limits, [5.0]) == 1
    denied = await store.hit("k", limits, 5.5)
    assert (denied.limit_name, denied.limit) == ("rpd", 1)
    assert denied.retry_after_s == pytest.approx(86_400, abs=400)


async def test_the_tightest_limit_is_told():
    store = MemoryLimits()
    verdict = await store.hit("k", Limits(rps=100, rpm=4, rpd=1000), 5.0)
    assert (verdict.limit, verdict.remaining) == (4, 3)


async def test_a_refused_request_counts_nowhere():
    store = MemoryLimits()
    limits = Limits(rps=1, rpm=3)
    # 40 tries in the first second: one passes, and the 39 do not use up the minute.
    assert await fire(store, limits, [10 + step / 50 for step in range(40)]) == 1
    assert await fire(store, limits, [12.0, 14.0, 16.0]) == 2


async def test_zero_is_no_limit():
    store = MemoryLimits()
    assert await fire(store, Limits(rps=0, rpm=5, rpd=0), [1.0] * 10) == 5


@pytest.mark.parametrize(("limit", "share", "each"), [(100, 2, 50), (3, 2, 1), (1, 4, 1)])
async def test_a_worker_lets_its_share_through_and_tells_the_whole(limit, share, each):
    store = MemoryLimits(share)
    limits = Limits(rpm=limit)
    first = await store.hit("k", limits, 1.0)
    assert (first.limit, first.remaining) == (limit, (each - 1) * limit // each)
    assert await fire(store, limits, [1.0] * 200) == each - 1
    assert (await store.hit("k", limits, 1.0)).limit == limit


async def test_a_changed_limit_keeps_what_was_counted():
    store = MemoryLimits()
    assert await fire(store, Limits(rpm=5), [1.0] * 5) == 5
    assert await fire(store, Limits(rpm=8), [2.0] * 5) == 3
    assert await fire(store, Limits(rpm=2), [3.0] * 5) == 0
    assert await fire(store, Limits(rpm=8, rps=1), [70.0] * 5) == 1


async def test_keys_that_were_not_seen_for_long_are_dropped(monkeypatch):
    monkeypatch.setattr(memory, "_SWEEP_FROM", 10)
    store = MemoryLimits()
    store._sweep_at = 10
    for number in range(10):
        await store.hit(f"old-{number}", Limits(rps=1), 1.0)
    await store.hit("busy", Limits(rpm=1), 1.5)
    for number in range(25):
        await store.hit(f"new-{number}", Limits(rps=1), 5.0)
    assert not any(key.startswith("old") for key in store._counters)
    assert isinstance(await store.hit("busy", Limits(rpm=1), 6.0), Denied)
    assert len(store._counters) == 26


async def test_a_shorter_window_may_have_the_longer_wait():
    store = MemoryLimits()
    limits = Limits(rps=1, rpm=2)
    assert await fire(store, limits, [0.0, 59.5]) == 2
    denied = await store.hit("k", limits, 59.9)
    assert (denied.limit_name, denied.retry_after_s) == ("rps", pytest.approx(0.6, abs=0.01))
