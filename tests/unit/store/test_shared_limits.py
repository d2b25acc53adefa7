"""How a process goes by limits that it shares, and by its own part when it cannot."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from dragoman.admission.meter import Meter
from dragoman.admission.ports import Short, Taken
from dragoman.admission.rules import rules_of
from dragoman.core.call import Limits
from dragoman.core.clock import ManualClock
from dragoman.core.errors import HouseError
from dragoman.store.limits import open_limits
from dragoman.store.shared import limits as module
from dragoman.store.shared.host import HostCounter
from dragoman.store.shared.limits import SharedLimits, lease_size, open_shared

pytestmark = [pytest.mark.anyio, pytest.mark.req("R-TIER-005")]


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Counter:
    """A shared counter in memory that tells what it was asked, and can be away or slow."""

    def __init__(self, clock: ManualClock, count: int = 4) -> None:
        self.clock = clock
        self.count = count
        self.meters: dict[str, Meter] = {}
        self.asked: list[tuple[int, int]] = []
        self.renewed: list[str] = []
        self.away = False
        self.slow_s = 0.0

    async def _be(self) -> None:
        if self.slow_s:
            await asyncio.sleep(self.slow_s)
        if self.away:
            raise HouseError("overloaded", "It is away.")

    async def take(self, key_id, rule, amount, *, most=0, place=None, past=None):
        await self._be()
        self.asked.append((amount, most))
        meter = self.meters.setdefault(f"{key_id}:{rule.unit}", Meter())
        return meter.take(rule, amount, self.clock.monotonic(), most=most, place=place, past=past)

    async def correct(self, corrections):
        await self._be()
        for each in corrections:
            meter = self.meters.setdefault(f"{each.key_id}:{each.unit}", Meter())
            if each.taken is not None:
                meter.correct(each.taken, each.change)
            meter.places.pop(each.place, None)

    async def renew(self, held):
        await self._be()
        self.renewed += [each.place for each in held]

    async def processes(self):
        await self._be()
        return self.count


class Rig:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.counter = Counter(self.clock)
        self.told: list[tuple[str, bool]] = []
        self.limits = SharedLimits(self.counter, self.clock, self.tell, 4)

    def tell(self, what: str, error: Exception | None) -> None:
        self.told.append((what, error is None))

    async def fire(self, rule, times, amount=1):
        found = [await self.limits.take("k", rule, amount) for _ in range(times)]
        return sum(isinstance(each, Taken) for each in found)


@pytest.fixture
async def rig():
    made = Rig()
    yield made
    await made.limits.close()


def requests(**limits):
    return rules_of(Limits(**limits)).requests


def tokens(**limits):
    return rules_of(Limits(**limits)).tokens


async def sent(rig):
    while rig.limits._sending is not None:
        await asyncio.wait({rig.limits._sending})


def used(rig, name: str, window: str) -> int:
    """What the counter has in a window."""
    meter = rig.counter.meters[name]
    meter.rouse()
    return meter.windows[window].used


async def test_narrow_limits_cost_a_call_for_each_request(rig):
    assert await rig.fire(requests(rpm=999), 50) == 50
    assert rig.counter.asked == [(1, 0)] * 50


async def test_wide_limits_are_taken_from_in_leases_of_a_hundredth(rig):
    assert await rig.fire(requests(rpm=10_000), 1000) == 1000
    assert {most for _, most in rig.counter.asked} == {100}
    assert len(rig.counter.asked) == 10


async def test_a_lease_is_over_after_a_quarter_of_a_second_and_its_rest_given_back(rig):
    rule = requests(rpm=10_000)
    await rig.fire(rule, 1)
    assert used(rig, "k:requests", "rpm") == 100
    rig.clock.advance(0.26)
    await rig.fire(rule, 1)
    await sent(rig)
    assert used(rig, "k:requests", "rpm") == 101
    assert len(rig.counter.asked) == 2


async def test_the_rest_is_given_back_even_where_nobody_comes_any_more(rig):
    await rig.fire(requests(rpm=10_000), 1)
    await asyncio.sleep(0.3)
    await sent(rig)
    assert used(rig, "k:requests", "rpm") == 1


async def test_many_at_once_take_one_lease(rig):
    rule = requests(rpm=10_000)
    rig.counter.slow_s = 0.01
    found = await asyncio.gather(*(rig.limits.take("k", rule, 1) for _ in range(90)))
    assert all(isinstance(each, Taken) for each in found)
    assert len(rig.counter.asked) == 1


def test_the_nearer_to_the_limit_the_smaller_is_a_lease():
    rule = requests(rpm=10_000)
    assert lease_size(rule, None) == 100
    assert lease_size(rule, 9000) == 100
    assert lease_size(rule, 800) == 50
    assert lease_size(rule, 5) == 0
    assert lease_size(tokens(tpm=50_000, max_tokens=2000), None) == 20


async def test_leases_of_tokens_serve_requests_of_any_size(rig):
    rule = tokens(tpm=1_000_000)
    found = [await rig.limits.take("k", rule, amount) for amount in (10, 9000, 20_000, 700)]
    assert all(isinstance(each, Taken) for each in found)
    await rig.limits.close()
    assert used(rig, "k:tokens", "tpm") == 29_710


async def test_a_refusal_is_not_asked_for_twice(rig):
    rule = requests(rpm=2)
    await rig.fire(rule, 2)
    first = await rig.limits.take("k", rule, 1)
    asked = len(rig.counter.asked)
    rig.clock.advance(10)
    again = await rig.limits.take("k", rule, 1)
    assert len(rig.counter.asked) == asked
    assert again.wait_s == pytest.approx(first.wait_s - 10)
    assert isinstance(await rig.limits.take("k", requests(rpm=3), 1), Taken)
    rig.clock.advance(first.wait_s)
    assert isinstance(await rig.limits.take("k", rule, 1), Taken)


async def test_a_smaller_request_is_not_refused_for_a_larger_one(rig):
    rule = tokens(tpm=100)
    await rig.fire(rule, 1, 50)
    assert isinstance(await rig.limits.take("k", rule, 60), Short)
    assert isinstance(await rig.limits.take("k", rule, 40), Taken)


async def test_a_place_that_came_back_is_not_still_refused(rig):
    rule = requests(concurrency=1)
    await rig.limits.take("k", rule, 1, place="a")
    assert isinstance(await rig.limits.take("k", rule, 1, place="b"), Short)
    rig.limits.leave("k", rule, "a")
    await sent(rig)
    assert isinstance(await rig.limits.take("k", rule, 1, place="b"), Taken)


# ---------------------------------------------------------------- away, and back


async def test_alone_a_process_goes_by_its_part_and_tells_the_whole(rig):
    rig.counter.away = True
    rule = requests(rpm=100)
    first = await rig.limits.take("k", rule, 1)
    assert (first.gauge.limit, first.gauge.remaining) == (100, 96)
    assert await rig.fire(rule, 200) == 24
    refused = await rig.limits.take("k", rule, 1)
    assert (refused.name, refused.limit) == ("rpm", 100)
    assert rig.limits.state == "alone"
    assert len(rig.told) == 1


async def test_what_it_had_let_through_counts_against_its_part(rig):
    rule = requests(rpm=100)
    assert await rig.fire(rule, 20) == 20
    rig.counter.away = True
    assert await rig.fire(rule, 200) == 5


async def test_places_are_limited_alone_as_well(rig):
    rig.counter.away = True
    rule = requests(concurrency=4)
    assert isinstance(await rig.limits.take("k", rule, 1, place="a"), Taken)
    refused = await rig.limits.take("k", rule, 1, place="b")
    assert (refused.name, refused.limit) == ("concurrency", 4)
    rig.limits.leave("k", rule, "a")
    assert isinstance(await rig.limits.take("k", rule, 1, place="b"), Taken)


async def test_tokens_are_settled_alone_as_well(rig):
    rig.counter.away = True
    rule = tokens(tpm=4000)
    taken = await rig.limits.take("k", rule, 1000)
    assert isinstance(await rig.limits.take("k", rule, 1), Short)
    rig.limits.correct("k", rule, taken, -900)
    assert isinstance(await rig.limits.take("k", rule, 900), Taken)


async def test_a_counter_that_hangs_costs_one_request_its_patience(rig):
    rig.counter.slow_s = 5.0
    began = asyncio.get_running_loop().time()
    assert isinstance(await rig.limits.take("k", requests(rpm=100), 1), Taken)
    took = asyncio.get_running_loop().time() - began
    assert took == pytest.approx(module.PATIENCE_S, abs=0.15)
    began = asyncio.get_running_loop().time()
    await rig.fire(requests(rpm=100), 20)
    assert asyncio.get_running_loop().time() - began < 0.05


async def test_it_comes_back_by_itself_and_says_so(rig, monkeypatch):
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    monkeypatch.setattr(module, "BEAT_S", 0.02)
    rule = requests(rpm=100, concurrency=9)
    async with open_shared(rig.limits):
        await rig.limits.take("k", rule, 1, place="a")
        rig.counter.away = True
        await rig.limits.take("k", rule, 1, place="b")
        assert rig.limits.state == "alone"
        rig.limits.leave("k", rule, "a")
        await asyncio.sleep(0.05)
        assert rig.limits.state == "alone"
        rig.counter.away = False
        rig.counter.count = 7
        await asyncio.sleep(0.1)
        assert rig.limits.state == "shared"
        assert rig.limits.processes == 7
        await sent(rig)
        # The place of before was given back while nobody could be told.
        assert rig.counter.meters["k:requests"].places == {}
    assert [is_back for _, is_back in rig.told] == [False, True]


@pytest.mark.parametrize("how", ["leaves", "hangs"])
async def test_a_place_that_was_taken_for_nobody_is_given_back(rig, monkeypatch, how):
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    monkeypatch.setattr(module, "PATIENCE_S", 0.05)
    rule = requests(concurrency=4)
    take = rig.counter.take

    async def late(*args, **more):
        found = await take(*args, **more)
        await asyncio.sleep(5)
        return found

    rig.counter.take = late
    async with open_shared(rig.limits):
        asking = asyncio.create_task(rig.limits.take("k", rule, 1, place="a"))
        await asyncio.sleep(0.01)
        assert list(rig.counter.meters["k:requests"].places) == ["a"]
        if how == "leaves":
            asking.cancel()
        await asyncio.sleep(0.2)
        assert rig.counter.meters["k:requests"].places == {}
        assert asking.done()


async def test_what_was_let_through_alone_is_told_when_it_comes_back(rig, monkeypatch):
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    rule = requests(rps=4000, rpm=100)
    async with open_shared(rig.limits):
        await rig.fire(rule, 10)
        rig.counter.away = True
        assert await rig.fire(rule, 100) == 15
        rig.clock.advance(2)
        rig.counter.away = False
        await asyncio.sleep(0.1)
        assert rig.limits.state == "shared"
    rig.counter.meters["k:requests"].rouse()
    windows = rig.counter.meters["k:requests"].windows
    assert windows["rpm"].used == 25
    assert windows["rps"].used == 10  # of the last second there was nothing to tell


async def test_what_is_held_is_renewed(rig, monkeypatch):
    monkeypatch.setattr(module, "BEAT_S", 0.01)
    await rig.limits.take("k", requests(concurrency=9), 1, place="a")
    async with open_shared(rig.limits):
        await asyncio.sleep(0.05)
        rig.clock.advance(module.PLACE_S)
        await asyncio.sleep(0.05)
    assert "a" in rig.counter.renewed


# ---------------------------------------------------------------- which store it is


@asynccontextmanager
async def opened(**more):
    def tell(what: str, error: Exception | None) -> None:
        raise AssertionError(what) from error

    async with open_limits(ManualClock(), tell, **more) as found:
        yield found


async def test_one_process_counts_in_memory_and_several_in_their_folder(tmp_path):
    async with opened() as (store, kept):
        assert (type(store).__name__, kept()) == ("MemoryLimits", "memory")
    async with opened(workers=4, folder=tmp_path) as (store, kept):
        assert isinstance(await store.take("k", requests(rpm=5), 1), Taken)
        assert kept() == "host"
    assert [file.suffix for file in (tmp_path / "limits").iterdir()] == [".requests"]


async def test_a_folder_that_cannot_be_used_leaves_each_to_itself(tmp_path):
    (tmp_path / "limits").write_text("no folder")
    told = []
    limits = SharedLimits(
        HostCounter(tmp_path / "limits", 4), ManualClock(), lambda *said: told.append(said), 4
    )
    rule = requests(rpm=8)
    found = [await limits.take("k", rule, 1) for _ in range(5)]
    assert [isinstance(each, Taken) for each in found] == [True, True, False, False, False]
    assert limits.state == "alone"


async def test_a_folder_that_cannot_be_used_is_not_taken_for_one_that_is_back(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    (tmp_path / "limits").write_text("no folder")
    told = []
    counter = HostCounter(tmp_path / "limits", 4)
    limits = SharedLimits(counter, ManualClock(), lambda *said: told.append(said), 4)
    async with open_shared(limits):
        await asyncio.sleep(0.1)
        assert (limits.state, len(told)) == ("alone", 1)
        (tmp_path / "limits").unlink()
        await asyncio.sleep(0.1)
        assert (limits.state, len(told)) == ("shared", 2)
    counter.close()


async def test_a_worker_that_is_stopped_with_the_lock_keeps_nobody_waiting(tmp_path):
    one, other = HostCounter(tmp_path, 2), HostCounter(tmp_path, 2)
    rule = requests(rpm=8)
    with one._meter("k", "requests"), pytest.raises(HouseError, match="cannot be used"):
        await other.take("k", rule, 1)
    assert isinstance(await other.take("k", rule, 1), Taken)
    one.close()
    other.close()


async def test_few_files_are_open_whatever_the_number_of_keys(tmp_path, monkeypatch):
    monkeypatch.setattr("dragoman.store.shared.host.MOST_OPEN", 3)
    counter = HostCounter(tmp_path, 1)
    for number in range(10):
        await counter.take(f"k{number}", requests(rpm=8), 1)
    assert len(counter._open) == 3
    for number in range(10):
        found = await counter.take(f"k{number}", requests(rpm=8), 1)
        assert found.gauge.remaining == 6
    counter.close()


async def test_what_a_lease_pays_for_is_told_at_once(rig):
    rule = requests(rpm=10_000)
    assert rig.limits.take_now("k", rule, 1) is None, "there is no lease yet"
    first = await rig.limits.take("k", rule, 1)
    for _ in range(99):
        found = rig.limits.take_now("k", rule, 1)
        assert found == first
    assert rig.limits.take_now("k", rule, 1) is None, "all of it is taken"
    assert rig.limits.take_now("k", requests(rpm=20_000), 1) is None, "it is another rule's"
    assert rig.limits._own.used("k", "requests", "rpm") == 100
    assert await rig.fire(rule, 1) == 1
    assert rig.limits.take_now("k", rule, 1, "place") is None, "places are the counter's"
    rig.clock.advance(0.26)
    assert rig.limits.take_now("k", rule, 1) is None, "it is over"
