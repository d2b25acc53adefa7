"""Prometheus metrics under the names of R-OBS-001, with labels that stay few.

``model`` is the id if the catalogue knows it, else ``other`` (D12): no caller can make series.
What a request adds is a handful of additions to plain numbers of its label set, for it stands on
the data path (prometheus_client's own counters take a lock and 1 µs each); the library
makes the text of them when it is asked for. Numbers are only written in the event loop.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from functools import partial

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from dragoman.core.call import Outcome
from dragoman.telemetry.numbers import Numbers, Served, Standing, decode_numbers, encode_numbers
from dragoman.telemetry.siblings import Siblings

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics(Collector):
    """The numbers of one process, or with ``siblings`` of all workers of one gateway."""

    def __init__(self, siblings: Siblings | None = None) -> None:
        self.active = 0
        """Requests under way."""
        self.breakers: dict[str, int] = {}
        """Provider → 0 closed, 1 open, 2 half-open; the worst of its breakers."""
        self.scores: dict[str, float] = {}
        """Provider → 0 to 100, how well it has been doing."""
        self.disabled: dict[str, int] = {}
        """Provider → 1 where it is disabled, else 0."""
        self.models_off: dict[str, int] = {}
        """Provider → how many of its models are disabled."""
        self.shared_state = "none"
        """Redis: none, up or down."""
        self.limits_kept = "memory"
        """Where limits are counted: memory, host, redis, or alone."""
        self.usage_failures = 0
        """Ledger batches that had to be tried again."""
        self.budgets: dict[tuple[str, str], Standing] = {}
        """Budget and stretch → how it stands; whoever keeps the budgets keeps it."""
        self.budget_refusals: dict[str, int] = {}
        self._budget_alerts: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        self._served: dict[tuple[str, str], Served] = {}
        self._attempts: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.reconciled: dict[tuple[str, str], int] = {}
        self.alerts: dict[str, int] = {}
        self.alerts_untaken = 0
        self.drift: dict[tuple[str, str, str], float] = {}
        self._limited: defaultdict[str, int] = defaultdict(int)
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self.siblings = siblings

    def numbers(self) -> Numbers:
        """This process's own numbers, as they stand; not a copy."""
        return Numbers(
            active=self.active,
            breakers=self.breakers,
            scores=self.scores,
            disabled=self.disabled,
            models_off=self.models_off,
            usage_failures=self.usage_failures,
            served=self._served,
            attempts=self._attempts,
            limited=self._limited,
            budget_refusals=self.budget_refusals,
            budget_alerts=self._budget_alerts,
            budgets=self.budgets,
            reconciled=self.reconciled,
            alerts=self.alerts,
            alerts_untaken=self.alerts_untaken,
            drift=self.drift,
        )

    def publish(self) -> None:
        """Writes the numbers where the sibling workers find them."""
        if self.siblings is not None:
            self.siblings.write(encode_numbers(self.numbers()))

    def _all(self) -> tuple[Numbers, list[int]]:
        own = self.numbers()
        if self.siblings is None:
            return own, []
        summed, alive = decode_numbers(encode_numbers(own)), [os.getpid()]
        for pid, is_alive, numbers in self.siblings.read():
            summed.add(numbers, alive=is_alive)
            if is_alive:
                alive.append(pid)
        return summed, alive

    def all_numbers(self) -> Numbers:
        """The numbers of all workers of this gateway."""
        return self._all()[0]

    def limited(self, limit: str) -> None:
        """A request was refused by this limit."""
        self._limited[limit] += 1

    def alarmed(self, budget: str, window: str, share: int) -> None:
        """The operator was told that a budget has reached a share of millionths."""
        self._budget_alerts[budget, window, f"{share / 1_000_000:g}"] += 1

    def finished(self, outcome: Outcome, duration_s: float) -> None:
        """A request is over."""
        served = self._of(outcome)
        status = outcome.http_status
        served.statuses[status] = served.statuses.get(status, 0) + 1
        served.duration.observe(duration_s)
        self._consume(outcome, served)

    def _of(self, outcome: Outcome) -> Served:
        attempt = outcome.served
        key = ("none", "none") if attempt is None else (attempt.provider, outcome.label_model)
        served = self._served.get(key)
        if served is None:
            served = self._served[key] = Served()
        return served

    def consumed(self, outcome: Outcome) -> None:
        """What the attempts of a request came to; its own end is told apart where it left before."""
        self._consume(outcome, self._of(outcome))

    def _consume(self, outcome: Outcome, served: Served) -> None:
        attempt = outcome.served
        for one in outcome.attempts:
            self._attempts[one.provider, one.status] += 1
        if attempt is None:
            return
        if attempt.first_event_s is not None:
            served.first_token.observe(attempt.first_event_s)
        usage = attempt.usage
        if usage is not None:
            served.input += usage.input or 0
            served.output += usage.billed_output or 0
        if attempt.cost is not None:
            served.cost += float(attempt.cost)

    def collect(self) -> Iterator[Metric]:
        """What the library asks for."""
        now, workers = self._all()
        served = list(now.served.items())
        requests = CounterMetricFamily(
            "dragoman_requests",
            "Requests by what became of them",
            labels=("provider", "model", "status"),
        )
        names = ("provider", "model")
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
        cost = CounterMetricFamily("dragoman_cost_usd", "Cost in USD", labels=names)
        for key, numbers in served:
            for status, count in list(numbers.statuses.items()):
                requests.add_metric((*key, str(status)), count)
            for family, histogram in (
                (duration, numbers.duration),
                (first, numbers.first_token),
            ):
                family.add_metric(key, histogram.buckets(), histogram.total)
            tokens.add_metric((*key, "input"), numbers.input)
            tokens.add_metric((*key, "output"), numbers.output)
            cost.add_metric(key, numbers.cost)
        yield from (requests, duration, first, tokens, cost)
        attempts = CounterMetricFamily(
            "dragoman_attempts", "Calls to providers", labels=("provider", "outcome")
        )
        for (provider, status_word), count in list(now.attempts.items()):
            attempts.add_metric((provider, status_word), count)
        limited = CounterMetricFamily(
            "dragoman_rate_limit_hits", "Requests refused by a limit", labels=("limit",)
        )
        for limit, count in list(now.limited.items()):
            limited.add_metric((limit,), count)
        yield from (attempts, limited, *_budgets(now), *_afterwards(now), *_health(now))
        if self.shared_state != "none":
            yield GaugeMetricFamily(
                "dragoman_shared_state_up",
                "1 while Redis is there, 0 while this gateway goes on without it",
                value=int(self.shared_state == "up"),
            )
        if self.limits_kept != "memory":
            yield GaugeMetricFamily(
                "dragoman_limits_shared",
                "1 while limits are counted by all processes together, 0 while this one goes by its part",
                value=int(self.limits_kept != "alone"),
            )
        yield GaugeMetricFamily("dragoman_active_requests", "Requests under way", value=now.active)
        yield CounterMetricFamily(
            "dragoman_usage_write_failures",
            "Ledger batches that had to be tried again",
            value=now.usage_failures,
        )
        yield from _processes(workers) if workers else ProcessCollector(registry=None).collect()

    def text(self) -> bytes:
        """All of it in Prometheus' text form."""
        return generate_latest(self._registry)


