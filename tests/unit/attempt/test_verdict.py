"""What a failed try means, as a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.attempt.allowance import Allowance
from dragoman.attempt.policy import Policy
from dragoman.attempt.verdict import GiveUp, Next, Retry, verdict
from dragoman.core.errors import STATUS, UpstreamError

POLICY = Policy()


def judge(kind, *, retries=0, affordable=True, more=False, dice=0.5, **error):
    return verdict(
        UpstreamError(kind, "x", **error),
        POLICY,
        retries=retries,
        affordable=affordable,
        more=more,
        dice=dice,
    )


@pytest.mark.req("R-REL-003", "R-ADD-027")
@pytest.mark.parametrize(
    "kind",
    [
        "invalid_request",
        "too_large",
        "unprocessable",
        "content_policy",
        "context_length",
        "conflict",
    ],
)
def test_a_wrong_request_is_never_tried_again(kind):
    assert judge(kind, more=True) == GiveUp()


@pytest.mark.parametrize("kind", ["authentication", "billing", "permission", "quota", "not_found"])
def test_what_concerns_the_candidate_moves_to_the_next_one(kind):
    assert judge(kind, more=True) == Next()
    assert judge(kind) == GiveUp()


@pytest.mark.req("R-ADD-044")
@pytest.mark.parametrize("kind", ["server", "overloaded", "upstream", "rate_limit"])
def test_trouble_is_retried_with_full_jitter_and_then_passed_on(kind):
    assert judge(kind, retries=0) == Retry(0.5 * 0.25)
    assert judge(kind, retries=1) == Retry(0.5 * 0.5)
    assert judge(kind, retries=2) == GiveUp()
    assert judge(kind, retries=2, more=True) == Next()


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_refused_credential_of_ours_is_not_tried_twice(status):
    assert judge("upstream", upstream_status=status) == GiveUp()
    assert judge("upstream", upstream_status=status, more=True) == Next()


def test_a_redirect_leads_to_the_same_place_again():
    assert judge("upstream", upstream_status=302) == GiveUp()
    assert judge("upstream", upstream_status=302, more=True) == Next()


def test_a_wrong_certificate_stays_wrong():
    assert judge("upstream", sent="no") == GiveUp()
    assert judge("upstream", sent="no", retryable=True) == Retry(0.125)


@pytest.mark.req("R-REL-001")
def test_who_cannot_be_reached_is_left_at_once_for_another():
    assert judge("upstream", sent="no", retryable=True, more=True) == Next()
    assert judge("timeout", sent="no", retryable=True, more=True) == Next()


def test_without_a_budget_nothing_is_retried():
    assert judge("server", affordable=False) == GiveUp()
    assert judge("server", affordable=False, more=True) == Next()


def test_retry_after_is_honoured_up_to_its_cap():
    assert judge("rate_limit", retry_after_s=7) == Retry(7)
    assert judge("rate_limit", retry_after_s=17) == GiveUp()
    assert judge("rate_limit", retry_after_s=17, more=True) == Next()
    assert judge("rate_limit", retry_after_s=-3) == Retry(0)


def test_a_provider_that_may_still_be_working_is_not_asked_again():
    assert judge("timeout", sent="maybe") == GiveUp()
    assert judge("timeout", sent="maybe", more=True) == Next()
    assert judge("timeout", sent="no", retryable=True) == Retry(0.125)


@given(st.sampled_from(sorted(STATUS)), st.integers(0, 9), st.booleans(), st.booleans())
def test_every_failure_has_a_verdict_and_no_wait_exceeds_the_cap(kind, retries, affordable, more):
    decision = judge(kind, retries=retries, affordable=affordable, more=more, dice=0.999)
    if isinstance(decision, Retry):
        assert 0 <= decision.after_s <= POLICY.retry_after_cap_s
        assert retries < POLICY.max_retries


def test_a_storm_of_failures_costs_a_fifth_more_and_three_a_second():
    budget = Allowance()
    requests = retries = 0
    for tick in range(60_000):
        now = tick / 1000
        if tick % 10 == 0:
            requests += 1
            budget.request(now)
        if budget.afford(now):
            budget.spend()
            retries += 1
    assert retries <= 0.2 * requests + 3 * 60 + 25


def test_a_quiet_provider_may_be_retried_at_once():
    budget = Allowance()
    budget.request(0)
    assert budget.afford(0)
    for _ in range(3):
        budget.spend()
    assert not budget.afford(0.01)
    assert budget.afford(1)
