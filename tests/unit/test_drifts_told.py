"""What is told of drift has a bound: models' names may be callers' words (P4)."""

from types import SimpleNamespace

import pytest

from dragoman.afterwards import MOST_DRIFTS, _drifts, sources_of
from dragoman.alarms.judge import Drifting
from dragoman.catalog.load import load_providers


def told(found, knows=lambda *_: True):
    around = SimpleNamespace(metrics=SimpleNamespace(drift={}))
    _drifts(around, knows, found)
    return around.metrics.drift


def test_metrics_tell_of_the_worst_and_of_no_more_models_than_so_many():
    drift = told(
        [
            Drifting("openrouter", f"m{each}", "lookup", 1_000_000, 1_000_000 + each)
            for each in range(MOST_DRIFTS + 50)
        ]
    )
    assert len(drift) == MOST_DRIFTS
    assert ("openrouter", "m0", "lookup") not in drift
    assert ("openrouter", f"m{MOST_DRIFTS + 49}", "lookup") in drift


@pytest.mark.req("D12")
def test_models_that_the_catalogue_does_not_know_are_one_series_of_their_provider():
    registry = load_providers({"OPENAI_API_KEY": "sk-x" * 20})
    knows = sources_of(lambda: registry, None, None, {}, None).knows
    drift = told(
        [
            Drifting("openai", "gpt-4o-mini", "report", 100, 110),
            Drifting("openai", "a caller's word", "report", 100, 150),
            Drifting("openai", "another", "report", 100, 50),
            Drifting("openai", "another", "lookup", 100, 50),
        ],
        knows,
    )
    assert drift == {
        ("openai", "gpt-4o-mini", "report"): 0.1,
        ("openai", "other", "report"): 0.0,
        ("openai", "other", "lookup"): -0.5,
    }
