"""Times and errors of each provider's models, smoothed (exponential moving average, R-PROV-003).

Streams and whole replies are apart: the first event of the one and all of the other are no times
that could be compared.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from dragoman.health.smooth import MOST as MOST_NEW
from dragoman.health.smooth import Smoothing

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
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    """The last times."""
    new: list[float] = field(default_factory=list)
    """Times of requests that were answered, of which nothing else knows yet."""

    def settle(self) -> None:
        """Has everything know of the new times."""
        new = self.new
        if new:
            self.requests += len(new)
            self.errors = _SMOOTHING.faded(self.errors, len(new))
            self.first_event_s = _SMOOTHING.after(self.first_event_s, new)
            self.last_s = new[-1]
            self.recent.extend(new)
            new.clear()


_SMOOTHING = Smoothing(ALPHA)


class Paces:
    """The paces of all models."""

    def __init__(self) -> None:
        self._paces: dict[tuple[str, str, bool], Pace] = {}
        self._over = 0

    def answered(self, provider: str, model: str, first_event_s: float, *, whole: bool) -> None:
        """One request was answered; of a whole reply ``first_event_s`` is all of its time."""
        key = (provider, model, whole)
        pace = self._paces.get(key) or self._pace(key)
        pace.at = self._over = self._over + 1
        new = pace.new
        new.append(first_event_s)
        if len(new) >= MOST_NEW:
            pace.settle()

    def note(
        self,
        provider: str,
        model: str,
        *,
        failed: bool,
        first_event_s: float | None,
        whole: bool = False,
    ) -> None:
        """One request is over, whichever way."""
        if first_event_s is not None and not failed:
            self.answered(provider, model, first_event_s, whole=whole)
            return
        pace = self._pace((provider, model, whole))
        pace.settle()
        pace.at = self._over = self._over + 1
        pace.requests += 1
        pace.errors += ALPHA * (float(failed) - pace.errors)

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
        pace = self._paces.get((provider, model, whole))
        if pace is not None:
            pace.settle()
        return pace

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
