"""A strategy gives an order of all options; what each promises holds over many requests."""

import random
from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.health.latency import Pace, Paces
from dragoman.routing.strategies import (
    Option,
    Turns,
    by_conversation,
    by_cost,
    by_latency,
    by_load,
    by_quality,
    by_weight,
    expected_s,
    in_turn,
)
from sampling import examples

PACES = st.none() | st.builds(
    Pace,
    first_event_s=st.none() | st.floats(0, 100),
    last_s=st.none() | st.floats(0, 100),
    errors=st.floats(0, 1),
    requests=st.integers(0, 9),
    at=st.integers(0, 99),
)
OPTIONS = st.lists(
    st.builds(
        Option,
        name=st.text(max_size=5),
        weight=st.integers(1, 100),
        cost=st.none() | st.decimals(0, 10),
        rank=st.none() | st.integers(0, 100),
        pace=PACES,
        busy=st.integers(0, 3),
    ),
    min_size=1,
    max_size=8,
)


@given(OPTIONS, st.integers(0, 1 << 32), st.binary(max_size=80))
def test_every_strategy_gives_a_permutation(options, seed, conversation) -> None:
    dice = random.Random(seed).random
    orders = [
        by_cost(options),
        by_quality(options),
        by_latency(options, seed),
        by_weight(options, dice),
        by_load(options, dice),
        in_turn(options, seed),
        by_conversation(options, conversation),
    ]
    for order in orders:
        assert sorted(order) == list(range(len(options)))


@given(OPTIONS)
@pytest.mark.req("R-ROUTE-002")
def test_cost_never_puts_a_dearer_one_first_nor_an_unknown_one(options) -> None:
    costs = [options[at].cost for at in by_cost(options)]
    known = [cost for cost in costs if cost is not None]
    assert known == sorted(known)
    assert costs[: len(known)] == known


@pytest.mark.req("R-ROUTE-002")
def test_quality_goes_by_rank_and_between_equals_by_cost() -> None:
    options = [
        Option("unknown", cost=Decimal(0)),
        Option("good", rank=90, cost=Decimal(3)),
        Option("as good", rank=90, cost=Decimal(2)),
        Option("best", rank=91),
    ]
    assert by_quality(options) == [3, 2, 1, 0]


def test_turns_are_taken_by_all_and_by_each_name_for_itself(monkeypatch) -> None:
    turns = Turns()
    options = [Option("a"), Option("b"), Option("c")]
    firsts = [in_turn(options, turns.next("x"))[0] for _ in range(6)]
    assert firsts == [0, 1, 2, 0, 1, 2]
    assert turns.next("y") == 0
    monkeypatch.setattr(Turns, "most", 2)
    assert turns.next("z") == 0
    assert turns.next("x") == 0, "the oldest is forgotten"


def test_the_least_busy_for_its_weight_is_first_and_equals_draw_lots() -> None:
    options = [Option("a", busy=2), Option("b", busy=3, weight=2), Option("c", busy=1, weight=1)]
    assert by_load(options, random.Random(1).random) == [2, 1, 0]
    dice = random.Random(2).random
    firsts = Counter(by_load([Option("a"), Option("b")], dice)[0] for _ in range(1000))
    assert 430 < firsts[0] < 570


@settings(max_examples=examples(20))
@given(st.lists(st.integers(1, 50), min_size=2, max_size=5), st.integers(0, 1 << 32))
def test_weights_are_met(weights, seed) -> None:
    dice = random.Random(seed).random
    options = [Option(str(at), weight=weight) for at, weight in enumerate(weights)]
    rounds = 3000
    firsts = Counter(by_weight(options, dice)[0] for _ in range(rounds))
    for at, weight in enumerate(weights):
        assert abs(firsts[at] / rounds - weight / sum(weights)) < 0.05


@given(st.binary(min_size=1, max_size=32), st.integers(2, 6), st.integers(0, 5))
def test_a_conversation_stays_and_whoever_leaves_moves_only_his_own(key, count, gone) -> None:
    options = [Option(f"p/{at}") for at in range(count)]
    order = by_conversation(options, key)
    assert by_conversation(options, key) == order
    gone %= count
    left = [option for at, option in enumerate(options) if at != gone]
    names = [left[at].name for at in by_conversation(left, key)]
    assert names == [options[at].name for at in order if at != gone]


def test_conversations_are_spread_by_weight() -> None:
    options = [Option("p/a", weight=3), Option("p/b")]
    firsts = Counter(by_conversation(options, b"%d" % number)[0] for number in range(2000))
    assert abs(firsts[0] / 2000 - 0.75) < 0.04


def raced(speeds, requests, paces, dice) -> list[int]:
    """Who was tried first in each request, where each takes its own time, a tenth more or less."""
    names = [str(at) for at in range(len(speeds))]
    firsts = []
    for turn in range(requests):
        options = [Option(name, pace=paces.of("p", name)) for name in names]
        first = by_latency(options, turn)[0]
        firsts.append(first)
        took = speeds[first] * (0.9 + dice() * 0.2)
        paces.note("p", names[first], failed=False, first_event_s=took)
    return firsts


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.req("R-ROUTE-002", "R-ROUTE-008")
def test_latency_finds_the_fastest_of_five_and_follows_a_change(seed) -> None:
    dice = random.Random(seed).random
    paces = Paces()
    firsts = raced([0.5, 0.2, 0.9, 0.05, 0.3], 50, paces, dice)
    assert set(firsts[:5]) == {0, 1, 2, 3, 4}, "each is measured"
    assert Counter(firsts[5:])[3] >= 30
    # Another becomes the fastest, and the fastest stays what it was ...
    firsts = raced([0.01, 0.2, 0.9, 0.05, 0.3], 100, paces, dice)
    assert Counter(firsts[-30:]).most_common(1)[0][0] == 0
    # ... and the fastest becomes slow.
    firsts = raced([2.0, 0.2, 0.9, 0.05, 0.3], 100, paces, dice)
    assert Counter(firsts[20:]).most_common(1)[0][0] == 3
    assert Counter(firsts)[0] < 20


@pytest.mark.req("R-ROUTE-008")
def test_failures_make_slow() -> None:
    quick, steady = Pace(first_event_s=0.1, errors=0.6), Pace(first_event_s=0.2)
    options = [Option("a", pace=quick), Option("b", pace=steady)]
    assert by_latency(options, 0) == [1, 0]
    assert expected_s(Pace(errors=1.0, requests=3)) == float("inf")


def test_who_is_being_measured_is_not_measured_twice_at_once() -> None:
    options = [Option("a", pace=Pace(first_event_s=1.0)), Option("b", busy=1), Option("c")]
    assert by_latency(options, 0)[0] == 2
    options[2] = Option("c", busy=1)
    assert by_latency(options, 0)[0] == 0


def test_of_hundreds_only_some_are_measured_before_the_best_of_them_serves() -> None:
    options = [Option(str(at)) for at in range(100)]
    for at in range(8):
        assert by_latency(options, at)[0] == at
        options[at] = Option(str(at), pace=Pace(first_event_s=9 - at, at=at))
    assert by_latency(options, 8)[0] == 7
    assert by_latency(options, 9)[0] == 8, "the tenth goes to one who never was"
