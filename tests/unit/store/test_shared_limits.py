"""How a process goes by limits that it shares, and by its own part when it cannot."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter as Counted
from contextlib import asynccontextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dragoman.admission.meter import Meter, read_meter, write_meter
from dragoman.admission.ports import Past, Short, Taken
from dragoman.admission.rules import rules_of
from dragoman.core.call import Limits
from dragoman.core.clock import ManualClock
from dragoman.core.errors import HouseError
from dragoman.store.limits import open_limits
from dragoman.store.shared import limits as module
from dragoman.store.shared.corrections import Corrections
from dragoman.store.shared.host import HostCounter
from dragoman.store.shared.leases import lease_size
from dragoman.store.shared.limits import SharedLimits, open_shared
from dragoman.store.shared.ports import Correction, Held, Leased, granted_places
from sampling import examples

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
        self.batches: list[list[Correction]] = []
        self.renewed: list[Held] = []
        self.away = False
        self.slow_s = 0.0

    async def _be(self) -> None:
        if self.slow_s:
            await asyncio.sleep(self.slow_s)
        if self.away:
            raise HouseError("overloaded", "It is away.")

    async def take(
        self, key_id, rule, amount, *, most=0, place=None, places=1, spare=0, past=None, back=()
    ):
        await self._be()
        self.asked.append((amount, most))
        meter = self.meters.setdefault(f"{key_id}:{rule.unit}", Meter())
        for name in back:
            self.left(meter, name, 0)
        found = meter.take(rule, amount, self.clock.monotonic(), most=most, place=place, past=past)
        if place is None or not isinstance(found, Taken):
            return found
        granted = granted_places(rule.places - len(meter.places) + 1, places, spare)
        meter.places |= {f"{place}#{number}": float("inf") for number in range(1, granted)}
        return Leased(found.at, found.amount, found.gauge, found.which, granted)

    async def correct(self, corrections):
        self.batches.append(list(corrections))
        for each in corrections:
            await self._be()
            meter = self.meters.setdefault(f"{each.key_id}:{each.unit}", Meter())
            for at, change in each.changes:
                meter.correct(Taken(at, 0), change)
            for name, number in each.places:
                self.left(meter, name, number)

    def left(self, meter: Meter, name: str, number: int) -> None:
        for place in list(meter.places):
            first, _, more = place.partition("#")
            if first == name and int(more or 0) >= number:
                del meter.places[place]

    def place_names(self, meter: str) -> list[str]:
        return list(self.meters[meter].places) if meter in self.meters else []

    async def renew(self, held):
        await self._be()
        self.renewed += held

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
    assert counted(rig, "requests", "rpm") == 100
    rig.clock.advance(0.26)
    await rig.fire(rule, 1)
    await sent(rig)
    assert counted(rig, "requests", "rpm") == 101
    assert len(rig.counter.asked) == 2


async def test_the_rest_is_given_back_even_where_nobody_comes_any_more(rig):
    await rig.fire(requests(rpm=10_000), 1)
    await asyncio.sleep(0.3)
    await sent(rig)
    assert counted(rig, "requests", "rpm") == 1


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
    used = counted(rig, "tokens", "tpm")
    assert used == 29_710


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
    windows = rig.counter.meters["k:requests"].windows
    assert windows["rpm"].used == 25
    assert windows["rps"].used == 10  # of the last second there was nothing to tell


async def test_an_allowance_knows_what_was_let_through_alone(rig, monkeypatch):
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    rule = tokens(max_tokens=1000)
    past = Past(total=0)
    assert isinstance(await rig.limits.take("k", rule, 100, past=past), Taken)
    async with open_shared(rig.limits):
        rig.counter.away = True
        assert isinstance(await rig.limits.take("k", rule, 300, past=past), Taken)
        rig.counter.away = False
        await asyncio.sleep(0.1)
        assert rig.limits.state == "shared"
    found = await rig.limits.take("k", rule, 700)
    assert isinstance(found, Short)
    assert found.free == 600


async def test_what_is_held_is_renewed(rig, monkeypatch):
    monkeypatch.setattr(module, "BEAT_S", 0.01)
    await rig.limits.take("k", requests(concurrency=9), 1, place="a")
    async with open_shared(rig.limits):
        await asyncio.sleep(0.05)
        rig.clock.advance(module.PLACE_S)
        await asyncio.sleep(0.05)
    assert Held("k", "a") in rig.counter.renewed


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


# ---------------------------------------------------------------- what is set right, in batches


def counted(rig, unit, window):
    """What stands in a window, as it would be written."""
    return read_meter(write_meter(rig.counter.meters[f"k:{unit}"])).windows[window].used


async def calls_in_a_loop(rig, rules, times, at_once):
    """Callers that each ask again as soon as they have been answered; who was refused, by which limit."""
    refused, left, names = Counted(), times, itertools.count()

    async def one():
        nonlocal left
        while left > 0:
            left -= 1
            place = f"p{next(names)}"
            found = await rig.limits.take("k", rules.requests, 1, place=place)
            if isinstance(found, Short):
                refused[found.name] += 1
                continue
            used = await rig.limits.take("k", rules.tokens, 500)
            await asyncio.sleep(0)
            rig.limits.correct("k", rules.tokens, used, -400)
            rig.limits.leave("k", rules.requests, place)

    await asyncio.gather(*(one() for _ in range(at_once)))
    return refused


@pytest.mark.parametrize("rpm", [900_000, 2_000_000_000])
@pytest.mark.parametrize("places", [8, 1000])
async def test_a_slow_counter_keeps_nobody_s_places(rig, places, rpm):
    rules = rules_of(Limits(rpm=rpm, tpm=999_999, concurrency=places))
    rig.counter.slow_s = 0.002
    assert await calls_in_a_loop(rig, rules, 2000, 8) == {}
    await rig.limits.close()
    await sent(rig)
    assert rig.counter.meters["k:requests"].places == {}
    assert counted(rig, "tokens", "tpm") == 2000 * 100


async def test_a_batch_is_one_correction_for_a_key_and_unit(rig):
    rules = rules_of(Limits(rpm=900, tpm=900, concurrency=9))
    taken = []
    for number in range(5):
        await rig.limits.take("k", rules.requests, 1, place=f"p{number}")
        taken.append(await rig.limits.take("k", rules.tokens, 100))
    for number, each in enumerate(taken):
        rig.limits.leave("k", rules.requests, f"p{number}")
        rig.limits.correct("k", rules.tokens, each, -90)
    await sent(rig)
    assert len(rig.counter.batches) == 1
    found = {each.unit: each for each in rig.counter.batches[0]}
    assert dict(found["requests"].places) == {f"p{number}": 0 for number in range(5)}
    assert [change for _, change in found["tokens"].changes] == [-5 * 90]


async def test_what_was_given_back_goes_with_the_next_request(rig):
    rule = requests(concurrency=1)
    for number in range(20):
        assert isinstance(await rig.limits.take("k", rule, 1, place=f"p{number}"), Taken)
        rig.limits.leave("k", rule, f"p{number}")
    assert rig.counter.batches == []
    await sent(rig)
    assert rig.counter.meters["k:requests"].places == {}


async def test_changes_are_kept_up_to_a_bound_and_places_all_of_them(rig, monkeypatch):
    monkeypatch.setattr("dragoman.store.shared.corrections.MOST_CHANGES", 10)
    waiting = Corrections(rig.tell)
    for number in range(50):
        waiting.change("k", "tokens", number * 1.0, -1)
        waiting.change("k", "tokens", 0.0, -1)
        waiting.place("k", "tokens", f"p{number}")
    assert [what for what, _ in rig.told] == [
        "limits are not set right any more by what calls did use"
    ]
    (sent_now,) = waiting.batch(5)
    assert len(sent_now.changes) == 10
    assert sent_now.changes[0] == (0.0, -51)
    assert len(sent_now.places) == 50
    waiting.failed()
    waiting.change("k", "tokens", 7.0, 3)
    (again,) = waiting.batch(5)
    assert again.changes == ((7.0, 3),)
    assert len(again.places) == 50
    waiting.arrived()
    assert not waiting


async def test_what_came_to_less_goes_back_into_its_lease(rig):
    rule = tokens(tpm=1_000_000)
    first = await rig.limits.take("k", rule, 4000)
    for _ in range(50):
        rig.limits.correct("k", rule, first, -3900)
        first = await rig.limits.take("k", rule, 4000)
        assert isinstance(first, Taken)
    rig.limits.correct("k", rule, first, 700)
    assert len(rig.counter.asked) == 1
    assert rig.counter.batches == []
    await rig.limits.close()
    await sent(rig)
    assert counted(rig, "tokens", "tpm") == 50 * 100 + 4700


async def test_what_came_to_less_after_its_lease_is_told(rig):
    rule = tokens(tpm=1_000_000)
    taken = await rig.limits.take("k", rule, 4000)
    rig.clock.advance(0.3)
    await rig.limits.take("k", rule, 10)
    rig.limits.correct("k", rule, taken, -3900)
    await rig.limits.close()
    await sent(rig)
    assert counted(rig, "tokens", "tpm") == 110


# ---------------------------------------------------------------- places in leases


async def test_many_places_are_taken_some_at_a_time(rig):
    rule = requests(rpm=2_000_000, concurrency=5000)
    for number in range(40):
        assert isinstance(await rig.limits.take("k", rule, 1, place=f"p{number}"), Taken)
    assert len(rig.counter.asked) == 2  # requests, and places
    assert len(rig.counter.meters["k:requests"].places) == 51
    for number in range(40):
        rig.limits.leave("k", rule, f"p{number}")
    await sent(rig)
    assert len(rig.counter.meters["k:requests"].places) == 50
    await asyncio.sleep(0.3)
    await sent(rig)
    assert rig.counter.meters["k:requests"].places == {}
    assert rig.limits._places._by_key == {}


async def test_many_who_come_at_once_take_their_places_together(rig):
    rule = requests(concurrency=1000)
    rig.counter.slow_s = 0.01
    found = await asyncio.gather(
        *(rig.limits.take("k", rule, 1, place=f"p{number}") for number in range(1200))
    )
    assert sum(isinstance(each, Taken) for each in found) == 1000
    assert {each.name for each in found if isinstance(each, Short)} == {"concurrency"}
    assert len(rig.counter.asked) <= 4
    rig.limits.leave("k", rule, "p0")
    assert isinstance(await rig.limits.take("k", rule, 1, place="again"), Taken)


async def test_who_leaves_before_a_place_is_found_leaves_nothing_behind(rig):
    rule = requests(rpm=2_000_000, concurrency=1000)
    await rig.limits.take("k", rule, 1)
    rig.counter.slow_s = 0.05
    asking = asyncio.create_task(rig.limits.take("k", rule, 1, place="a"))
    await asyncio.sleep(0.01)
    asking.cancel()
    await asyncio.wait({asking})
    await rig.limits.close()
    await sent(rig)
    assert rig.counter.meters["k:requests"].places == {}
    assert counted(rig, "requests", "rpm") == 1


async def test_a_place_that_is_refused_counts_no_request_of_a_lease(rig):
    rule = requests(rpm=2_000_000, concurrency=1000)
    other = SharedLimits(rig.counter, rig.clock, rig.tell, 4)
    for number in range(1000):
        assert isinstance(await other.take("k", rule, 1, place=f"o{number}"), Taken)
    for number in range(5):
        found = await rig.limits.take("k", rule, 1, place=f"p{number}")
        assert (found.name, found.limit) == ("concurrency", 1000)
    for each in (rig.limits, other):
        await each.close()
    assert counted(rig, "requests", "rpm") == 1000


async def test_nobody_is_starved_by_places_that_others_hold_to_spare(rig):
    rule = requests(concurrency=1000)
    other = SharedLimits(rig.counter, rig.clock, rig.tell, 4)
    for number in range(1000):
        await other.take("k", rule, 1, place=f"o{number}")
    assert isinstance(await rig.limits.take("k", rule, 1, place="a"), Short)
    for number in range(3):
        other.leave("k", rule, f"o{number}")
    await asyncio.sleep(0.3)
    for name in "abc":
        assert isinstance(await rig.limits.take("k", rule, 1, place=name), Taken)
    assert isinstance(await rig.limits.take("k", rule, 1, place="d"), Short)
    await other.close()


async def test_leased_places_are_renewed_while_they_are_held(rig, monkeypatch):
    monkeypatch.setattr(module, "BEAT_S", 0.01)
    await rig.limits.take("k", requests(concurrency=2000), 1, place="a")
    async with open_shared(rig.limits):
        await asyncio.sleep(0.02)
        rig.counter.renewed.clear()
        rig.clock.advance(module.PLACE_S)
        await asyncio.sleep(0.05)
        assert [(each.key_id, each.number) for each in rig.counter.renewed][:1] == [("k", 21)]


async def test_places_outlive_a_counter_that_was_away(rig, monkeypatch):
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    rule = requests(rpm=2_000_000, concurrency=1000)
    async with open_shared(rig.limits):
        for name in "abc":
            await rig.limits.take("k", rule, 1, place=name)
        rig.counter.away = True
        await rig.limits.take("k", requests(rpm=5), 1)
        assert rig.limits.state == "alone"
        assert rig.limits.take_now("k", rule, 1, "d") is None
        rig.limits.leave("k", rule, "a")
        await asyncio.sleep(0.3)
        rig.counter.meters.clear()
        rig.counter.away = False
        await asyncio.sleep(0.05)
        assert rig.limits.state == "shared"
        assert [each.number for each in rig.counter.renewed[-1:]] == [2]


@pytest.mark.parametrize("limits", [{"rpm": 2_000_000}, {}])
async def test_a_lease_at_hand_gives_nothing_once_the_counter_has_failed(rig, limits):
    rule = requests(concurrency=2000, **limits)
    await rig.limits.take("k", rule, 1, place="a")
    lease = rig.limits.tally("k", "requests")
    assert lease.take_now(rule, 1, rig.clock.monotonic(), "b")
    rig.counter.away = True
    await rig.limits.take("k", requests(rpm=5), 1)
    assert rig.limits.state == "alone"
    assert rig.limits.tally("k", "requests") is None
    assert lease.take_now(rule, 1, rig.clock.monotonic(), "c") is None


async def test_a_lease_at_hand_gives_nothing_once_its_rule_is_another(rig):
    rule = requests(concurrency=2000)
    await rig.limits.take("k", rule, 1, place="a")
    lease = rig.limits.tally("k", "requests")
    await rig.limits.take("k", requests(concurrency=3000), 1, place="b")
    assert lease.take_now(rule, 1, rig.clock.monotonic(), "c") is None


async def test_a_lease_that_was_forgotten_while_the_counter_was_asked_is_given_back(rig):
    rule = requests(rpm=2_000_000)
    rig.counter.slow_s = 0.03
    asking = asyncio.create_task(rig.limits.take("k", rule, 1))
    await asyncio.sleep(0.01)
    lease = rig.limits.tally("k", "requests")
    rig.limits._forget_leases()
    assert isinstance(await asking, Taken)
    assert lease.take_now(rule, 1, rig.clock.monotonic(), None) is None
    await sent(rig)
    assert counted(rig, "requests", "rpm") == 1


@pytest.mark.parametrize("limits", [{"rpm": 2_000_000}, {}])
async def test_those_who_wait_for_a_counter_that_hangs_wait_once(rig, monkeypatch, limits):
    for where in ("limits", "places"):
        monkeypatch.setattr(f"dragoman.store.shared.{where}.PATIENCE_S", 0.05)
    rig.counter.slow_s = 5.0
    began = asyncio.get_running_loop().time()
    rule = requests(concurrency=2000, **limits)
    found = await asyncio.gather(
        *(rig.limits.take("k", rule, 1, place=f"p{number}") for number in range(50))
    )
    assert all(isinstance(each, Taken) for each in found)
    assert asyncio.get_running_loop().time() - began < 0.2


async def test_what_is_taken_now_is_what_would_be_taken(rig):
    wide, narrow = requests(rpm=10_000, concurrency=2000), requests(rpm=50, concurrency=2000)
    assert rig.limits.take_now("k", wide, 1, "a") is None
    waited = await rig.limits.take("k", wide, 1, place="a")
    assert rig.limits.take_now("k", wide, 1, "b") == waited
    assert rig.limits.take_now("k", requests(rpm=10_000, concurrency=2000), 1, "c") is None
    assert rig.limits.take_now("k", wide, 10_000, "c") is None
    assert rig.limits.take_now("k", narrow, 1, "c") is None
    rig.clock.advance(0.3)
    assert rig.limits.take_now("k", wide, 1, "c") is None
    assert await rig.limits.take("k", wide, 1, place="c")
    for place in "abc":
        rig.limits.leave("k", wide, place)
    await rig.limits.close()
    await sent(rig)
    assert rig.counter.meters["k:requests"].places == {}
    assert counted(rig, "requests", "rpm") == 3


steps = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from(["take", "take", "take", "leave", "leave", "settle", "wait", "idle"]),
        st.integers(1, 400),
    ),
    max_size=60,
)


@given(steps)
@settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))
def test_processes_never_hold_more_than_there_is(steps):
    asyncio.run(hold_together(steps))


async def hold_together(steps):
    rules = rules_of(Limits(rpm=1500, tpm=20_000, concurrency=1000))
    rig = Rig()
    both = [SharedLimits(rig.counter, rig.clock, rig.tell, 2) for _ in range(2)]
    held, used, names = ([], []), ([], []), itertools.count()
    passed = []
    for which, what, number in steps:
        limits = both[which]
        if what == "take":
            for _ in range(number):
                place = f"p{next(names)}"
                if isinstance(await limits.take("k", rules.requests, 1, place=place), Taken):
                    held[which].append(place)
                    passed.append(rig.clock.monotonic())
                found = await limits.take("k", rules.tokens, 100)
                if isinstance(found, Taken):
                    used[which].append(found)
        elif what == "leave":
            for _ in range(min(number, len(held[which]))):
                limits.leave("k", rules.requests, held[which].pop())
        elif what == "settle":
            for _ in range(min(number, len(used[which]))):
                limits.correct("k", rules.tokens, used[which].pop(), -90)
        elif what == "wait":
            rig.clock.advance(number / 10)
        else:
            for places in tuple(limits._places._by_key.values()):
                limits._places.idle(places)
            while limits._sending is not None:
                await asyncio.wait({limits._sending})
        assert sum(map(len, held)) <= len(rig.counter.place_names("k:requests")) <= 1000
        for at in passed[-1:]:
            assert sum(at - 59.7 < when <= at for when in passed) <= 1500
    for limits in both:
        await limits.close()
        assert sum(len(each.holders) for each in limits._places._by_key.values()) == len(
            held[both.index(limits)]
        )
    assert rig.told == []


async def test_a_lease_that_comes_too_late_is_given_back(rig, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_S", 0.02)
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    rule = requests(rpm=1_000_000)
    async with open_shared(rig.limits):
        await asyncio.sleep(0.01)
        rig.counter.slow_s = 0.05
        leaving = asyncio.create_task(rig.limits.take("k", rule, 1))
        await asyncio.sleep(0.01)
        leaving.cancel()
        await asyncio.sleep(0.06)
        assert counted(rig, "requests", "rpm") == 10_000
        late = asyncio.create_task(rig.limits.take("k", rule, 1))
        await asyncio.sleep(0.06)
        assert isinstance(late.result(), Taken)
        assert rig.limits.state == "alone"
        rig.counter.slow_s = 0.0
        await asyncio.sleep(0.1)
        await sent(rig)
    assert rig.limits.state == "shared"
    assert counted(rig, "requests", "rpm") == 1


async def test_a_lease_in_use_is_followed_by_the_next_and_nobody_waits(rig):
    rule = requests(rpm=1_000_000, concurrency=1000)
    await rig.limits.take("k", rule, 1, place="first")
    began, missed = asyncio.get_running_loop().time(), 0
    while asyncio.get_running_loop().time() - began < 1.1:
        for number in range(8):
            missed += rig.limits.take_now("k", rule, 1, f"p{number}") is None
        await asyncio.sleep(0.002)
        for number in range(8):
            rig.limits.leave("k", rule, f"p{number}")
    assert missed == 0
    assert 5 <= len(rig.counter.asked) <= 8, "one for the places"
    rig.limits.leave("k", rule, "first")
    await asyncio.sleep(0.35)
    await sent(rig)
    passed = counted(rig, "requests", "rpm")
    assert passed == rig.limits._own.used("k", "requests", "rpm")
    assert rig.counter.meters["k:requests"].places == {}
    asked = len(rig.counter.asked)
    await asyncio.sleep(0.3)
    assert len(rig.counter.asked) == asked, "nobody uses it any more"


@pytest.mark.parametrize("rule", [requests(rpm=5), requests(rpm=5000), requests(concurrency=1000)])
async def test_a_process_that_was_held_up_itself_does_not_blame_the_counter(rig, rule):
    rig.counter.slow_s = 0.02
    asking = asyncio.create_task(rig.limits.take("k", rule, 1, place="a"))
    await asyncio.sleep(0.01)
    time.sleep(2 * module.PATIENCE_S)  # noqa: ASYNC251  nobody else has a turn
    assert isinstance(await asking, Taken)
    assert rig.limits.state == "shared"
