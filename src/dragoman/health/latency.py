"""Times and errors of each provider's models, smoothed (exponential moving average, R-PROV-003).

Streams and whole replies are apart: the first event of the one and all of the other are no times
that could be compared.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

ALPHA = 0.2
"""Weight of the newest: five requests are remembered well, twenty faintly."""
MOST = 4096
RECENT = 64
"""Times that are remembered one by one."""
ENOUGH = 20
"""Times from which on it can be said what is late."""
FAR = 3.0
"""So many medians are late, too: where one in twenty is slow, the 95th percentile may be one of them."""


@dataclass(slots=True)
class Pace:
    """How one model at one provider has been doing."""

    first_event_s: float | None = None
    last_s: float | None = None
    """The newest time alone."""
    errors: float = 0.0
    """Share of requests that failed through the provider's fault, 0 to 1."""
    requests: int = 0
    at: int = 0
    """How many requests of all models were over by the newest of this one: the smaller, the staler."""
    recent: array[float] = field(default_factory=lambda: array("d"))
    """The last times, in no order."""


class Paces:
    """The paces of all models."""

    def __init__(self) -> None:
        self._paces: dict[tuple[str, str, bool], Pace] = {}
        self._over = 0

    def note(
        self,
        provider: str,
        model: str,
        *,
        failed: bool,
        first_event_s: float | None,
        whole: bool = False,
    ) -> None:
        """One request is over; of a whole reply ``first_event_s`` is all of its time."""
        pace = self._pace((provider, model, whole))
        self._over += 1
        pace.at = self._over
        pace.requests += 1
        pace.errors += ALPHA * (float(failed) - pace.errors)
        if first_event_s is not None:
            if len(pace.recent) < RECENT:
                pace.recent.append(first_event_s)
            else:
                pace.recent[pace.requests % RECENT] = first_event_s
            before = pace.first_event_s
            pace.last_s = first_event_s
            pace.first_event_s = (
                first_event_s if before is None else before + ALPHA * (first_event_s - before)
            )

    def begin(
        self, provider: str, model: str, first_event_s: float | None, errors: float, *, whole: bool
    ) -> None:
        """What an earlier or another process has measured, where this one has not."""
        key = (provider, model, whole)
        if first_event_s is not None and key not in self._paces:
            pace = self._pace(key)
            pace.first_event_s, pace.errors = first_event_s, errors

    def forget(self, provider: str) -> None:
        """The provider is another one now: its times were not this one's."""
        for key in [key for key in self._paces if key[0] == provider]:
            del self._paces[key]

    def of(self, provider: str, model: str, *, whole: bool = False) -> Pace | None:
        """The pace of a model; None: it was not used yet."""
        return self._paces.get((provider, model, whole))

    def _pace(self, key: tuple[str, str, bool]) -> Pace:
        pace = self._paces.get(key)
        if pace is None:
            if len(self._paces) >= MOST:
                del self._paces[next(iter(self._paces))]
            pace = self._paces[key] = Pace()
        return pace


def late_s(pace: Pace) -> float | None:
    """The 95th percentile of the last times, or three medians where that is less; None: too few are known."""
    known = len(pace.recent)
    if known < ENOUGH:
        return None
    times = sorted(pace.recent)
    return min(times[(known * 95 + 99) // 100 - 1], FAR * times[known // 2])
