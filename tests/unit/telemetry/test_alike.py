"""Requests that are noted and added up later come to the same as those that are counted one by one."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct, structs

from dragoman.core.call import Attempt, Outcome
from dragoman.core.provider import Candidate, Plan, Provider
from dragoman.core.usage import Usage
from dragoman.telemetry.alike import MOST
from dragoman.telemetry.metrics import Metrics
from dragoman.telemetry.numbers import OVERHEAD_BUCKETS, histogram
from finished import finished_call

SECONDS = st.sampled_from([0.0, 0.0001, 0.05, 0.1, 0.1000001, 0.64, 5.12, 99.0, 101.0])
TOKENS = st.none() | st.sampled_from([0, 1, 2, 4, 5, 67108864, 10**9])
USAGES = st.none() | st.builds(Usage, input=TOKENS, output=TOKENS, apart=TOKENS)
CHOSEN = Plan("m", (Candidate(Provider("p", "chat", "http://h", {}), "m"),), strategy="cost")


@st.composite
def calls(draw):
    one = Attempt("a", 1, draw(st.sampled_from(["p", "q"])), "m", None, 0, 0)
    one.label = draw(st.sampled_from(["m", "other"]))
    one.status = draw(st.sampled_from(["complete", "complete", "client_cut", "upstream_error"]))
    one.first_event_s, one.answered_s = draw(st.none() | SECONDS), draw(st.none() | SECONDS)
    one.duration_s = draw(SECONDS | st.none())
    one.usage, one.cost = (
        draw(USAGES),
        draw(st.none() | st.sampled_from([Decimal(0), Decimal("0.25")])),
    )
    outcome = Outcome(attempts=[one], http_status=draw(st.sampled_from([200, 502])))
    outcome.standing, outcome.label_model = one, one.label
    outcome.stream, outcome.paused_s = draw(st.booleans()), draw(SECONDS)
    outcome.plan = draw(st.none() | st.just(CHOSEN))
    outcome.error_code = draw(st.none() | st.none() | st.just("timeout"))
    if draw(st.integers(0, 4)) == 0:
        outcome.attempts = [Attempt("b", 1, "r", "n", None, 0, 0, status="timeout"), one]
    operation = draw(st.sampled_from(["chat", "embeddings"]))
    dialect = draw(st.sampled_from(["chat", "completions"]))
    call = finished_call(outcome, operation=operation, dialect=dialect, read_s=draw(SECONDS))
    return call, draw(SECONDS)


def told(metrics):
    return rounded(metrics.numbers())


def rounded(found):
    if isinstance(found, Struct):
        found = structs.asdict(found)
    if isinstance(found, float):
        return round(found, 6)
    if isinstance(found, dict):
        return {key: rounded(each) for key, each in found.items()}
    return [rounded(each) for each in found] if isinstance(found, list) else found


@given(
    st.lists(calls(), min_size=1, max_size=5),
    st.lists(st.integers(0, 4), max_size=20),
    st.integers(0, 20),
)
def test_what_is_read_is_the_same_as_if_each_were_counted_at_once(some, order, look_after) -> None:
    noted, counted = Metrics(), Metrics()
    for number, place in enumerate(order):
        call, took = some[place % len(some)]
        noted.finished(call, took)
        counted._finished_oddly(call, took)
        if number == look_after:
            assert told(noted) == told(counted)
    assert told(noted) == told(counted)
    assert told(noted) == told(counted), "and nothing is added twice"


@given(st.lists(st.floats(0, 2) | st.sampled_from(OVERHEAD_BUCKETS), max_size=40))
def test_many_observations_fall_where_each_alone_would(values) -> None:
    one, other = histogram(OVERHEAD_BUCKETS), histogram(OVERHEAD_BUCKETS)
    for value in values:
        one.observe(value)
    other.observe_all(values[:7])
    other.observe_all(values[7:])
    assert one.counts == other.counts
    assert one.total == pytest.approx(other.total)


def test_one_that_has_not_ended_costs_those_that_wait_nothing() -> None:
    metrics = Metrics()
    for duration_s in (1.0, None, 1.0):
        one = Attempt("a", 1, "p", "m", None, 0, 0, status="complete", duration_s=duration_s)
        outcome = Outcome(attempts=[one], standing=one, http_status=200, label_model="m")
        metrics.finished(finished_call(outcome), 1.5)
    assert sum(metrics.numbers().served["p", "m"].ends.values()) == 3


def test_few_wait_to_be_added_up() -> None:
    metrics = Metrics()
    one = Attempt("a", 1, "p", "m", None, 0, 0, status="complete", duration_s=1.0)
    outcome = Outcome(attempts=[one], standing=one, http_status=200, label_model="m")
    for _ in range(3 * MOST + 1):
        metrics.finished(finished_call(outcome), 1.5)
    (alike,) = metrics._alike.values()
    assert len(alike.waiting) == 1
    assert sum(metrics.numbers().served["p", "m"].ends.values()) == 3 * MOST + 1
    assert not alike.waiting


def test_a_text_tells_of_its_own_moment() -> None:
    metrics = Metrics()
    metrics.active = 1
    text = metrics.gathered()
    metrics.active = 7
    assert b"dragoman_active_requests 1.0" in text()
