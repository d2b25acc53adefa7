"""The numbers of one moment in Prometheus' text form; nothing of it touches what is still counted."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from msgspec import Struct
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from dragoman.telemetry.families import (
    afterwards,
    budgets,
    conventions,
    counters,
    health,
    requests,
)
from dragoman.telemetry.numbers import Numbers

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Moment(Struct, frozen=True):
    """What is told of a moment."""

    numbers: Numbers
    workers: list[int]
    """The processes that it is the numbers of; empty: this one alone."""
    shared_state: str
    limits_kept: str


class _Told(Collector):
    """A moment as the library asks for it."""

    def __init__(self, moment: Moment) -> None:
        self._moment = moment

    def collect(self) -> Iterator[Metric]:
        """All families."""
        moment = self._moment
        now, workers = moment.numbers, moment.workers
        yield from requests(now)
        yield from conventions(now)
        yield from counters(now)
        yield from budgets(now)
        yield from afterwards(now)
        yield from health(now)
        if moment.shared_state != "none":
            yield GaugeMetricFamily(
                "dragoman_shared_state_up",
                "1 while Redis is there, 0 while this gateway goes on without it",
                value=int(moment.shared_state == "up"),
            )
        if moment.limits_kept != "memory":
            yield GaugeMetricFamily(
                "dragoman_limits_shared",
                "1 while limits are counted by all processes together, 0 while this one goes by its part",
                value=int(moment.limits_kept != "alone"),
            )
        yield from _processes(workers) if workers else ProcessCollector(registry=None).collect()


def text_of(moment: Moment) -> bytes:
    """All of it in Prometheus' text form."""
    registry = CollectorRegistry()
    registry.register(_Told(moment))
    return generate_latest(registry)


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
