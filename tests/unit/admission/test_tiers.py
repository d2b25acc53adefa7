"""Which rules hold for a caller."""

from __future__ import annotations

import msgspec
import pytest

from dragoman.admission import tiers as module
from dragoman.admission.rules import NO_RULES
from dragoman.admission.tiers import Tiers, merged
from dragoman.core.call import Caller, Limits
from dragoman.core.errors import HouseError

pytestmark = pytest.mark.req("R-TIER-001", "R-TIER-002")
TEAM = Limits(rpm=600, tpm=1000, concurrency=5, min_provider_score=50)


def caller(tier: str | None = None, **limits) -> Caller:
    return Caller("k", "t", limits=Limits(**limits), tier=tier)


def test_a_keys_own_limits_go_before_its_tiers():
    rules = Tiers({"team": TEAM}).rules(caller("team", rpm=5, tpd=7))
    assert rules.limits == Limits(rpm=5, tpd=7, tpm=1000, concurrency=5, min_provider_score=50)


def test_a_zero_of_its_own_lifts_the_tiers():
    assert merged(Limits(rpm=0), TEAM).rpm == 0
    assert Tiers({"team": TEAM}).rules(caller("team", rpm=0)).requests.bounds == ()


def test_no_tier_is_no_limits():
    assert Tiers({"team": TEAM}).rules(Caller("k", "t")) is NO_RULES


def test_a_tier_that_there_is_not_fails_closed_in_plain_words():
    with pytest.raises(HouseError) as refused:
        Tiers({"team": TEAM}).rules(caller("gold", rpm=5))
    assert (refused.value.status, refused.value.code) == (500, "configuration_error")
    assert "the tier 'gold', which this gateway does not have" in refused.value.message
    assert "[tiers.gold]" in refused.value.message


def test_what_was_worked_out_is_remembered_and_bounded(monkeypatch):
    monkeypatch.setattr(module, "MOST_REMEMBERED", 2)
    found = Tiers({"team": TEAM})
    one = caller("team")
    assert found.rules(one) is found.rules(one)
    other = msgspec.structs.replace(one, tier=None, limits=Limits(rpm=7))
    assert found.rules(other).limits.rpm == 7
    for number in range(1, 6):
        assert found.rules(caller(rpm=number)).limits.rpm == number
    assert len(found._made) <= 2


def test_what_holds_for_a_caller_is_one_piece_for_all_of_its_calls(monkeypatch):
    monkeypatch.setattr(module, "MOST_REMEMBERED", 2)
    found = Tiers({"team": TEAM})
    one = caller("team", max_tokens=9)
    quota = found.quota(one)
    assert found.quota(one) is quota
    assert (quota.rules, quota.tokens_as) == (found.rules(one), "k")
    anew = msgspec.structs.replace(one, counts_since_us=5)
    assert found.quota(anew).tokens_as == "k@5"
    for number in range(1, 6):
        assert found.quota(caller(rpm=number)).rules.limits.rpm == number
    assert len(found._quotas) <= 2
    with pytest.raises(HouseError):
        found.quota(caller("gold"))


def test_callers_without_limits_are_not_remembered():
    found = Tiers({"team": TEAM})
    for number in range(5):
        assert found.quota(Caller(f"k{number}", "t")).rules is NO_RULES
    assert not found._quotas
