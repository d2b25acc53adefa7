"""Counters: their names, and labels that no caller can multiply."""

from decimal import Decimal

import pytest

from dragoman.core.call import STALE, Attempt, Outcome
from dragoman.core.usage import Usage
from dragoman.telemetry.metrics import Metrics
from finished import END, finished_call


def outcome(model="gpt-4o", **attempt):
    tried = Attempt(
        id="a", number=1, provider="openai", model=model, credential=None, started=0, wall=0
    )
    for name, value in attempt.items():
        setattr(tried, name, value)
    tried.label = model
    return Outcome(attempts=[tried], http_status=200, label_model=model)


@pytest.mark.req("R-OBS-001", "R-ADD-034")
def test_a_request_counts_under_its_names():
    metrics = Metrics()
    usage = Usage(input=3, output=5)
    done = outcome(usage=usage, cost=Decimal("0.5"), first_event_s=0.2, status="complete")
    metrics.finished(finished_call(done), 1.5)
    metrics.finished(finished_call(done), 1.5)
    text = metrics.text().decode()
    labels = 'model="gpt-4o",provider="openai"'
    assert f'dragoman_requests_total{{{END},{labels},status="200",streaming="false"}} 2.0' in text
    assert f'dragoman_tokens_total{{{labels},type="input"}} 6.0' in text
    assert f'dragoman_tokens_total{{{labels},type="output"}} 10.0' in text
    assert f"dragoman_cost_usd_total{{{labels}}} 1.0" in text
    assert f'dragoman_time_to_first_token_seconds_bucket{{le="0.25",{labels}}} 2.0' in text
    assert 'dragoman_attempts_total{outcome="complete",provider="openai"} 2.0' in text


def test_what_other_tries_have_cost_counts_where_it_was_spent():
    metrics = Metrics()
    done = outcome(usage=Usage(input=3, output=5), cost=Decimal("0.5"), status="complete")
    for provider, status in (("openai", "upstream_cut"), ("groq", "hedge_lost")):
        other = Attempt("b", 1, provider, "m", None, 0, 0, status=status, label="other")
        other.usage, other.cost = Usage(input=2, output=1), Decimal("0.25")
        done.attempts.insert(0, other)
    done.attempts.insert(0, Attempt("c", 1, "xai", "m", None, 0, 0, status="upstream_error"))
    metrics.finished(finished_call(done), 1.5)
    text = metrics.text().decode()
    assert 'dragoman_cost_usd_total{model="gpt-4o",provider="openai"} 0.5' in text
    for provider in ("openai", "groq"):
        labels = f'model="other",provider="{provider}"'
        assert f"dragoman_cost_usd_total{{{labels}}} 0.25" in text
        assert f'dragoman_tokens_total{{{labels},type="input"}} 2.0' in text
    assert 'provider="xai"' not in text.split("dragoman_cost_usd_total")[1].split("# HELP")[0]


@pytest.mark.req("D25", "R-OBS-001")
def test_estimates_are_counted_apart_from_what_was_told():
    metrics = Metrics()
    told = {"usage": Usage(input=3, output=5), "cost": Decimal("0.5"), "cost_from": "priced"}
    guessed = {"cost": Decimal("0.25"), "cost_from": "estimated", "tokens_from": "estimated"}
    for attempt in (told, guessed, guessed):
        done = outcome(**attempt, duration_s=0.1, status="complete")
        metrics.finished(finished_call(done), 1.5)
    # A try that did not answer is no other case.
    done = outcome(**told, duration_s=0.1, status="complete")
    other = Attempt("b", 1, "groq", "m", None, 0, 0, status="client_cut", label="other")
    other.cost, other.cost_from = Decimal("0.125"), "estimated"
    done.attempts.insert(0, other)
    metrics.finished(finished_call(done), 1.5)
    text = metrics.text().decode()
    labels = 'model="gpt-4o",provider="openai"'
    assert f"dragoman_cost_usd_total{{{labels}}} 1.0" in text
    assert f"dragoman_estimated_cost_usd_total{{{labels}}} 0.5" in text
    labels = 'model="other",provider="groq"'
    assert f"dragoman_cost_usd_total{{{labels}}} 0.0" in text
    assert f"dragoman_estimated_cost_usd_total{{{labels}}} 0.125" in text
    summed = metrics.numbers()
    summed.add(Metrics().numbers(), alive=True)
    assert summed.served["openai", "gpt-4o"].estimated == 0.5