def _budgets(now: Numbers) -> Iterator[Metric]:
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


def _afterwards(now: Numbers) -> Iterator[Metric]:
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


def _health(now: Numbers) -> Iterator[Metric]:
    """What is known of providers."""
    for name, meaning, values in (
        (
            "dragoman_circuit_breaker_state",
            "0 closed, 1 open, 2 half-open; the worst of a provider",
            now.breakers,
        ),
        ("dragoman_provider_score", "0 to 100: how well it has been doing", now.scores),
        ("dragoman_provider_disabled", "1 while it is left out for its failures", now.disabled),
        ("dragoman_disabled_models", "Models left out for their failures", now.models_off),
    ):
        family = GaugeMetricFamily(name, meaning, labels=("provider",))
        for provider, value in list(values.items()):
            family.add_metric((provider,), value)
        yield family


def _processes(pids: list[int]) -> Iterator[Metric]:
    """What the system says of each worker: no sum of start times or limits means anything."""
    found: dict[str, Metric] = {}
    for pid in pids:
        for metric in ProcessCollector(pid=partial(int, pid), registry=None).collect():
            family = found.setdefault(
                metric.name, Metric(metric.name, metric.documentation, metric.type)
            )
            for sample in metric.samples:
                family.add_sample(sample.name, {"worker": str(pid)}, sample.value)
    yield from found.values()
