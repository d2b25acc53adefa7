"""A process's numbers as Prometheus' families: every name, its meaning and its labels, in one place.

The names under ``dragoman_`` are those of R-OBS-001 and R-OBS-002; ``gen_ai_`` are those of OpenTelemetry's
conventions for generative AI, as its Prometheus exporters spell them.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from dragoman.core.call import STALE
from dragoman.telemetry.gen_ai import provider_word
from dragoman.telemetry.numbers import Numbers

_NO_SIGN = frozenset({"hedge_lost", "client_cut", "refused", "house_error", "unknown", STALE})
"""Ends of a try that say nothing about the provider's health."""


def requests(now: Numbers) -> Iterator[Metric]:
    """What callers have asked for, and what became of it."""
    names = ("provider", "model")
    ends = CounterMetricFamily(
        "dragoman_requests",
        "Requests by what became of them",
        labels=(*names, "status", "endpoint", "error_type", "streaming"),
    )
    duration = HistogramMetricFamily(
        "dragoman_request_duration_seconds",
        "From the first byte of a request to the last of its answer",
        labels=names,
    )
    first = HistogramMetricFamily(
        "dragoman_time_to_first_token_seconds",
        "From the start of an attempt to its first content",
        labels=names,
    )
    tokens = CounterMetricFamily(
        "dragoman_tokens", "Tokens as providers report them", labels=(*names, "type")
    )
    cost = CounterMetricFamily(
        "dragoman_cost_usd", "Cost in USD, as providers or prices say it", labels=names
    )
    estimated = CounterMetricFamily(
        "dragoman_estimated_cost_usd",
        "Cost in USD of usage that was estimated, in no other sum",
        labels=names,
    )
    for key, numbers in list(now.served.items()):
        for end, count in list(numbers.ends.items()):
            ends.add_metric(
                (*key, str(end.status), end.endpoint, end.error_type, _yes(is_so=end.streaming)),
                count,
            )
        for family, found in ((duration, numbers.duration), (first, numbers.first_token)):
            family.add_metric(key, found.buckets(), found.total)
        tokens.add_metric((*key, "input"), numbers.input)
        tokens.add_metric((*key, "output"), numbers.output)
        cost.add_metric(key, numbers.cost)
        estimated.add_metric(key, numbers.estimated)
    overhead = HistogramMetricFamily(
        "dragoman_overhead_seconds",
        "A request's time less that of providers, of its own arrival and of pauses between tries",
        labels=("streaming",),
    )
    for streaming, found in list(now.overhead.items()):
        overhead.add_metric((_yes(is_so=streaming),), found.buckets(), found.total)
    yield from (ends, duration, first, tokens, cost, estimated, overhead)
    yield GaugeMetricFamily("dragoman_active_requests", "Requests under way", value=now.active)
    yield GaugeMetricFamily(
        "dragoman_websocket_connections", "WebSockets that are open", value=now.sockets
    )


def _yes(*, is_so: bool) -> str:
    return "true" if is_so else "false"


def conventions(now: Numbers) -> Iterator[Metric]:
    """Every call to a provider, as the conventions for generative AI count it."""
    names = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")
    took = HistogramMetricFamily(
        "gen_ai_client_operation_duration_seconds",
        "GenAI operation duration",
        labels=(*names, "error_type"),
    )
    first = HistogramMetricFamily(
        "gen_ai_client_operation_time_to_first_chunk_seconds",
        "From a streamed request to the first content of its answer",
        labels=names,
    )
    usage = HistogramMetricFamily(
        "gen_ai_client_token_usage",
        "Number of input and output tokens used",
        labels=(*names, "gen_ai_token_type"),
    )
    for (operation, provider, model), spoken in list(now.spoken.items()):
        key = (operation, provider_word(provider), model)
        for error, found in list(spoken.took.items()):
            took.add_metric((*key, error), found.buckets(), found.total)
        if any(spoken.first_chunk.counts):
            first.add_metric(key, spoken.first_chunk.buckets(), spoken.first_chunk.total)
        for kind, found in (("input", spoken.input), ("output", spoken.output)):
            if any(found.counts):
                usage.add_metric((*key, kind), found.buckets(), found.total)
    yield from (took, first, usage)


