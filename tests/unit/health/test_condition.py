"""Each provider's condition in a word and in numbers."""

import pytest

from dragoman.core.errors import UpstreamError
from dragoman.core.provider import Candidate, Provider
from dragoman.health.condition import Condition, conditions
from dragoman.health.disabling import DisablingPolicy
from dragoman.health.health import Health


def candidate(provider: str, model: str) -> Candidate:
    return Candidate(
        Provider(name=provider, family="chat", base_url="http://h", paths={}), model, known=True
    )


@pytest.mark.req("R-PROV-007", "R-REL-002")
def test_each_provider_is_as_its_worst_part() -> None:
    health = Health(disabling=DisablingPolicy(failures=5, over_s=0))
    error = UpstreamError("server", "x", upstream_status=500)
    for model in ("a", "b"):
        for _ in range(5):
            health.failed(candidate("gone", model), error, 0)
            health.failed(candidate("ill", "a"), error, 0)
    health.failed(candidate("strange", "a"), error, 0)
    found = conditions(health, ["gone", "ill", "well"], 0)
    assert found == {
        "gone": Condition(breaker=1, disabled=True, models_off=2, score=0.0),
        "ill": Condition(breaker=1, disabled=False, models_off=1, score=0.0),
        "well": Condition(breaker=0, disabled=False, models_off=0, score=50.0),
    }
    assert [each.word for each in found.values()] == ["disabled", "degraded", "healthy"]
    later = conditions(health, ["gone"], 30)
    assert later["gone"].breaker == 2
