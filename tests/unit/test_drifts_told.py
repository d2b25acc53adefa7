"""What is told of drift has a bound: models' names may be callers' words (P4)."""

from types import SimpleNamespace

from dragoman.afterwards import MOST_DRIFTS, _drifts
from dragoman.alarms.judge import Drifting


def test_metrics_tell_of_the_worst_and_of_no_more_models_than_so_many():
    found = [
        Drifting("openrouter", f"m{each}", "lookup", 1_000_000, 1_000_000 + each)
        for each in range(MOST_DRIFTS + 50)
    ]
    around = SimpleNamespace(metrics=SimpleNamespace(drift={}))
    _drifts(around, found)
    assert len(around.metrics.drift) == MOST_DRIFTS
    assert ("openrouter", "m0", "lookup") not in around.metrics.drift
    assert ("openrouter", f"m{MOST_DRIFTS + 49}", "lookup") in around.metrics.drift
