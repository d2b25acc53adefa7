"""Times and errors are smoothed, each model's for itself."""

import pytest

from dragoman.health import latency
from dragoman.health.latency import Paces


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
