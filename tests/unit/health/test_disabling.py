"""Who is disabled, who may probe, and who is enabled again."""

import pytest

from dragoman.health.disabling import Disabling, DisablingPolicy, Switch

REQ = pytest.mark.req("R-PROV-004")


def failing(table, model="m", start=0.0, times=5, step=20.0) -> float:
    """Fails so many times; when the last one was."""
    for number in range(times):
        table.failed("p", model, start + number * step)
    return start + (times - 1) * step


@REQ
def test_five_in_a_row_over_a_minute_disable_a_model_and_fewer_or_quicker_do_not() -> None:
    table = Disabling()
    failing(table, times=4, step=100)
    assert not table.is_disabled("p", "m")
    table = Disabling()
    failing(table, times=50, step=1)
    assert not table.is_disabled("p", "m")
    table.failed("p", "m", 60.0)
    assert table.is_disabled("p", "m")
    assert not table.is_disabled("p")
    assert not table.is_disabled("p", "n")


@REQ
def test_an_answer_in_between_begins_the_row_anew() -> None:
    table = Disabling()
    end = failing(table, times=4)
    table.answered("p", "m", end)
    failing(table, start=end + 1, times=4)
    assert not table.is_disabled("p", "m")


@REQ
def test_two_disabled_models_disable_the_provider_and_one_answer_enables_it() -> None:
    told = []
    table = Disabling(notice=lambda *said: told.append(said))
    failing(table, "a")
    assert table.is_off("p", "b", 81) is None
    now = failing(table, "b")
    assert told == [("p", "a", True), ("p", "b", True), ("p", "", True)]
    assert table.is_off("p", "anything", now) == "provider"
    assert table.models_off("p") == ["a", "b"]
    table.answered("p", "c", now + 1)
    assert table.is_off("p", "c", now + 1) is None
    assert table.is_off("p", "a", now + 1) == "model"
    table.answered("p", "a", now + 2)
    assert table.is_off("p", "a", now + 2) is None
    assert told[3:] == [("p", "", False), ("p", "a", False)]


@REQ
def test_the_number_of_models_is_the_operators() -> None:
    table = Disabling(DisablingPolicy(after_models=1))
    failing(table)
    assert table.is_disabled("p")
    off = Disabling(DisablingPolicy(on=False))
    failing(off, times=100)
    off.heard(("p", "m"), Switch(off=True, at=0, probe_at=1e9))
    assert off.is_off("p", "m", 0) is None


@REQ
def test_once_an_interval_a_request_may_try() -> None:
    table = Disabling()
    now = failing(table)
    assert table.is_off("p", "m", now + 59) == "model"
    assert table.back_in_s("p", "m", now + 59) == pytest.approx(1)
    assert table.is_off("p", "m", now + 60) is None
    table.tried("p", "m", now + 60)
    assert table.is_off("p", "m", now + 61) == "model"
    table.failed("p", "m", now + 62)
    assert table.is_off("p", "m", now + 120) is None
    # One that said nothing was no probe.
    table.tried("p", "m", now + 120)
    table.unheard("p", "m")
    assert table.is_off("p", "m", now + 121) is None
    assert table.is_disabled("p", "m")


def test_of_two_reports_the_later_one_is_true() -> None:
    told = []
    table = Disabling(notice=lambda *said: told.append(said))
    table.heard(("p", "m"), Switch(off=True, at=10, probe_at=70))
    table.heard(("p", "m"), Switch(off=True, at=10, probe_at=90))
    assert table.is_off("p", "m", 80) == "model"
    table.heard(("p", "m"), Switch(off=False, at=5, probe_at=5))
    assert table.is_disabled("p", "m")
    table.heard(("p", "m"), Switch(off=False, at=11, probe_at=11))
    assert not table.is_disabled("p", "m")
    table.forget(("p", "m"))
    assert table.switches == {}
    assert told == [("p", "m", True), ("p", "m", False)]


def test_rows_do_not_fill_the_memory() -> None:
    table = Disabling(DisablingPolicy(most=3))
    for number in range(10):
        table.failed("p", f"m{number}", 0.0)
    assert len(table.rows) == 3
