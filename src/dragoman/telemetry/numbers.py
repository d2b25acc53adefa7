"""What one process has counted, as plain data: added to while requests end, summed over processes."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import repeat
from operator import add, sub
from typing import NamedTuple, TypeVar

from msgspec import Struct, field, msgpack

from dragoman.telemetry.gen_ai import DURATION_BUCKETS as SPOKEN_BUCKETS
from dragoman.telemetry.gen_ai import TOKEN_BUCKETS

DURATION_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100)
FIRST_TOKEN_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
OVERHEAD_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1)
_OPEN = 1

_K = TypeVar("_K")


class Histogram(Struct):
    """How many observations fell into each bucket, and their sum."""

    bounds: tuple[float, ...]
    counts: list[int]
    total: float = 0.0

    def observe(self, value: float) -> None:
        """One observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def observe_all(self, values: Sequence[float]) -> None:
        """As many observations, for hardly more than a few of them cost one by one."""
        if values:
            ordered = sorted(values)
            below = [*map(bisect_right, repeat(ordered), self.bounds), len(ordered)]
            self.counts = list(map(add, self.counts, map(sub, below, (0, *below))))
            self.total = sum(values, self.total)

    def add(self, other: Histogram) -> None:
        """The observations of another process."""
        self.counts = [
            mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)
        ]
        self.total += other.total

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts, as Prometheus wants them."""
        found: list[tuple[str, float]] = []
        below = 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            below += count
            found.append(("+Inf" if bound == float("inf") else str(float(bound)), below))
        return found


def histogram(bounds: tuple[float, ...]) -> Histogram:
    """One that has observed nothing."""
    return Histogram(bounds, [0] * (len(bounds) + 1))


class End(NamedTuple):
    """How a request ended, and where it had come in."""

    status: int
    endpoint: str
    """The matched route."""
    error_type: str
    """Empty: there was no error."""
    streaming: bool


class Served(Struct):
    """The numbers of one provider and model."""

    ends: dict[End, int] = {}
    duration: Histogram = field(default_factory=lambda: histogram(DURATION_BUCKETS))
    first_token: Histogram = field(default_factory=lambda: histogram(FIRST_TOKEN_BUCKETS))
    input: int = 0
    output: int = 0
    cost: float = 0.0
    estimated: float = 0.0
    """Cost that nobody has told: apart from the rest (D25)."""

    def add(self, other: Served) -> None:
        """The numbers of another process."""
        _add(self.ends, other.ends)
        self.duration.add(other.duration)
        self.first_token.add(other.first_token)
        self.input += other.input
        self.output += other.output
        self.cost += other.cost
        self.estimated += other.estimated


class Spoken(Struct):
    """The numbers of one operation at one provider's model, as the conventions for generative AI have them."""

    took: dict[str, Histogram] = {}
    """Error type, empty where there was none → how long."""
    first_chunk: Histogram = field(default_factory=lambda: histogram(SPOKEN_BUCKETS))
    input: Histogram = field(default_factory=lambda: histogram(TOKEN_BUCKETS))
    output: Histogram = field(default_factory=lambda: histogram(TOKEN_BUCKETS))

    def add(self, other: Spoken) -> None:
        """The numbers of another process."""
        for error, theirs in other.took.items():
            self.took.setdefault(error, histogram(SPOKEN_BUCKETS)).add(theirs)
        self.first_chunk.add(other.first_chunk)
        self.input.add(other.input)
        self.output.add(other.output)


class Standing(Struct, frozen=True):
    """How a budget stands in a stretch of time, as far as a process knows; amounts in 10⁻¹² USD."""

    since: int
    """The first UTC day of the stretch, counted from 1970."""
    limit: int
    spent: int
    held: int


