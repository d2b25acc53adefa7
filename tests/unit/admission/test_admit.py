"""Whether a caller may make one more request."""

from __future__ import annotations

import pytest

from dragoman.admission.admit import admit, refusal
from dragoman.core.call import Allowed, Caller, Denied, Limits
from dragoman.core.clock import ManualClock

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Store:
    def __init__(self) -> None:
        self.hits: list[tuple[str, Limits, float]] = []

    async def hit(self, key_id: str, limits: Limits, now: float) -> Allowed | Denied:
        self.hits.append((key_id, limits, now))
        return Denied("rpm", 2, 1.5)


@pytest.mark.req("R-TIER-002")
@pytest.mark.parametrize("limits", [Limits(), Limits(0, 0, 0), Limits(rps=0, rpm=None)])
async def test_a_caller_without_limits_passes_unseen_by_the_store(limits):
    store = Store()
    verdict = await admit(Caller("k", "t", limits=limits), store, ManualClock())
    assert (verdict, store.hits) == (Allowed(), [])


@pytest.mark.parametrize("limits", [Limits(rps=1), Limits(rpm=1), Limits(rpd=1)])
async def test_a_caller_with_a_limit_is_counted_by_its_key(limits):
    store = Store()
    clock = ManualClock(monotonic=7.0)
    verdict = await admit(Caller("k", "t", limits=limits), store, clock)
    assert verdict == Denied("rpm", 2, 1.5)
    assert store.hits == [("k", limits, 7.0)]


@pytest.mark.req("R-TIER-006")
async def test_quotas_for_everyone_stand_in_place_of_a_keys_own():
    store = Store()
    admin = Caller("k", "t", role="admin", limits=Limits(rpm=500))
    await admit(admin, store, ManualClock(), everyone=Limits(rpm=2))
    assert store.hits[0][1] == Limits(rpm=2)


@pytest.mark.req("R-TIER-003")
@pytest.mark.parametrize(
    ("name", "code", "span"),
    [
        ("rps", "rps_exceeded", "second"),
        ("rpm", "rpm_exceeded", "minute"),
        ("rpd", "daily_quota_exceeded", "day"),
    ],
)
def test_a_refusal_names_the_limit_and_the_wait(name, code, span):
    error = refusal(Denied(name, 30, 12.3456))
    assert (error.kind, error.status, error.code) == ("rate_limit", 429, code)
    assert error.retry_after_s == 12.3456
    assert f"30 requests per {span}" in error.message
    assert "12.3 seconds" in error.message
