"""The score: what raises it, what lowers it, and that nobody begins with a bad one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.health.score import FIRST_EVENT_S, HALF_LIFE_S, NEUTRAL, scaled, score
from dragoman.health.statistics import Figures

NUMBERS = st.floats(0, 1e9)


def figures(**members) -> Figures:
    return Figures(**{"requests": 10, "at": 0.0, **members})


@pytest.mark.req("R-PROV-003", "R-ADD-020")
def test_the_formula_by_hand() -> None:
    assert score(None, 0) == NEUTRAL
    assert score(Figures(), 0) == NEUTRAL
    # Nothing measured: halves count.
    assert score(figures(), 0) == pytest.approx(75)
    assert score(figures(first_event_s=0.2, tokens_per_s=200), 0) == pytest.approx(100)
    assert score(figures(first_event_s=20, tokens_per_s=1), 0) == pytest.approx(50)
    assert score(figures(reply_s=1.0, tokens_per_s=100), 0) == pytest.approx(100)
    assert score(figures(errors=0.5, failures=5), 0) == pytest.approx(75 / 4)
    assert score(figures(errors=0.5, failures=10), 0) == 0
    # The geometric middle of 0.5 s and 15 s is a half.
    middle = (FIRST_EVENT_S[0] * FIRST_EVENT_S[1]) ** 0.5
    assert score(figures(first_event_s=middle, tokens_per_s=200), 0) == pytest.approx(85)


def test_a_score_is_drawn_to_neutral_as_it_grows_old() -> None:
    good = figures(first_event_s=0.1, tokens_per_s=500)
    assert score(good, HALF_LIFE_S) == pytest.approx(75)
    assert score(good, 100 * HALF_LIFE_S) == pytest.approx(NEUTRAL)
    bad = figures(errors=1.0, failures=10)
    assert score(bad, HALF_LIFE_S) == pytest.approx(25)


@given(st.floats(0, 1), NUMBERS, NUMBERS, NUMBERS, st.floats(0, 1e6))
def test_it_is_always_from_0_to_100_and_more_errors_never_raise_it(
    errors, first, reply, speed, now
):
    def of(share: float) -> float:
        members = {"first_event_s": first, "reply_s": reply, "tokens_per_s": speed}
        return score(figures(errors=share, failures=1, **members), now)

    assert 0 <= of(errors) <= 100
    assert of(min(1.0, errors + 0.1)) <= of(errors) + 1e-9


@given(NUMBERS, NUMBERS)
def test_slower_never_scores_better(one, other):
    slow, quick = max(one, other), min(one, other)
    assert scaled(slow, 0.5, 15.0) <= scaled(quick, 0.5, 15.0)
    assert scaled(slow, 100.0, 5.0) >= scaled(quick, 100.0, 5.0)
    assert scaled(None, 0.5, 15.0) is None