class Numbers(Struct):
    """All that one process has counted."""

    active: int = 0
    sockets: int = 0
    breakers: dict[str, int] = {}
    scores: dict[str, float] = {}
    disabled: dict[str, int] = {}
    models_off: dict[str, int] = {}
    usage_failures: int = 0
    usage_refused: int = 0
    served: dict[tuple[str, str], Served] = {}
    """Provider and model."""
    spoken: dict[tuple[str, str, str], Spoken] = {}
    """Operation, provider and model."""
    overhead: dict[bool, Histogram] = {}
    """Whether it was a stream → our own time."""
    attempts: dict[tuple[str, str], int] = {}
    fallbacks: dict[tuple[str, str], int] = {}
    """Provider that was left, provider that came next."""
    decisions: dict[tuple[str, str], int] = {}
    """Strategy and the provider that it put first."""
    limited: dict[str, int] = {}
    queues: dict[str, int] = {}
    """What waits, by the name of the queue."""
    lost: dict[str, int] = {}
    """What found no room there."""
    spans_sent: int | None = None
    """None where no traces are made."""
    budget_refusals: dict[str, int] = {}
    budget_alerts: dict[tuple[str, str, str], int] = {}
    """Budget, stretch and share → how often this process has told it."""
    reconciled: dict[tuple[str, str], int] = {}
    """Provider and result → how often it was asked what a call came to."""
    alerts: dict[str, int] = {}
    """Kind → how often this process has raised it."""
    alerts_untaken: int = 0
    drift: dict[tuple[str, str, str], float] = {}
    """Provider, model and source → by which share the provider's cost differs from ours."""
    budgets: dict[tuple[str, str], Standing] = {}
    """Budget and stretch → how it stands."""

    def add(self, other: Numbers, *, alive: bool) -> None:
        """The numbers of another process; of a dead one only what it has counted stays true."""
        self.usage_failures += other.usage_failures
        self.usage_refused += other.usage_refused
        for key, served in other.served.items():
            self.served.setdefault(key, Served()).add(served)
        for words, spoken in other.spoken.items():
            self.spoken.setdefault(words, Spoken()).add(spoken)
        for streaming, theirs in other.overhead.items():
            self.overhead.setdefault(streaming, histogram(OVERHEAD_BUCKETS)).add(theirs)
        _add(self.attempts, other.attempts)
        _add(self.fallbacks, other.fallbacks)
        _add(self.decisions, other.decisions)
        _add(self.limited, other.limited)
        _add(self.lost, other.lost)
        if other.spans_sent is not None:
            self.spans_sent = (self.spans_sent or 0) + other.spans_sent
        _add(self.budget_refusals, other.budget_refusals)
        _add(self.budget_alerts, other.budget_alerts)
        _add(self.reconciled, other.reconciled)
        _add(self.alerts, other.alerts)
        self.alerts_untaken += other.alerts_untaken
        self.drift = {**other.drift, **self.drift}
        for window, standing in other.budgets.items():
            # The sums are of all processes; who has heard of them last knows most.
            known = self.budgets.get(window, standing)
            self.budgets[window] = max(known, standing, key=_recent)
        if alive:
            self.active += other.active
            self.sockets += other.sockets
            _add(self.queues, other.queues)
            for provider, state in other.breakers.items():
                mine = self.breakers.get(provider, 0)
                # The states' numbers do not stand in their order: open is worse than half-open.
                self.breakers[provider] = _OPEN if _OPEN in {mine, state} else max(mine, state)
            for provider, score in other.scores.items():
                self.scores[provider] = min(self.scores.get(provider, score), score)
            for ours, off in (
                (self.disabled, other.disabled),
                (self.models_off, other.models_off),
            ):
                for provider, number in off.items():
                    ours[provider] = max(ours.get(provider, 0), number)


def _recent(standing: Standing) -> tuple[int, int]:
    return standing.since, standing.spent + standing.held


def _add(mine: dict[_K, int], theirs: dict[_K, int]) -> None:
    for key, count in theirs.items():
        mine[key] = mine.get(key, 0) + count


encode_numbers = msgpack.Encoder().encode
decode_numbers = msgpack.Decoder(Numbers).decode
