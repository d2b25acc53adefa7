"""Prometheus metrics under the names of R-OBS-001, with labels that stay few.

``model`` is the id if the catalogue knows it, else ``other`` (D12): no caller can make series.
Children are looked up once per label set and kept, for ``labels()`` costs more than ``inc()``.
"""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.process_collector import ProcessCollector

from dragoman.core.call import Outcome

DURATION_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100)
FIRST_TOKEN_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(slots=True)
class _Served:
    """The children of one label set."""

    requests: Counter
    duration: Histogram
    first_token: Histogram
    input_tokens: Counter
    output_tokens: Counter
    cost: Counter


class Metrics:
    """The counters of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        served = ("provider", "model", "status")
        self._requests = Counter(
            "dragoman_requests", "Requests by what became of them", served, registry=self.registry
        )
        self._duration = Histogram(
            "dragoman_request_duration_seconds",
            "From the first byte of a request to the last of its answer",
            ("provider", "model"),
            buckets=DURATION_BUCKETS,
            registry=self.registry,
        )
        self._first_token = Histogram(
            "dragoman_time_to_first_token_seconds",
            "From the start of an attempt to its first content",
            ("provider", "model"),
            buckets=FIRST_TOKEN_BUCKETS,
            registry=self.registry,
        )
        self._tokens = Counter(
            "dragoman_tokens",
            "Tokens as providers report them",
            ("provider", "model", "type"),
            registry=self.registry,
        )
        self._cost = Counter(
            "dragoman_cost_usd", "Cost in USD", ("provider", "model"), registry=self.registry
        )
        self.active = Gauge(
            "dragoman_active_requests", "Requests under way", registry=self.registry
        )
        self.breaker = Gauge(
            "dragoman_circuit_breaker_state",
            "0 closed, 1 open, 2 half-open; the worst of a provider",
            ("provider",),
            registry=self.registry,
        )
        self._limited = Counter(
            "dragoman_rate_limit_hits",
            "Requests refused by a limit",
            ("limit",),
            registry=self.registry,
        )
        self._attempts = Counter(
            "dragoman_attempts",
            "Calls to providers",
            ("provider", "outcome"),
            registry=self.registry,
        )
        self.usage_lost = Counter(
            "dragoman_usage_write_failures",
            "Ledger batches that had to be tried again",
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)
        self._served: dict[tuple[str, str, str], _Served] = {}

    def limited(self, limit: str) -> None:
        """A request was refused by this limit."""
        self._limited.labels(limit).inc()

    def finished(self, outcome: Outcome, duration_s: float) -> None:
        """A request is over."""
        attempt = outcome.served
        provider = attempt.provider if attempt else "none"
        model = outcome.label_model if attempt else "none"
        key = (provider, model, str(outcome.http_status))
        served = self._served.get(key)
        if served is None:
            served = self._served[key] = self._children(*key)
        served.requests.inc()
        served.duration.observe(duration_s)
        for one in outcome.attempts:
            self._attempts.labels(one.provider, one.status).inc()
        if attempt is None:
            return
        if attempt.first_event_s is not None:
            served.first_token.observe(attempt.first_event_s)
        if attempt.usage is not None:
            served.input_tokens.inc(attempt.usage.input or 0)
            served.output_tokens.inc(attempt.usage.billed_output or 0)
        if attempt.cost is not None:
            served.cost.inc(float(attempt.cost))

    def _children(self, provider: str, model: str, status: str) -> _Served:
        return _Served(
            requests=self._requests.labels(provider, model, status),
            duration=self._duration.labels(provider, model),
            first_token=self._first_token.labels(provider, model),
            input_tokens=self._tokens.labels(provider, model, "input"),
            output_tokens=self._tokens.labels(provider, model, "output"),
            cost=self._cost.labels(provider, model),
        )

    def text(self) -> bytes:
        """All of it in Prometheus' text form."""
        return generate_latest(self.registry)
