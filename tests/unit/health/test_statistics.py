"""What is counted of a provider, of a model there, and of a key with it."""

import pytest

from dragoman.health import statistics
from dragoman.health.statistics import ALPHA, Statistics


def answered(table, now=0.0, model="m", credential="k", **measured) -> None:
    said = {"first_event_s": None, "reply_s": None, "tokens_per_s": None, **measured}
    table.answered("p", model, credential, now, known=True, **said)


@pytest.mark.req("R-PROV-003")
def test_one_request_counts_for_provider_model_and_key() -> None:
    table = Statistics()
    answered(table, 1.0, first_event_s=0.5, tokens_per_s=40.0)
    answered(table, 2.0, model="n", first_event_s=1.5, tokens_per_s=80.0)
    table.failed("p", "m", "other", 3.0, known=True)
    provider, model = table.of("p"), table.of("p", "m")
    assert provider is not None
    assert model is not None
    assert (provider.requests, provider.failures) == (3, 1)
    assert provider.first_event_s == pytest.approx(0.5 + ALPHA)
    assert provider.tokens_per_s == pytest.approx(40 + ALPHA * 40)
    assert provider.errors == pytest.approx(ALPHA)
    assert provider.at == 3.0
    assert (model.requests, model.failures, model.first_event_s) == (2, 1, 0.5)
    assert table.of("p", "m", "other").failures == 1
    assert table.of("p", "m", "k").failures == 0
    assert table.of("p", "never") is None


def test_what_was_not_measured_changes_no_average() -> None:
    table = Statistics()
    answered(table, first_event_s=0.5)
    answered(table, reply_s=9.0)
    found = table.of("p", "m", "k")
    assert (found.first_event_s, found.reply_s, found.tokens_per_s) == (0.5, 9.0, None)


def test_errors_fade_with_answers() -> None:
    table = Statistics()
    for _ in range(50):
        table.failed("p", "m", "k", 0.0, known=True)
    assert table.of("p").errors > 0.99
    for _ in range(50):
        answered(table)
    assert table.of("p").errors < 0.01
    assert table.of("p").failures == 50


def test_names_of_callers_do_not_fill_the_memory_and_push_out_no_provider(monkeypatch) -> None:
    monkeypatch.setattr(statistics, "MOST", 5)
    table = Statistics()
    for number in range(20):
        answered(table, model=f"m{number}")
    assert len(table.places) == 5
    assert table.of("p").requests == 20
    assert table.of("p", "m19") is not None
    assert table.of("p", "m0") is None


def test_a_model_that_comes_to_be_known_is_known() -> None:
    table = Statistics()
    table.failed("p", "m", "k", 0.0, known=False)
    assert not table.of("p", "m").known
    answered(table)
    assert table.of("p", "m").known
