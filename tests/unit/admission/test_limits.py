"""How a sliding window counts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.admission.limits import SLOTS, Window

pytestmark = pytest.mark.req("R-TIER-001")


def fire(window: Window, limit: int, times: list[float]) -> list[float]:
    """The times at which requests were let through."""
    passed = []
    for now in times:
        window.turn(now)
        if window.used < limit:
            window.count(now)
            passed.append(now)
    return passed


steps = st.lists(
    st.one_of(st.floats(0, 0.5), st.floats(0, 40), st.just(0.0)), min_size=1, max_size=300
)


@given(st.integers(1, 40), steps, st.floats(0, 1e6))
@settings(deadline=None)
def test_no_stretch_of_a_window_holds_more_than_the_limit(limit, waits, start):
    times = []
    for wait in waits:
        start += wait
        times.append(start)
    passed = fire(Window(60.0), limit, times)
    for first, then in zip(passed, passed[limit:], strict=False):
        assert then - first >= 60.0 - 1e-6


@given(st.integers(1, 40), steps)
@settings(deadline=None)
def test_a_request_is_refused_only_if_the_limit_was_used_in_a_window_and_a_slot(limit, waits):
    times, now = [], 1000.0
    for wait in waits:
        now += wait
        times.append(now)
    passed = fire(Window(60.0), limit, times)
    for now in set(times) - set(passed):
        recent = [then for then in passed if now - 60.0 * (1 + 1 / SLOTS) - 1e-6 <= then <= now]
        assert len(recent) >= limit


@pytest.mark.parametrize("offset", [0.0, 13.37, 59.99])
def test_a_hundred_a_minute_lets_a_hundred_through(offset):
    times = [offset + step * 0.01 for step in range(5000)]  # 50 seconds
    assert len(fire(Window(60.0), 100, times)) == 100


def test_a_caller_who_asks_all_the_time_gets_a_hundred_in_every_minute_give_or_take_one():
    passed = fire(Window(60.0), 100, [7.7 + step * 0.05 for step in range(12_000)])
    minutes = [sum(1 for now in passed if 7.7 + m * 60 <= now < 67.7 + m * 60) for m in range(10)]
    assert all(99 <= count <= 101 for count in minutes)


def test_an_even_caller_just_under_the_limit_is_never_refused():
    times = [step * 60.5 / 100 for step in range(2000)]
    assert fire(Window(60.0), 100, times) == times


@given(st.floats(0, 1e6), st.integers(1, 20))
def test_room_comes_exactly_when_it_was_said(start, limit):
    window = Window(60.0)
    fire(window, limit, [start] * limit)
    room = window.room_after(start)
    assert 60.0 <= room <= 60.0 * (1 + 1 / SLOTS) + 1e-6
    assert fire(window, limit, [start + room - 1e-3]) == []
    assert fire(window, limit, [start + room + 1e-6]) != []


def test_an_empty_window_has_room_at_once():
    window = Window(1.0)
    assert (window.room_after(5.0), window.empty_after(5.0), window.used) == (0.0, 0.0, 0)


def test_the_window_is_empty_when_its_newest_request_has_left():
    window = Window(60.0)
    window.count(100.0)
    window.count(130.0)
    assert window.room_after(130.0) == pytest.approx(30.0, abs=0.25)
    assert window.empty_after(130.0) == pytest.approx(60.0, abs=0.25)
    window.turn(130.0 + window.empty_after(130.0) + 1e-6)
    assert window.used == 0


def test_a_clock_that_goes_back_a_little_loses_no_count():
    window = Window(60.0)
    window.count(100.0)
    window.count(99.0)
    window.turn(101.0)
    assert window.used == 2


def test_memory_is_bounded_by_the_slots():
    window = Window(1.0)
    for step in range(20_000):
        window.turn(step / 10_000)
        window.count(step / 10_000)
    assert len(window._slots) <= SLOTS + 1
    assert window.used == sum(count for _, count in window._slots)


def test_what_was_before_the_machine_began_is_counted_too():
    """A monotonic clock may count from the start of the machine, which may be younger than a window."""
    window = Window(86_400.0)
    window.turn(100.0)
    window.count(100.0 - 7200.0, 3)
    window.count(100.0, 2)
    assert window.used == 5
    window.turn(100.0 + 86_400.0 - 7200.0 + 700.0)
    assert window.used == 2
