"""One suite over every store of limits: memory, a host's files, Redis, and what goes before the last two.

Time is moved by hand everywhere: in Redis, the script is told the time in the place of asking for it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from dragoman.admission.meter import Meter
from dragoman.admission.ports import NO_PAST, UNKNOWN, LimitStore, Past, Short, Taken
from dragoman.admission.rules import ALLOWANCE, CONCURRENCY, Bound, Rule, rules_of
from dragoman.core.call import Limits
from dragoman.core.clock import ManualClock
from dragoman.store.memory.limits import MemoryLimits
from dragoman.store.redis.limits import RedisCounter
from dragoman.store.shared.host import HostCounter
from dragoman.store.shared.limits import SharedLimits
from dragoman.store.shared.ports import PLACE_S, USED_S, Correction, Held, Leased
from redis_server import URL, redis_prefix
from sampling import examples

pytestmark = [pytest.mark.anyio, pytest.mark.req("R-TIER-001", "R-TIER-005")]
KINDS = ("memory", "host", "redis")
START = 1_760_000_000.0
"""Redis counts in Unix seconds."""
keys = (f"key-{number}" for number in itertools.count())


@pytest.fixture
def anyio_backend():
    return "asyncio"


@dataclass
class Rig:
    store: LimitStore
    clock: ManualClock
    advance: Callable[[float], Awaitable[None]]
    settled: Callable[[], Awaitable[None]]
    """Returns when what goes beside the requests has arrived."""


def timed(client: Redis, prefix: str) -> RedisCounter:
    """A counter whose scripts read the time from a key."""
    counter = RedisCounter(client, prefix, "secret", "here")
    for name in ("_take", "_correct"):
        script = getattr(counter, name).script
        told = script.replace(
            "redis.call('TIME')", f"cjson.decode(redis.call('GET', '{prefix}:clock'))"
        )
        assert told != script
        setattr(counter, name, client.register_script(told))
    return counter


@asynccontextmanager
async def opened(kind: str, folder):
    clock = ManualClock(monotonic=START)

    async def at_once() -> None:
        pass

    async def step(seconds: float) -> None:
        clock.advance(seconds)

    if kind == "memory":
        yield Rig(MemoryLimits(clock), clock, step, at_once)
        return
    if kind == "host":
        counter = HostCounter(folder / "limits", 1, clock.monotonic)
        limits = SharedLimits(counter, clock, failed, 1)
        yield Rig(limits, clock, step, lambda: sent(limits))
        await limits.close()
        counter.close()
        return
    with redis_prefix() as prefix:
        async with Redis.from_url(URL) as client:

            async def set_clock(seconds: float) -> None:
                clock.advance(seconds)
                now = clock.monotonic()
                whole = int(now)
                await client.set(f"{prefix}:clock", f'["{whole}", "{round((now - whole) * 1e6)}"]')

            await set_clock(0)
            limits = SharedLimits(timed(client, prefix), clock, failed, 1)
            yield Rig(limits, clock, set_clock, lambda: sent(limits))
            await limits.close()


def failed(what: str, error: Exception | None) -> None:
    raise AssertionError(what) from error


async def sent(limits: SharedLimits) -> None:
    while limits._sending is not None:
        await asyncio.wait({limits._sending})


@pytest.fixture(params=KINDS)
async def rig(request, tmp_path):
    async with opened(request.param, tmp_path) as found:
        yield found


def requests(**limits: int) -> Rule:
    return rules_of(Limits(**limits)).requests


def tokens(**limits: int) -> Rule:
    return rules_of(Limits(**limits)).tokens


async def fire(rig: Rig, rule: Rule, times: int, amount: int = 1, key: str = "k") -> int:
    found = [await rig.store.take(key, rule, amount) for _ in range(times)]
    return sum(isinstance(one, Taken) for one in found)


@pytest.mark.req("R-TIER-003")
async def test_the_third_request_of_two_a_minute_is_refused_with_the_wait(rig):
    rule = requests(rpm=2)
    first = await rig.store.take("k", rule, 1)
    assert (first.gauge.limit, first.gauge.remaining) == (2, 1)
    assert first.gauge.reset_s == pytest.approx(60, abs=0.3)
    await rig.advance(10)
    assert (await rig.store.take("k", rule, 1)).gauge.remaining == 0
    await rig.advance(10)
    refused = await rig.store.take("k", rule, 1)
    assert (refused.name, refused.limit) == ("rpm", 2)
    assert refused.wait_s == pytest.approx(40, abs=0.3)
    await rig.advance(refused.wait_s - 0.01)
    assert isinstance(await rig.store.take("k", rule, 1), Short)
    await rig.advance(0.02)
    assert isinstance(await rig.store.take("k", rule, 1), Taken)


async def test_keys_and_units_do_not_share_their_limits(rig):
    assert await fire(rig, requests(rpm=1), 3, key="one") == 1
    assert await fire(rig, requests(rpm=1), 3, key="two") == 1
    assert await fire(rig, tokens(tpm=1), 3, key="one") == 1


async def test_the_longest_wait_of_several_limits_is_told_and_the_tightest_stand(rig):
    rule = requests(rps=100, rpm=4, rpd=1000)
    taken = await rig.store.take("k", rule, 1, past=NO_PAST)
    assert (taken.gauge.limit, taken.gauge.remaining) == (4, 3)
    rule = requests(rps=1, rpm=1, rpd=1)
    assert isinstance(await rig.store.take("other", rule, 1, past=NO_PAST), Taken)
    refused = await rig.store.take("other", rule, 1)
    assert (refused.name, refused.limit) == ("rpd", 1)
    assert refused.wait_s == pytest.approx(86_400, abs=400)


async def test_a_refused_request_counts_nowhere(rig):
    rule = requests(rps=1, rpm=3)
    assert await fire(rig, rule, 40) == 1
    passed = 0
    for _ in range(2):
        await rig.advance(2)
        passed += await fire(rig, rule, 1)
    assert passed == 2


async def test_a_changed_limit_keeps_what_was_counted(rig):
    assert await fire(rig, requests(rpm=5), 5) == 5
    await rig.advance(1)
    assert await fire(rig, requests(rpm=8), 5) == 3
    assert await fire(rig, requests(rpm=2), 5) == 0
    await rig.advance(70)
    assert await fire(rig, requests(rpm=8, rps=1), 5) == 1


@pytest.mark.parametrize("limit", [1000, 10_000, 37_777])
async def test_a_wide_limit_admits_all_of_it_and_no_more(rig, limit):
    rule = requests(rpm=limit)
    assert await fire(rig, rule, limit + 50) == limit
    await rig.settled()
    await rig.advance(61)
    assert await fire(rig, rule, 10) == 10


async def test_what_a_lease_did_not_use_is_given_back(rig):
    rule = requests(rpm=2000)
    assert await fire(rig, rule, 5) == 5
    await asyncio.sleep(0.3)
    await rig.settled()
    # A key of the same name whose rule is narrow looks at the windows themselves.
    narrow = requests(rpm=6)
    assert await fire(rig, narrow, 3) == 1


async def test_tokens_are_settled_to_what_was_used(rig):
    rule = tokens(tpm=1000)
    taken = await rig.store.take("k", rule, 900)
    assert isinstance(await rig.store.take("k", rule, 200), Short)
    rig.store.correct("k", rule, taken, 100 - 900)
    await rig.settled()
    await rig.advance(0.26)  # so long a refusal of tokens may hold
    second = await rig.store.take("k", rule, 800)
    assert second.gauge.remaining == 100
    rig.store.correct("k", rule, second, 300)
    await rig.settled()
    refused = await rig.store.take("k", rule, 1)
    assert (refused.name, refused.free) == ("tpm", 0)


async def test_what_has_left_its_window_is_not_corrected(rig):
    rule = tokens(tpm=1000)
    taken = await rig.store.take("k", rule, 900)
    await rig.advance(70)
    later = await rig.store.take("k", rule, 500)
    rig.store.correct("k", rule, taken, -900)
    await rig.settled()
    assert isinstance(later, Taken)
    assert (await rig.store.take("k", rule, 600)).free == 500


async def test_what_can_never_pass_is_told_without_a_wait(rig):
    refused = await rig.store.take("k", tokens(tpm=100), 101)
    assert (refused.name, refused.free, refused.wait_s) == ("tpm", 100, None)


@pytest.mark.req("R-TIER-004")
async def test_an_allowance_is_asked_for_once_and_no_time_gives_it_back(rig):
    rule = tokens(max_tokens=1000)
    assert await rig.store.take("k", rule, 100) == UNKNOWN
    taken = await rig.store.take("k", rule, 100, past=Past(700))
    assert (taken.gauge.limit, taken.gauge.remaining) == (1000, 200)
    refused = await rig.store.take("k", rule, 201)
    assert (refused.name, refused.free, refused.wait_s) == (ALLOWANCE, 200, None)
    rig.store.correct("k", rule, taken, -50)
    await rig.settled()
    await rig.advance(100)
    assert isinstance(await rig.store.take("k", rule, 250), Taken)
    assert (await rig.store.take("k", rule, 1)).free == 0


async def test_what_was_used_before_it_began_is_asked_for_once_where_a_window_is_long(rig):
    rule = requests(rpm=9, rpd=100)
    assert await rig.store.take("k", rule, 1) == UNKNOWN
    past = Past(500, ((86_000.0, 30), (10.0, 40), (0.0, 20)))
    taken = await rig.store.take("k", rule, 1, past=past)
    assert (taken.gauge.limit, taken.gauge.remaining) == (100, 9)
    again = await rig.store.take("k", rule, 1, past=past)
    assert again.gauge.remaining == 8  # what it knows it is not told twice
    await rig.advance(1000)
    assert (await rig.store.take("k", rule, 1)).gauge.remaining > 8
    assert await fire(rig, requests(rpm=9), 20, key="other") == 9


async def test_places_are_held_until_they_are_given_back(rig):
    rule = requests(concurrency=2)
    assert isinstance(await rig.store.take("k", rule, 1, place="a"), Taken)
    assert isinstance(await rig.store.take("k", rule, 1, place="b"), Taken)
    refused = await rig.store.take("k", rule, 1, place="c")
    assert (refused.name, refused.limit) == (CONCURRENCY, 2)
    rig.store.leave("k", rule, "a")
    rig.store.leave("k", rule, "never held")
    await rig.settled()
    assert isinstance(await rig.store.take("k", rule, 1, place="c"), Taken)
    assert isinstance(await rig.store.take("k", rule, 1, place="d"), Short)


async def test_a_place_that_is_refused_counts_no_request(rig):
    rule = requests(concurrency=1, rpm=2)
    assert isinstance(await rig.store.take("k", rule, 1, place="a"), Taken)
    for _ in range(5):
        assert (await rig.store.take("k", rule, 1, place="b")).name == CONCURRENCY
    rig.store.leave("k", rule, "a")
    await rig.settled()
    assert isinstance(await rig.store.take("k", rule, 1, place="b"), Taken)


# ---------------------------------------------------------------- the law, over all of them

waits = st.lists(
    st.one_of(st.just(0.0), st.floats(0, 0.1), st.floats(0, 40)), min_size=1, max_size=60
)


@pytest.mark.parametrize("kind", KINDS)
@given(limit=st.integers(1, 20), waits=waits, amounts=st.lists(st.integers(1, 5), min_size=60))
@settings(max_examples=examples(30), deadline=None, suppress_health_check=list(HealthCheck))
def test_no_window_ever_admits_more_than_its_limit(kind, tmp_path, limit, waits, amounts):
    asyncio.run(hold_the_law(kind, tmp_path, limit, waits, amounts))


async def hold_the_law(kind, folder, limit, waits, amounts):
    key = next(keys)
    passed: list[tuple[float, int]] = []
    rule = Rule("tokens", (Bound("tpm", limit, 60.0),))
    async with opened(kind, folder) as rig:
        for wait, amount in zip(waits, amounts, strict=False):
            await rig.advance(wait)
            if isinstance(await rig.store.take(key, rule, amount), Taken):
                passed.append((rig.clock.monotonic(), amount))
    for at, _ in passed:
        inside = sum(amount for when, amount in passed if at <= when < at + 60.0 - 1e-3)
        assert inside <= limit


steps = st.lists(
    st.tuples(
        st.sampled_from(["take", "take", "take", "lease", "correct", "place", "leave"]),
        st.integers(1, 30),
        st.sampled_from([0.0, 0.0, 0.01, 0.7, 13.0, 45.0, 700.0]),
    ),
    max_size=40,
)


@given(steps)
@settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))
def test_the_script_in_redis_does_what_the_meter_does(steps):
    asyncio.run(compare(steps))


async def compare(steps):
    rule = Rule(
        "requests",
        (Bound("rps", 20, 1.0), Bound("rpm", 60, 60.0), Bound("rpd", 500, 86_400.0)),
        total=400,
        places=2,
    )
    meter, now = Meter(), START
    last: list[tuple[Taken, Taken]] = []
    with redis_prefix() as prefix:
        async with Redis.from_url(URL) as client:
            counter = timed(client, prefix)
            for number, (what, amount, wait) in enumerate(steps):
                now += wait
                whole = int(now)
                clock = f'["{whole}", "{round((now - whole) * 1e6)}"]'
                await client.set(f"{prefix}:clock", clock)
                place = f"p{number}" if what == "place" else None
                said: dict[str, Any] = {"place": place, "most": 25 if what == "lease" else 0}
                if what == "correct" and last:
                    ours, theirs = last.pop()
                    meter.correct(ours, amount - 15)
                    await counter.correct(
                        [Correction("k", "requests", ((theirs.at, amount - 15),))]
                    )
                elif what == "leave":
                    gone = f"p{number - amount}"
                    meter.places.pop(gone, None)
                    await counter.correct([Correction("k", "requests", places=((gone, 0),))])
                else:
                    ours = meter.take(rule, amount, now, place_s=PLACE_S, used_s=USED_S, **said)
                    theirs = await counter.take("k", rule, amount, **said)
                    assert isinstance(theirs, type(ours))
                    if ours is UNKNOWN:
                        said["past"] = Past(50, ((90_000.0, 4), (50_000.0, 7), (30.0, 20)))
                        ours = meter.take(
                            rule, amount, now, place_s=PLACE_S, used_s=USED_S, **said
                        )
                        theirs = await counter.take("k", rule, amount, **said)
                    assert alike(ours) == alike(theirs)
                    if isinstance(ours, Taken):
                        last.append((ours, theirs))


grabs = st.lists(
    st.tuples(
        st.sampled_from(["take", "take", "take", "keep", "back", "renew", "wait"]),
        st.integers(0, 9),
        st.integers(1, 30),
        st.integers(0, 30),
    ),
    max_size=30,
)


@given(grabs)
@settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))
def test_places_are_held_in_redis_as_in_a_host_s_files_and_never_too_many(tmp_path_factory, grabs):
    asyncio.run(hold_alike(grabs, tmp_path_factory.mktemp("host")))


async def hold_alike(grabs, folder):
    rule = Rule("requests", (Bound("rpm", 10_000, 60.0),), places=64)
    clock = ManualClock(monotonic=START)
    held: dict[str, tuple[int, float]] = {}
    with redis_prefix() as prefix:
        async with Redis.from_url(URL) as client:
            counters = (HostCounter(folder, 1, clock.monotonic), timed(client, prefix))

            async def both(do):
                await client.set(f"{prefix}:clock", f'["{int(clock.monotonic())}", "0"]')
                return [await do(counter) for counter in counters]

            for number, (what, which, places, spare) in enumerate(grabs):
                name, now = f"p{which}", clock.monotonic()
                held = {place: it for place, it in held.items() if it[1] > now}
                known = held.get(name, (0, 0.0))
                if what == "take":
                    said = {"place": f"p{number % 10}", "places": places, "spare": spare}
                    if f"p{number % 10}" in held:
                        continue
                    said["back"] = [name]
                    held.pop(name, None)
                    ours, theirs = await both(
                        lambda one, said=said: one.take("k", rule, 1, **said)
                    )
                    assert alike(ours) == alike(theirs)
                    if isinstance(ours, Leased):
                        assert ours.places == theirs.places
                        held[f"p{number % 10}"] = (ours.places, now + PLACE_S)
                    else:
                        assert sum(it[0] for it in held.values()) == rule.places
                elif what in ("keep", "back"):
                    left = 0 if what == "back" else min(known[0], places)
                    given = [Correction("k", "requests", places=((name, left),))]
                    await both(lambda one, given=given: one.correct(given))
                    held[name] = (left, known[1])
                elif what == "renew" and known[0]:
                    again = [Held("k", name, known[0])]
                    await both(lambda one, again=again: one.renew(again))
                    held[name] = (known[0], now + PLACE_S)
                elif what == "wait":
                    clock.advance(2.0 * places)
                assert sum(it[0] for it in held.values()) <= rule.places
            counters[0].close()


def alike(found):
    """Answers, their times to the millisecond."""
    if isinstance(found, Taken):
        gauge = found.gauge
        return (found.amount, found.which, gauge.limit, gauge.remaining, round(gauge.reset_s, 2))
    wait = found.wait_s
    return (found.name, found.limit, found.free, None if wait is None else round(wait, 2))


# ---------------------------------------------------------------- what several processes share


@asynccontextmanager
async def several(kind: str, folder, clock):
    """Two processes' counters of one kind."""
    if kind == "host":
        both = [HostCounter(folder / "limits", 2, clock.monotonic) for _ in range(2)]
        yield both
        for each in both:
            each.close()
        return
    with redis_prefix() as prefix:
        async with Redis.from_url(URL) as one, Redis.from_url(URL) as other:
            yield [RedisCounter(one, prefix, "s", "a"), RedisCounter(other, prefix, "s", "b")]


