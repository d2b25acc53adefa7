"""Prometheus metrics under the names of R-OBS-001, with labels that stay few.

``model`` is the id if the catalogue knows it, else ``other`` (D12): no caller can make series.
What a request adds is a handful of additions to plain numbers of its label set, for it stands on
the data path (prometheus_client's own counters take a lock and 1 µs each); the library
makes the text of them when it is asked for. Numbers are only written in the event loop.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from dragoman.core.call import NO_FAILURE, Attempt, Call, Outcome
from dragoman.core.timing import shares_of
from dragoman.telemetry.families import (
    afterwards,
    budgets,
    conventions,
    counters,
    health,
    requests,
)
from dragoman.telemetry.gen_ai import DURATION_BUCKETS, operation_of
from dragoman.telemetry.numbers import (
    OVERHEAD_BUCKETS,
    End,
    Histogram,
    Numbers,
    Served,
    Spoken,
    Standing,
    decode_numbers,
    encode_numbers,
    histogram,
)
from dragoman.telemetry.siblings import Siblings

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MOST_ERROR_WORDS = 64
"""Different words for errors in labels; further ones are ``other``."""
_WORD = re.compile(r"[a-z][a-z0-9_.-]{0,47}")


class _Kind(NamedTuple):
    """Where requests are counted that have ended alike."""

    served: Served
    end: End
    overhead: Histogram


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
        self.queues: dict[str, int] = {}
        """What waits, by the name of the queue."""
        self.lost: dict[str, int] = {}
        """What found no room there, or was not taken."""
        self.spans_sent: int | None = None
        """None where no traces are made."""
        self.budgets: dict[tuple[str, str], Standing] = {}
        """Budget and stretch → how it stands; whoever keeps the budgets keeps it."""
        self.budget_refusals: dict[str, int] = {}
        self._budget_alerts: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        self._served: dict[tuple[str, str], Served] = {}
        self._spoken: dict[tuple[str, str, str], Spoken] = {}
        self._overhead: dict[bool, Histogram] = {}
        self._kinds: dict[tuple[str, str, int, str, str, bool], _Kind] = {}
        self._attempts: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._fallbacks: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._decisions: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._error_words: set[str] = set()
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
            spoken=self._spoken,
            overhead=self._overhead,
            attempts=self._attempts,
            fallbacks=self._fallbacks,
            decisions=self._decisions,
            queues=self.queues,
            lost=self.lost,
            spans_sent=self.spans_sent,
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

    def finished(self, call: Call, duration_s: float) -> None:
        """A request is over."""
        outcome = call.outcome
        error = outcome.error_code
        kind = self._kind_of(call, "" if error is None else self._error_word(error))
        served = kind.served
        served.ends[kind.end] += 1
        served.duration.observe(duration_s)
        kind.overhead.observe(shares_of(call, call.received + duration_s)[0])
        plan = outcome.plan
        if plan is not None and plan.strategy is not None and plan.candidates:
            self._decisions[plan.strategy, plan.candidates[0].provider.name] += 1
        self._consume(call, served)

    def _kind_of(self, call: Call, error: str) -> _Kind:
        """Where a request is counted: one look-up for all that have ended alike."""
        outcome = call.outcome
        attempt = outcome.served
        provider = "none" if attempt is None else attempt.provider
        model = "none" if attempt is None else outcome.label_model
        status, streaming = outcome.http_status, outcome.stream
        key = (provider, model, status, call.route, error, streaming)
        kind = self._kinds.get(key)
        if kind is None:
            served, end = self._of(outcome), End(status, call.route, error, streaming)
            served.ends.setdefault(end, 0)
            overhead = self._overhead.setdefault(streaming, histogram(OVERHEAD_BUCKETS))
            kind = self._kinds[key] = _Kind(served, end, overhead)
        return kind

    def _of(self, outcome: Outcome) -> Served:
        attempt = outcome.served
        key = ("none", "none") if attempt is None else (attempt.provider, outcome.label_model)
        return self._served.setdefault(key, Served())

    def consumed(self, call: Call) -> None:
        """What the attempts of a request came to; its own end is told apart where it left before."""
        self._consume(call, self._of(call.outcome))

    def _consume(self, call: Call, served: Served) -> None:
        outcome = call.outcome
        attempt = outcome.served
        if attempt is None:
            return
        before: Attempt | None = None
        for one in outcome.attempts:
            self._attempts[one.provider, one.status] += 1
            if before is not None and (before.provider, before.model) != (one.provider, one.model):
                self._fallbacks[before.provider, one.provider] += 1
            self._speak(call, one)
            if one is not attempt and (one.usage is not None or one.cost is not None):
                # A try that did not answer may have cost something all the same.
                _spend(self._served.setdefault((one.provider, one.label), Served()), one)
            before = one
        if attempt.first_event_s is not None:
            served.first_token.observe(attempt.first_event_s)
        _spend(served, attempt)

    def _speak(self, call: Call, attempt: Attempt) -> None:
        """One try, in the words of the conventions for generative AI."""
        key = (operation_of(call), attempt.provider, attempt.label)
        spoken = self._spoken.get(key)
        if spoken is None:
            spoken = self._spoken[key] = Spoken()
        error = ""
        if attempt.status not in NO_FAILURE:
            error = self._error_word(attempt.error_code or attempt.error_kind or attempt.status)
        took = spoken.took.get(error)
        if took is None:
            took = spoken.took[error] = histogram(DURATION_BUCKETS)
        took.observe(attempt.duration_s or 0.0)
        if call.outcome.stream and attempt.first_event_s is not None:
            spoken.first_chunk.observe(attempt.first_event_s)
        usage = attempt.usage
        if usage is not None:
            if usage.input is not None:
                spoken.input.observe(usage.input)
            if (output := usage.billed_output) is not None:
                spoken.output.observe(output)

    def _error_word(self, code: str) -> str:
        """A label: providers have codes of their own, and could make series with them."""
        words = self._error_words
        if code in words:
            return code
        if len(words) < MOST_ERROR_WORDS and _WORD.fullmatch(code):
            words.add(code)
            return code
        return "other"

    def collect(self) -> Iterator[Metric]:
        """What the library asks for."""
        now, workers = self._all()
        yield from requests(now)
        yield from conventions(now)
        yield from counters(now)
        yield from budgets(now)
        yield from afterwards(now)
        yield from health(now)
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
        yield from _processes(workers) if workers else ProcessCollector(registry=None).collect()

    def text(self) -> bytes:
        """All of it in Prometheus' text form."""
        return generate_latest(self._registry)


def _spend(spent: Served, attempt: Attempt) -> None:
    """Adds what a try has consumed, and what it has cost."""
    usage = attempt.usage
    if usage is not None:
        spent.input += usage.input or 0
        spent.output += usage.billed_output or 0
    if attempt.cost is not None:
        spent.cost += float(attempt.cost)


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