def counters(now: Numbers) -> Iterator[Metric]:
    """Attempts, choices and refusals, and how the house itself does."""
    yield _counted(
        "dragoman_attempts", "Calls to providers", ("provider", "outcome"), now.attempts
    )
    yield _counted(
        "dragoman_fallback_attempts",
        "Calls to another provider or model after one that failed or was slow",
        ("from_provider", "to_provider"),
        now.fallbacks,
    )
    yield _counted(
        "dragoman_routing_decisions",
        "Choices among several candidates, by the provider that came first",
        ("strategy", "provider"),
        now.decisions,
    )
    yield _counted(
        "dragoman_rate_limit_hits",
        "Requests refused by a limit",
        ("limit",),
        {(limit,): count for limit, count in list(now.limited.items())},
    )
    yield CounterMetricFamily(
        "dragoman_usage_write_failures",
        "Ledger batches that had to be tried again",
        value=now.usage_failures,
    )
    yield CounterMetricFamily(
        "dragoman_usage_refused",
        "Calls whose rows the database does not take; they stay in the journal",
        value=now.usage_refused,
    )
    depth = GaugeMetricFamily(
        "dragoman_queue_depth",
        "What waits: calls for the ledger, records for a full disk (journal), notes, error lines, spans, "
        "pieces of the log",
        labels=("queue",),
    )
    for queue, number in list(now.queues.items()):
        depth.add_metric((queue,), number)
    yield depth
    yield _counted(
        "dragoman_queue_lost",
        "What found no room in a queue, or was not taken by its receiver",
        ("queue",),
        {(queue,): count for queue, count in list(now.lost.items())},
    )
    if now.spans_sent is not None:
        yield _counted(
            "dragoman_trace_spans",
            "Spans by what became of them",
            ("outcome",),
            {("sent",): now.spans_sent, ("dropped",): now.lost.get("traces", 0)},
        )


def _counted(
    name: str,
    meaning: str,
    labels: tuple[str, ...],
    counts: dict[tuple[str, str], int] | dict[tuple[str], int],
) -> Metric:
    family = CounterMetricFamily(name, meaning, labels=labels)
    for key, count in list(counts.items()):
        family.add_metric(key, count)
    return family


def budgets(now: Numbers) -> Iterator[Metric]:
    """How budgets stand, and whom they have refused."""
    refused = CounterMetricFamily(
        "dragoman_budget_refusals", "Requests refused by a budget", labels=("budget",)
    )
    for budget, count in list(now.budget_refusals.items()):
        refused.add_metric((budget,), count)
    told = CounterMetricFamily(
        "dragoman_budget_alerts",
        "Shares of budgets that were reached",
        labels=("budget", "window", "share"),
    )
    for key, count in list(now.budget_alerts.items()):
        told.add_metric(key, count)
    yield from (refused, told)
    for name, meaning in (
        ("limit", "What a budget holds in its window, in USD"),
        ("spent", "What is spent of it, in USD"),
        ("held", "What is held for calls whose cost nobody knows, in USD"),
    ):
        family = GaugeMetricFamily(
            f"dragoman_budget_{name}_usd", meaning, labels=("budget", "window")
        )
        for window, standing in list(now.budgets.items()):
            family.add_metric(window, getattr(standing, name) / 1e12)
        yield family


def health(now: Numbers) -> Iterator[Metric]:
    """What is known of providers; every real call to one is a check of it."""
    for name, meaning, values in (
        (
            "dragoman_circuit_breaker_state",
            "0 closed, 1 open, 2 half-open; the worst of a provider",
            now.breakers,
        ),
        ("dragoman_provider_score", "0 to 100: how well it has been doing", now.scores),
        ("dragoman_provider_disabled", "1 while it is left out for its failures", now.disabled),
        ("dragoman_disabled_models", "Models left out for their failures", now.models_off),
        (
            "dragoman_health_check_status",
            "1 healthy, 0.5 degraded (a breaker is not closed, or models are off), 0 disabled",
            {name: _status(name, now) for name in list(now.breakers)},
        ),
    ):
        family = GaugeMetricFamily(name, meaning, labels=("provider",))
        for provider, value in list(values.items()):
            family.add_metric((provider,), value)
        yield family
    checks: dict[tuple[str, str], int] = {}
    for (provider, word), count in list(now.attempts.items()):
        if word not in _NO_SIGN:
            key = (provider, "ok" if word == "complete" else "failed")
            checks[key] = checks.get(key, 0) + count
    yield _counted(
        "dragoman_health_check",
        "Calls that have told whether a provider is well",
        ("provider", "result"),
        checks,
    )


def _status(provider: str, now: Numbers) -> float:
    if now.disabled.get(provider):
        return 0.0
    return 0.5 if now.breakers[provider] or now.models_off.get(provider) else 1.0


def afterwards(now: Numbers) -> Iterator[Metric]:
    """What was asked later, by how much it differs, and what was told of."""
    asked = CounterMetricFamily(
        "dragoman_reconciliations",
        "Providers asked what a call came to, by what came of it",
        labels=("provider", "result"),
    )
    for asked_of, count in list(now.reconciled.items()):
        asked.add_metric(asked_of, count)
    drift = GaugeMetricFamily(
        "dragoman_cost_drift_ratio",
        "By which share of it the provider's own cost differs from what we reckoned",
        labels=("provider", "model", "source"),
    )
    for where, share in list(now.drift.items()):
        drift.add_metric(where, share)
    alerts = CounterMetricFamily("dragoman_alerts", "Alerts that were raised", labels=("kind",))
    for kind, count in list(now.alerts.items()):
        alerts.add_metric((kind,), count)
    yield from (asked, drift, alerts)
    yield CounterMetricFamily(
        "dragoman_alerts_untaken",
        "Times that an endpoint did not take an alert",
        value=now.alerts_untaken,
    )