@pytest.mark.req("U15")
def test_a_stale_connection_says_nothing_of_a_providers_health():
    metrics = Metrics()
    done = outcome(duration_s=0.1, status="complete")
    stale = Attempt(
        "b", 1, "openai", "gpt-4o", None, 0, 0, status="upstream_error", label="gpt-4o"
    )
    stale.error_code, stale.duration_s = STALE, 0.1
    done.attempts.insert(0, stale)
    metrics.finished(finished_call(done), 1.5)
    text = metrics.text().decode()
    assert 'dragoman_attempts_total{outcome="stale_connection",provider="openai"} 1.0' in text
    assert 'dragoman_health_check_total{provider="openai",result="ok"} 1.0' in text
    assert 'result="failed"' not in text


def test_a_refused_request_counts_without_a_provider():
    metrics = Metrics()
    metrics.finished(finished_call(Outcome(http_status=401, error_code="invalid_api_key")), 0.01)
    metrics.limited("rpm")
    text = metrics.text().decode()
    assert (
        'dragoman_requests_total{endpoint="/v1/chat/completions",error_type="invalid_api_key",'
        'model="none",provider="none",status="401",streaming="false"} 1.0'
    ) in text
    assert 'dragoman_rate_limit_hits_total{limit="rpm"} 1.0' in text


def test_unknown_usage_and_cost_add_nothing():
    metrics = Metrics()
    metrics.finished(finished_call(outcome()), 0.1)
    text = metrics.text().decode()
    assert 'dragoman_tokens_total{model="gpt-4o",provider="openai",type="input"} 0.0' in text
    assert 'dragoman_cost_usd_total{model="gpt-4o",provider="openai"} 0.0' in text
    assert (
        'dragoman_time_to_first_token_seconds_count{model="gpt-4o",provider="openai"} 0.0' in text
    )


def test_gauges_show_what_is_now():
    metrics = Metrics()
    metrics.active += 2
    metrics.sockets += 3
    metrics.breakers = {"openai": 1}
    metrics.usage_failures += 1
    metrics.usage_refused += 2
    text = metrics.text().decode()
    assert "dragoman_active_requests 2.0" in text
    assert "dragoman_websocket_connections 3.0" in text
    assert 'dragoman_circuit_breaker_state{provider="openai"} 1.0' in text
    assert "dragoman_usage_write_failures_total 1.0" in text
    assert "dragoman_usage_refused_total 2.0" in text


@pytest.mark.req("R-TIER-008")
def test_budgets_are_summed_over_workers_where_they_are_counts_and_not_where_they_are_states():
    from dragoman.telemetry.numbers import Numbers, Standing

    metrics = Metrics()
    metrics.alarmed("team", "month", 800_000)
    metrics.budget_refusals = {"team": 2}
    metrics.budgets = {("team", "month"): Standing(5, 10**12, 3 * 10**11, 0)}
    text = metrics.text().decode()
    assert 'dragoman_budget_alerts_total{budget="team",share="0.8",window="month"} 1.0' in text
    assert 'dragoman_budget_refusals_total{budget="team"} 2.0' in text
    assert 'dragoman_budget_spent_usd{budget="team",window="month"} 0.3' in text
    assert 'dragoman_budget_limit_usd{budget="team",window="month"} 1.0' in text
    more = Numbers(
        budget_refusals={"team": 1},
        budgets={
            ("team", "month"): Standing(5, 10**12, 4 * 10**11, 7),
            ("team", "day"): Standing(9, 1, 1, 0),
        },
    )
    more.add(metrics.numbers(), alive=True)
    assert more.budget_refusals == {"team": 3}
    assert more.budgets["team", "month"].spent == 4 * 10**11
    older = Numbers(budgets={("team", "day"): Standing(8, 1, 99, 0)})
    older.add(more, alive=False)
    assert older.budgets["team", "day"].since == 9