@pytest.mark.parametrize("kind", ["host", "redis"])
async def test_processes_count_together(kind, tmp_path):
    clock = ManualClock(monotonic=START)
    async with several(kind, tmp_path, clock) as (one, other):
        rule = requests(rpm=5, concurrency=10)
        found = [
            await counter.take("k", rule, 1, place=f"{number}")
            for number, counter in enumerate([one, other] * 4)
        ]
        assert [isinstance(each, Taken) for each in found] == [True] * 5 + [False] * 3
        await other.renew([Held("k", "9")])
        await one.correct([Correction("k", "requests", ((found[0].at, -1),), (("0", 0),))])
        assert isinstance(await other.take("k", rule, 1, place="5"), Taken)
        await one.processes()
        assert await other.processes() == 2


@pytest.mark.parametrize("kind", ["host", "redis"])
async def test_leases_of_two_processes_come_to_the_limit_and_no_more(kind, tmp_path):
    clock = ManualClock(monotonic=START)
    async with several(kind, tmp_path, clock) as both:
        stores = [SharedLimits(counter, clock, failed, 2) for counter in both]
        rule = requests(rpm=10_000)
        passed = 0
        for store in itertools.islice(itertools.cycle(stores), 10_400):
            passed += isinstance(await store.take("k", rule, 1), Taken)
        assert 9_900 <= passed <= 10_000
        for store in stores:
            await store.close()


async def test_a_place_whose_process_was_killed_is_free_after_a_minute(tmp_path):
    clock = ManualClock(monotonic=START)
    counter = HostCounter(tmp_path, 2, clock.monotonic)
    rule = requests(concurrency=1)
    assert isinstance(await counter.take("k", rule, 0, place="dead"), Taken)
    clock.advance(PLACE_S - 1)
    assert isinstance(await counter.take("k", rule, 0, place="mine"), Short)
    clock.advance(2)
    assert isinstance(await counter.take("k", rule, 0, place="mine"), Taken)
    counter.close()


async def test_no_key_stands_in_redis_by_its_own_id():
    with redis_prefix() as prefix:
        async with Redis.from_url(URL) as client:
            await RedisCounter(client, prefix, "s", "a").take("tellable", requests(rpm=5), 1)
            names = [name.decode() async for name in client.scan_iter(f"{prefix}*")]
    assert names
    assert not any("tellable" in name for name in names)
