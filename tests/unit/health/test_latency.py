"""Times and errors are smoothed, each model's for itself."""

import pytest

from dragoman.core.provider import Candidate, Provider
from dragoman.health import latency
from dragoman.health.health import Health
from dragoman.health.latency import ENOUGH, RECENT, Paces, late_s


@pytest.mark.req("R-PROV-003")
def test_the_first_time_counts_whole_and_later_ones_a_fifth() -> None:
    paces = Paces()
    assert paces.of("p", "m") is None
    paces.note("p", "m", failed=False, first_event_s=1.0)
    paces.note("p", "m", failed=False, first_event_s=2.0)
    found = paces.of("p", "m")
    assert found is not None
    assert found.first_event_s == pytest.approx(1.2)
    assert found.errors == 0
    assert found.requests == 2


def test_failures_raise_the_share_of_errors_and_say_nothing_of_times() -> None:
    paces = Paces()
    paces.note("p", "m", failed=True, first_event_s=None)
    found = paces.of("p", "m")
    assert found is not None
    assert found.errors == pytest.approx(0.2)
    assert found.first_event_s is None
    for _ in range(40):
        paces.note("p", "m", failed=True, first_event_s=None)
    assert 0.99 < found.errors <= 1


def test_models_are_apart_and_the_oldest_is_forgotten(monkeypatch) -> None:
    monkeypatch.setattr(latency, "MOST", 2)
    paces = Paces()
    for model in "abc":
        paces.note("p", model, failed=False, first_event_s=1.0)
    assert paces.of("p", "a") is None
    assert paces.of("p", "c") is not None


def test_streams_and_whole_replies_are_apart() -> None:
    paces = Paces()
    paces.note("p", "m", failed=False, first_event_s=9.0, whole=True)
    paces.note("p", "m", failed=False, first_event_s=0.1)
    paces.note("p", "m", failed=False, first_event_s=0.3)
    whole, stream = paces.of("p", "m", whole=True), paces.of("p", "m")
    assert whole is not None
    assert stream is not None
    assert (whole.first_event_s, whole.at) == (9.0, 1)
    assert (stream.last_s, stream.at) == (0.3, 3)


def paced(times):
    paces = Paces()
    for time in times:
        paces.note("p", "m", failed=False, first_event_s=time)
    found = paces.of("p", "m")
    assert found is not None
    return found


def test_what_is_late_is_the_95th_percentile_of_the_last_times() -> None:
    assert late_s(paced([1.0] * (ENOUGH - 1))) is None
    rising = [1 + at / 100 for at in range(RECENT)]
    assert late_s(paced(rising)) == 1.60
    assert late_s(paced(rising[::-1])) == 1.60
    assert late_s(paced([50.0] * 500 + rising)) == 1.60, "older ones are forgotten"


@pytest.mark.parametrize("slow", [1, 3, 4, 12, 31])
def test_a_share_of_slow_ones_is_late_whatever_its_size(slow) -> None:
    found = late_s(paced([0.05] * (RECENT - slow) + [1.0] * slow))
    assert found is not None
    assert found <= 0.151


def test_an_end_that_was_not_waited_for_counts_as_slow_at_least_so_long() -> None:
    health = Health()
    someone = Candidate(Provider("p", "chat", "http://x.test", {}), "m")
    assert health.late_s(someone, whole=False) is None
    assert not health.has_answered(someone)
    for _ in range(ENOUGH):
        health.outrun(someone, 0.0, 2.0, whole=False)
    assert health.late_s(someone, whole=False) == 2.0
    assert health.late_s(someone, whole=True) is None
