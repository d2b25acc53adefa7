"""What must be reached, and whether it was: the figures of a run held against their bars."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from measures import Round


@dataclass(frozen=True)
class Bar:
    """One figure that must not be missed; a value of None was not measured."""

    name: str
    value: float | None
    limit: float
    at_least: bool = False
    unit: str = ""
    note: str = ""

    @property
    def held(self) -> bool | None:
        if self.value is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def line(self) -> str:
        sign = "≥" if self.at_least else "≤"
        verdict = {True: "pass", False: "FAIL", None: "not measured"}[self.held]
        value = "-" if self.value is None else _shown(self.value)
        wanted = f"{sign} {_shown(self.limit)}{self.unit}"
        note = f"  {self.note}" if self.note else ""
        return f"  {verdict:12}  {self.name:52} {value:>9}{self.unit:4} {wanted:>12}{note}"


def _shown(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}"


def shares(ours: list[Round], theirs: list[Round]) -> tuple[float, float] | None:
    """Our requests per second as a share of theirs, by the clock and by CPU time.

    By the clock alone a yardstick that waits for the load would look slow; by CPU alone a
    gateway that waits for anything would look fast.
    """
    pairs = [
        (one, other)
        for one, other in zip(ours, theirs, strict=False)
        if one.answered and other.answered
    ]
    our_cpu = median([one.cpu_us for one, _ in pairs] or [0.0])
    if not our_cpu:
        return None
    by_clock = median(one.per_s / other.per_s for one, other in pairs)
    return by_clock, median(other.cpu_us for _, other in pairs) / our_cpu


def share_bar(name: str, ours: list[Round], theirs: list[Round], limit: float) -> Bar:
    """The bar that the lower of the two shares must reach."""
    found = shares(ours, theirs)
    if found is None:
        return Bar(name, None, limit, at_least=True)
    note = f"(by clock {_shown(found[0])}, by CPU {_shown(found[1])})"
    return Bar(name, min(found), limit, at_least=True, note=note)


def added_us(ours: list[Round], direct: list[Round]) -> tuple[float, float]:
    """What a way adds to the bare upstream on one connection: at p50 and at p99."""
    pairs = list(zip(ours, direct, strict=False))
    return (
        median(one.p50_us - other.p50_us for one, other in pairs),
        median(one.p99_us - other.p99_us for one, other in pairs),
    )


def drift(before_mb: float, after_mb: float) -> float:
    """By how many percent memory has changed."""
    return abs(after_mb - before_mb) / before_mb * 100
