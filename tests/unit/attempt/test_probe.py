"""A probe of who was down keeps the request that makes it no longer than an answer usually takes."""

import time

import pytest

from dragoman.core.errors import UpstreamError
from dragoman.health.breaker import BreakerPolicy
from dragoman.health.disabling import DisablingPolicy
from dragoman.health.health import Health
from racing import both, ends, furnished, run, slow
from scripted import EVER, candidate

OPEN_S = 0.01


def down(replies, *, known=("p", "q"), disabled=False, **policy):
    """Means whose first candidate was down until a moment ago: the next request is its probe."""
    means, providers = furnished(replies, **policy)
    seen = means.health
    health = Health(BreakerPolicy(failures=1, open_s=OPEN_S), DisablingPolicy(probe_s=OPEN_S))
    health.paces = seen.paces
    for name in {"p", "q"} - set(known):
        health.paces.forget(name)
    means.health = health
    now = time.monotonic()
    if disabled:
        for step in range(5):
            health.disabling.failed("p", "m", now - 100 + 20 * step)
    else:
        health.failed(candidate("p"), UpstreamError("server", "down"), now)
    time.sleep(2 * OPEN_S)
    return means, providers


@both
@pytest.mark.parametrize("disabled", [False, True])
@pytest.mark.req("R-REL-002")
def test_who_hangs_again_costs_its_probe_no_more_than_a_late_answer(stream, disabled):
    means, _ = down(
        {"p": [slow("tardy", EVER, stream=stream)], "q": [slow("fast", 0, stream=stream)]},
        disabled=disabled,
    )
    start = time.monotonic()
    outcome, body = run(means, stream=stream, hedge=None)
    assert time.monotonic() - start < 0.5
    assert b"fast" in body
    assert ends(outcome) == [("p", "hedge_lost"), ("q", "complete")]
    if not disabled:
        assert not means.health.is_well(candidate("p"), time.monotonic()), "it is open anew"
    assert means.health.disabling.is_disabled("p", "m") == disabled


@both
def test_who_is_back_in_time_is_asked_alone(stream):
    means, providers = down({"p": [slow("back", 0, stream=stream)], "q": []})
    outcome, body = run(means, stream=stream, hedge=None)
    assert b"back" in body
    assert providers.asked == ["p"]
    assert ends(outcome) == [("p", "complete")]


@both
def test_who_is_back_and_the_quicker_one_in_the_end_answers(stream):
    means, _ = down(
        {"p": [slow("back", 0.15, stream=stream)], "q": [slow("tardy", EVER, stream=stream)]}
    )
    outcome, body = run(means, stream=stream, hedge=None)
    assert b"back" in body
    assert sorted(ends(outcome)) == [("p", "complete"), ("q", "hedge_lost")]


@both
def test_of_whom_no_times_are_known_the_policy_says_how_long_is_waited(stream):
    means, _ = down(
        {"p": [slow("tardy", EVER, stream=stream)], "q": [slow("fast", 0, stream=stream)]},
        known=("q",),
        probe_s=0.2,
    )
    start = time.monotonic()
    outcome, _ = run(means, stream=stream, hedge=None)
    assert 0.2 <= time.monotonic() - start < 0.6
    assert ends(outcome) == [("p", "hedge_lost"), ("q", "complete")]


@both
@pytest.mark.parametrize("alone", [{"names": ("p",)}, {"attempts": 1}])
def test_where_nobody_else_may_be_tried_it_is_waited_for(stream, alone):
    means, providers = down({"p": [slow("late", 0.2, stream=stream)], "q": []})
    _, body = run(means, stream=stream, hedge=None, **alone)
    assert b"late" in body
    assert providers.asked == ["p"]


def test_a_probe_is_no_hedge_and_takes_nothing_of_what_they_may_cost():
    means, _ = down(
        {"p": [slow("tardy", EVER, stream=False)], "q": [slow("fast", 0, stream=False)]},
        hedge="never",
    )
    while means.hedges.afford(0.0):
        means.hedges.spend()
    outcome, _ = run(means, stream=False, hedge=False)
    assert ends(outcome) == [("p", "hedge_lost"), ("q", "complete")]


def test_who_is_well_is_waited_for_without_company():
    means, providers = furnished({"p": [slow("late", 0.2, stream=False)], "q": []})
    assert run(means, stream=False, hedge=None)[1].count(b"late") == 1
    assert providers.asked == ["p"]
