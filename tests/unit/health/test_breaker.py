"""Breakers: closed, open, half open, by the table in their module."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.health.breaker import GAUGE, BreakerPolicy, Breakers

KEY = ("openai", "gpt-4o", "key-1")
OTHER = ("openai", "gpt-4o", "key-2")
pytestmark = pytest.mark.req("R-REL-002", "R-ADD-028")


def opened(at: float = 0.0) -> Breakers:
    breakers = Breakers()
    for _ in range(5):
        breakers.failed(KEY, at)
    return breakers


def test_the_gauge_shows_closed_open_and_half_open() -> None:
    assert GAUGE == {"closed": 0, "open": 1, "half_open": 2}


def test_five_failures_in_a_row_open_it_and_four_do_not() -> None:
    breakers = Breakers()
    for second in range(4):
        breakers.failed(KEY, second)
    assert breakers.state(KEY, 4) == "closed"
    assert breakers.admits(KEY, 4)
    breakers.failed(KEY, 4)
    assert breakers.state(KEY, 4) == "open"
    assert not breakers.admits(KEY, 4)
    assert breakers.states(4) == {KEY: "open"}


def test_a_success_begins_a_new_row() -> None:
    breakers = Breakers()
    for second in range(4):
        breakers.failed(KEY, second)
    breakers.succeeded(KEY, 4)
    for second in range(5, 9):
        breakers.failed(KEY, second)
    assert breakers.state(KEY, 9) == "closed"


def test_a_failure_long_after_the_last_begins_a_new_row() -> None:
    breakers = Breakers()
    for second in range(4):
        breakers.failed(KEY, second)
    breakers.failed(KEY, 3 + 61)
    assert breakers.state(KEY, 64) == "closed"


def test_half_of_twenty_in_ten_seconds_opens_it() -> None:
    breakers = Breakers()
    for number in range(9):
        breakers.succeeded(KEY, number * 0.5)
        breakers.failed(KEY, number * 0.5)
    breakers.succeeded(KEY, 4.5)
    assert breakers.state(KEY, 4.5) == "closed"
    breakers.failed(KEY, 4.6)
    assert breakers.state(KEY, 4.6) == "open"


def test_less_than_half_of_many_leaves_it_closed() -> None:
    breakers = Breakers()
    for number in range(60):
        breakers.succeeded(KEY, number * 0.1)
        breakers.succeeded(KEY, number * 0.1)
        breakers.failed(KEY, number * 0.1)
    assert breakers.state(KEY, 6) == "closed"


def test_what_is_older_than_ten_seconds_no_longer_counts() -> None:
    breakers = Breakers()
    for number in range(9):
        breakers.succeeded(KEY, number * 0.1)
        breakers.failed(KEY, number * 0.1)
    for number in range(5):
        breakers.succeeded(KEY, 20 + number)
        breakers.failed(KEY, 20 + number)
    assert breakers.state(KEY, 25) == "closed"


def test_after_thirty_seconds_one_probe_goes_through() -> None:
    breakers = opened()
    assert breakers.state(KEY, 29.9) == "open"
    assert breakers.state(KEY, 30) == "half_open"
    assert breakers.states(30) == {KEY: "half_open"}
    assert breakers.admits(KEY, 30)
    assert not breakers.admits(KEY, 30)
    assert breakers.state(KEY, 30) == "half_open"


def test_two_probes_that_succeed_close_it() -> None:
    breakers = opened()
    assert breakers.admits(KEY, 30)
    breakers.succeeded(KEY, 31)
    assert breakers.state(KEY, 31) == "half_open"
    assert breakers.admits(KEY, 31)
    breakers.succeeded(KEY, 32)
    assert breakers.state(KEY, 32) == "closed"
    assert breakers.states(32) == {}
    for second in range(4):
        breakers.failed(KEY, 33 + second)
    assert breakers.state(KEY, 37) == "closed"


def test_a_probe_that_fails_opens_it_anew() -> None:
    breakers = opened()
    assert breakers.admits(KEY, 30)
    breakers.failed(KEY, 31)
    assert breakers.state(KEY, 60.9) == "open"
    assert breakers.admits(KEY, 61)


def test_a_probe_that_fails_after_one_that_succeeded_starts_over() -> None:
    breakers = opened()
    breakers.admits(KEY, 30)
    breakers.succeeded(KEY, 30)
    breakers.admits(KEY, 30)
    breakers.failed(KEY, 30)
    breakers.admits(KEY, 60)
    breakers.succeeded(KEY, 60)
    assert breakers.state(KEY, 60) == "half_open"


def test_a_probe_without_a_word_makes_room_for_the_next() -> None:
    breakers = opened()
    assert breakers.admits(KEY, 30)
    breakers.abandoned(KEY)
    assert breakers.admits(KEY, 30)
    breakers.abandoned(OTHER)
    assert breakers.states(30) == {KEY: "half_open"}


def test_a_probe_that_never_comes_back_does_not_keep_the_breaker() -> None:
    breakers = opened()
    assert breakers.admits(KEY, 30)
    assert not breakers.admits(KEY, 59.9)
    assert breakers.admits(KEY, 60)


def test_late_answers_of_requests_from_before_do_not_move_an_open_breaker() -> None:
    breakers = opened()
    breakers.succeeded(KEY, 1)
    breakers.failed(KEY, 2)
    assert breakers.state(KEY, 29) == "open"
    assert breakers.state(KEY, 30) == "half_open"


def test_each_model_and_key_has_its_own() -> None:
    breakers = opened()
    assert breakers.state(OTHER, 1) == "closed"
    assert breakers.admits(OTHER, 1)
    assert breakers.admits(("openai", "gpt-4o-mini", "key-1"), 1)


def test_names_are_foreign_input_and_do_not_fill_the_memory() -> None:
    breakers = Breakers(BreakerPolicy(most=3))
    for _ in range(5):
        breakers.failed(KEY, 0)
    for number in range(10):
        breakers.succeeded(("p", f"m{number}", ""), 0)
    assert len(breakers._cells) == 3
    assert breakers.state(KEY, 1) == "open"


def test_if_all_are_open_the_oldest_goes() -> None:
    breakers = Breakers(BreakerPolicy(most=2, failures=1))
    for number in range(3):
        breakers.failed(("p", f"m{number}", ""), 0)
    assert list(breakers._cells) == [("p", "m1", ""), ("p", "m2", "")]


EVENTS = st.lists(
    st.tuples(st.sampled_from(["ask", "good", "bad", "gone"]), st.floats(0, 20, allow_nan=False)),
    max_size=80,
)


@given(EVENTS)
def test_whatever_happens_open_refuses_half_open_lets_one_through_and_it_comes_back(
    events,
) -> None:
    breakers = Breakers()
    now = 0.0
    for what, pause in events:
        now += pause
        before = breakers.state(KEY, now)
        match what:
            case "ask":
                admitted = breakers.admits(KEY, now)
                assert admitted or before != "closed"
                assert not (admitted and before == "open")
                if admitted and before == "half_open":
                    assert not breakers.admits(KEY, now)
            case "good":
                breakers.succeeded(KEY, now)
                assert breakers.state(KEY, now) in {before, "closed"}
            case "bad":
                breakers.failed(KEY, now)
                assert breakers.state(KEY, now) in {before, "open"}
            case "gone":
                breakers.abandoned(KEY)
                assert breakers.state(KEY, now) == before
    assert breakers.state(KEY, now + 30) != "open"
    assert breakers.admits(KEY, now + 60)


def test_the_table_can_be_read_while_requests_add_to_it():
    class Busy(Breakers):
        """Another request comes by with every look."""

        def state(self, key, now):
            self._cell(("p", f"m{len(self._cells)}", "c"))
            return super().state(key, now)

    busy = Busy()
    for _ in range(5):
        busy.failed(("p", "m", "c"), 1.0)
    assert busy.states(1.0) == {("p", "m", "c"): "open"}


def test_it_knows_when_to_come_back() -> None:
    breakers = opened(10)
    assert breakers.back_in_s(OTHER, 10) == 0
    assert breakers.back_in_s(KEY, 10) == 30
    assert breakers.back_in_s(KEY, 39.5) == 1, "in less than a second nobody need come"
    assert breakers.admits(KEY, 40)
    assert breakers.back_in_s(KEY, 40) == 1, "the probe's end is not known"
