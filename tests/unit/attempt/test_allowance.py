"""The law of tries beyond the first: at most a fifth of requests and three a second, in all (U12)."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.attempt.allowance import SAVED, Allowances
from dragoman.attempt.further import may_try
from scripted import candidate, means_of

KEY = ("p", "m", "")

steps = st.lists(
    st.tuples(
        st.floats(0, 2),
        st.sampled_from("abc"),
        st.integers(0, 4),
    ),
    max_size=200,
)


@pytest.mark.req("R-REL-001")
@given(steps)
def test_whatever_comes_when_the_law_holds_in_all_and_for_each_provider(walk):
    """Each step waits, brings a request to one provider, and wants so many tries more at any of them."""
    allowances = Allowances()
    now = 0.0
    requests = dict.fromkeys("abc", 0)
    further = dict.fromkeys("abc", 0)
    for pause, provider, wanted in walk:
        now += pause
        allowances.request(provider, now)
        requests[provider] += 1
        for turn in range(wanted):
            other = "abc"[("abc".index(provider) + turn) % 3]
            further[other] += allowances.take(other, now)
    bound = 3 * (now + 1)
    assert sum(further.values()) <= 0.2 * sum(requests.values()) + bound + 1e-6
    for provider in "abc":
        assert further[provider] <= 0.2 * requests[provider] + bound + 1e-6


def test_a_quiet_day_saves_up_no_storm():
    allowances = Allowances()
    for second in range(1000):
        allowances.request("p", float(second))
    made = sum(allowances.take("p", 1000.0) for _ in range(1000))
    assert made <= SAVED + 3


def test_a_storm_at_one_provider_leaves_others_their_own():
    allowances = Allowances(share=1.0, floor=3.0)
    for _ in range(10):
        allowances.request("p", 0.0)
    while allowances.take("p", 0.0):
        pass
    allowances.request("q", 0.0)
    assert allowances.afford("q", 0.0)
    assert not allowances.afford("p", 0.0)


def test_a_floor_of_less_than_one_a_second_brings_one_now_and_then():
    allowances = Allowances(share=0.0, floor=0.5)
    made = [allowances.take("p", float(second)) for second in range(20)]
    assert sum(made) in {10, 11}


def test_without_a_share_and_a_floor_there_is_none():
    allowances = Allowances(share=0.0, floor=0.0)
    allowances.request("p", 0.0)
    assert not allowances.take("p", 1000.0)


def empty(means):
    while means.allowances.take("p", means.monotonic()):
        pass


def test_who_is_answering_costs_nothing_and_who_fails_costs():
    async def go():
        means = means_of(None)
        one = candidate()
        empty(means)
        assert not await may_try(one, means, 1e9), "nothing is known of it"
        means.health.succeeded(one, 0.0, 0.1)
        means.allowances.answered(KEY)
        for _ in range(100):
            assert await may_try(one, means, 1e9)
        means.allowances.failed(KEY)
        assert not await may_try(one, means, 1e9)
        means.allowances.answered(KEY)
        assert await may_try(one, means, 1e9)

    asyncio.run(go())


@pytest.mark.parametrize("answers", [True, False])
def test_the_first_word_of_a_standby_is_waited_for(answers):
    async def go():
        means = means_of(None)
        one = candidate()
        empty(means)
        means.health.busy.begun("p", "m")
        waiting = [asyncio.create_task(may_try(one, means, 1e9)) for _ in range(50)]
        await asyncio.sleep(0.01)
        assert not any(task.done() for task in waiting)
        if answers:
            means.health.succeeded(one, 0.0, 0.1)
            means.allowances.answered(KEY)
        else:
            means.allowances.failed(KEY)
        assert await asyncio.gather(*waiting) == [answers] * 50
        means.health.busy.over("p", "m")

    asyncio.run(go())


def test_it_is_not_waited_for_beyond_the_requests_own_time():
    async def go():
        means = means_of(None)
        empty(means)
        means.health.busy.begun("p", "m")
        start = means.monotonic()
        assert not await may_try(candidate(), means, start + 0.05)
        assert means.monotonic() - start < 0.3

    asyncio.run(go())
