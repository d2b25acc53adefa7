"""What is only noted and added up later tells at any moment what it would tell had it been added at once."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.call import Attempt
from dragoman.core.provider import Candidate, Credential, Provider
from dragoman.core.secret import Secret
from dragoman.core.usage import Usage
from dragoman.health import breaker, latency, statistics
from dragoman.health.breaker import BreakerPolicy, Breakers
from dragoman.health.health import Health
from dragoman.health.latency import RECENT, Paces
from dragoman.health.smooth import Smoothing
from dragoman.health.statistics import Statistics

SECONDS = st.floats(0.001, 100)
ALPHAS = st.sampled_from([statistics.ALPHA, latency.ALPHA])


def eased(alpha, old, new):
    return new if old is None else old + alpha * (new - old)


@given(ALPHAS, st.none() | SECONDS, st.lists(SECONDS, max_size=1200))
def test_an_average_of_many_is_that_of_one_after_the_other(alpha, old, values) -> None:
    smoothing, expected = Smoothing(alpha), old
    for value in values:
        expected = eased(alpha, expected, value)
        assert smoothing.after_one(None, value) == value
    found = smoothing.after(old, values)
    assert found == (None if expected is None else pytest.approx(expected, rel=1e-9))
    assert smoothing.after_one(old, None) == old
    if old is not None:
        assert smoothing.after_one(old, 1.0) == eased(alpha, old, 1.0)


class Plain:
    """Figures as they are by the book."""

    def __init__(self):
        self.requests = self.failures = 0
        self.errors = self.at = 0.0
        self.averages = {}

    def failed(self, now):
        self.requests, self.failures, self.at = self.requests + 1, self.failures + 1, now
        self.errors += statistics.ALPHA * (1 - self.errors)

    def answered(self, now, **measured):
        self.requests, self.at = self.requests + 1, now
        self.errors -= statistics.ALPHA * self.errors
        for name, new in measured.items():
            if new is not None:
                self.averages[name] = eased(statistics.ALPHA, self.averages.get(name), new)


PLACES = [("p", "m", "k"), ("p", "m", "l"), ("p", "n", "k"), ("q", "m", "k")]
ENDS = st.tuples(
    st.sampled_from(PLACES),
    st.sampled_from(["timed", "timed", "answered", "failed", "look"]),
    st.booleans(),
    SECONDS,
    st.sampled_from([10.0, 50.0]),
    st.integers(1, 40),
)


@given(st.lists(ENDS, max_size=30))
def test_figures_are_those_of_one_request_after_the_other(ends) -> None:
    table, book = Statistics(), {}
    now = 0.0

    def same(place):
        found, plain = table.of(*place), book.get(place)
        if plain is None:
            assert found is None
            return
        assert (found.requests, found.failures, found.at) == (
            plain.requests,
            plain.failures,
            plain.at,
        )
        assert found.new_requests == plain.requests
        assert found.errors == pytest.approx(plain.errors)
        for name in ("first_event_s", "reply_s", "tokens_per_s"):
            said = plain.averages.get(name)
            assert getattr(found, name) == (None if said is None else pytest.approx(said))

    for place, what, whole, took, speed, times in ends:
        if what == "look":
            same(place[: 1 + int(whole)])
            continue
        for _ in range(times):
            now += 1.0
            measured = {"reply_s" if whole else "first_event_s": took, "tokens_per_s": speed}
            said = dict.fromkeys(("first_event_s", "reply_s", "tokens_per_s"), None) | measured
            if what == "timed":
                table.timed(place, now, took, speed, whole=whole, known=True)
            elif what == "failed":
                table.failed(*place, now, known=True)
            else:
                table.answered(*place, now, known=True, **said)
            for spot in (place[:1], place[:2], place):
                plain = book.setdefault(spot, Plain())
                if what == "failed":
                    plain.failed(now)
                else:
                    plain.answered(now, **measured)
    for spot in {spot for place in PLACES for spot in (place[:1], place[:2], place)}:
        same(spot)
    assert all(not figures.timed for figures in table.places.values())


def test_few_wait_for_each_place() -> None:
    table = Statistics()
    for number in range(1000):
        table.timed(("p", f"m{number % 3}", "k"), 1.0, 1.0, 1.0, whole=True, known=True)
        waiting = sum(len(each.timed) for each in table._places.values())
        assert waiting <= 3 * 3 * 64
    assert table.of("p").requests == 1000


@given(st.lists(st.tuples(st.booleans(), SECONDS, st.integers(1, 70)), max_size=12))
def test_paces_are_those_of_one_request_after_the_other(ends) -> None:
    paces = Paces()
    average, errors, recent, over = None, 0.0, deque(maxlen=RECENT), 0
    for failed, took, times in ends:
        for _ in range(times):
            over += 1
            errors += latency.ALPHA * (float(failed) - errors)
            if failed:
                paces.note("p", "m", failed=True, first_event_s=None)
            else:
                paces.answered("p", "m", took, whole=False)
                recent.append(took)
                average = eased(latency.ALPHA, average, took)
    found = paces.of("p", "m")
    if not ends:
        assert found is None
        return
    assert found is not None
    assert (found.requests, found.at) == (over, over)
    assert list(found.recent) == list(recent)
    assert found.errors == pytest.approx(errors)
    if average is not None:
        assert found.last_s == recent[-1]
        assert found.first_event_s == pytest.approx(average)


class Counted(Breakers):
    """Counts each answer at once."""

    def succeeded(self, key, now):
        super().succeeded(key, now)
        cell = self._cells.get(key)
        if cell is not None:
            self._count_answered(cell)


STEPS = st.tuples(
    st.sampled_from(["a", "b"]),
    st.sampled_from(["succeeded", "succeeded", "failed", "failed", "admits", "abandoned"]),
    st.sampled_from([0.0, 0.0, 0.3, 1.0, 4.0, -0.2, 31.0]),
    st.integers(1, 30),
)


@given(st.lists(STEPS, max_size=40))
def test_a_breaker_opens_and_closes_as_if_each_answer_were_counted_at_once(steps) -> None:
    policy = BreakerPolicy(failures=5, window_least=8)
    noted, counted = Breakers(policy), Counted(policy)
    now = 100.0
    for name, what, pause, times in steps:
        key = ("p", name, "")
        for _ in range(times):
            now += pause
            said = [
                getattr(table, what)(key, now) if what != "abandoned" else table.abandoned(key)
                for table in (noted, counted)
            ]
            assert said[0] == said[1]
            assert noted.states(now) == counted.states(now)
            assert set(noted.states(now)) == noted.opened
    for cell in noted._cells.values():
        assert len(cell.answered) < breaker.MOST_NOTED


def test_whoever_is_down_is_asked_about_and_forgotten_with_its_provider() -> None:
    table = Breakers(BreakerPolicy(failures=1, most=2))
    table.failed(("p", "m", ""), 0.0)
    assert table.opened == {("p", "m", "")}
    table.forget("p", 1.0)
    assert not table.opened
    for model in "abc":
        table.failed(("p", model, ""), 0.0)
    assert len(table.opened) == 2


def test_what_was_not_measured_is_counted_all_the_same() -> None:
    health = Health()
    provider = Provider("p", "chat", "http://h", {})
    one = Candidate(provider, "m", Credential("k", Secret("s")), known=True)
    record = Attempt("i", 1, "p", "m", "k", 0.0, 0.0, status="complete", duration_s=2.0)
    for usage, first in ((None, None), (Usage(output=0), 0.5), (Usage(output=8), None)):
        record.usage, record.first_event_s = usage, first
        health.completed(one, record, 1.0)
        health.succeeded(one, 1.0, first)
    found, pace = health.statistics.of("p", "m"), health.paces.of("p", "m")
    assert (found.requests, found.first_event_s, found.tokens_per_s) == (3, 0.5, 4.0)
    assert (pace.requests, pace.first_event_s) == (3, 0.5)
    assert one.place == ("p", "m", "k")
