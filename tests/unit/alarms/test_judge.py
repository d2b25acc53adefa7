"""Which figures are trouble."""

import pytest

from dragoman.alarms.judge import (
    Drifting,
    Failing,
    Policy,
    Spending,
    drifting,
    failing,
    too_fast,
)

USD = 10**12
POLICY = Policy(
    velocity=3, velocity_min_pico=USD, error_rate=0.5, error_rate_min_calls=10, drift=0.01
)


@pytest.mark.parametrize(
    ("now", "before", "hours", "told"),
    [
        (30, 100, 10, True),
        (29, 100, 10, False),
        (30, 20, 2, False),  # too little is known of what is usual
        (30, 0, 3, True),
    ],
)
def test_spending_many_times_as_much_as_usual(now, before, hours, told):
    found = [Spending("tenant", "acme", "", now * USD, before * USD, hours)]
    assert bool(too_fast(POLICY, found, 7)) is told


def test_little_money_is_no_trouble_and_zero_switches_it_off():
    found = [Spending("all", "", "", USD - 1, 0, 100)]
    assert too_fast(POLICY, found, 7) == []
    assert too_fast(Policy(velocity=0), [Spending("all", "", "", 99 * USD, 1, 9)], 7) == []


def test_each_hour_is_told_anew_and_each_scope_apart():
    found = [Spending("key", "acme", "k1", 30 * USD, 9 * USD, 3)]
    first, again, next_ = (too_fast(POLICY, found, hour)[0] for hour in (7, 7, 8))
    assert first.key == again.key != next_.key
    other = [Spending("key", "acme", "k2", 30 * USD, 9 * USD, 3)]
    assert too_fast(POLICY, other, 7)[0].key != first.key
    assert first.details["usual_usd"] == "3"
    assert first.details["times"] == 10.0


@pytest.mark.parametrize(
    ("calls", "failed", "level"),
    [(10, 5, "warning"), (10, 4, None), (9, 9, None), (10, 9, "critical")],
)
def test_a_model_too_many_of_whose_calls_fail(calls, failed, level):
    found = failing(POLICY, [Failing("openai", "m", calls, failed)], 3600.0)
    assert [each.level for each in found] == ([] if level is None else [level])


@pytest.mark.req("M18")
@pytest.mark.parametrize(
    ("ours", "theirs", "told"),
    [(100, 102, True), (100, 98, True), (100, 101, False), (0, 5, True), (0, 0, False)],
)
def test_drift_of_more_than_a_hundredth(ours, theirs, told):
    found = [Drifting("openai", "m", "report", ours * USD, theirs * USD)]
    assert bool(drifting(POLICY, found, 9)) is told


def test_of_little_money_no_drift_is_told():
    assert drifting(POLICY, [Drifting("openai", "m", "lookup", 10**9, 2 * 10**9)], 9) == []
