"""Limits of one process, in memory; a restart forgets what was counted, but the allowance.

What is used of that, the ledger knows.
"""

from __future__ import annotations

from dragoman.admission.meter import FOREVER, Meter
from dragoman.admission.ports import Past, Short, Taken, Unknown
from dragoman.admission.rules import Rule, Unit
from dragoman.core.clock import Clock

_SWEEP_FROM = 10_000


class MemoryLimits:
    """A ``LimitStore`` of one process."""

    def __init__(self, clock: Clock, used_s: float = FOREVER) -> None:
        """``used_s``: how long what the ledger said of an allowance is believed; it sees others' calls, too."""
        self.now = clock.monotonic
        self._used_s = used_s
        self._meters: dict[tuple[str, Unit], Meter] = {}
        self._sweep_at = _SWEEP_FROM

    def tally(self, key_id: str, unit: Unit) -> Meter | None:
        """What is counted of a key and unit; one that is swept away has no lull, and so takes nothing."""
        return self._meters.get((key_id, unit))

    def take_now(
        self, key_id: str, rule: Rule, amount: int, place: str | None = None
    ) -> Taken | Short | None:
        """What ``take`` would say, unless the ledger has to be asked first."""
        meter = self._meters.get((key_id, rule.unit))
        if meter is None:
            return None
        found = meter.take(rule, amount, self.now(), place=place)
        return None if isinstance(found, Unknown) else found

    async def take(
        self,
        key_id: str,
        rule: Rule,
        amount: int,
        *,
        place: str | None = None,
        past: Past | None = None,
    ) -> Taken | Short | Unknown:
        """Counts ``amount`` if every limit has room for it, and nothing if one has not."""
        now = self.now()
        meter = self._meters.get((key_id, rule.unit))
        if meter is None:
            meter = self._new(key_id, rule.unit, now)
        return meter.take(rule, amount, now, place=place, past=past, used_s=self._used_s)

    def correct(self, key_id: str, rule: Rule, taken: Taken, change: int) -> None:
        """What was taken came to more, or to less."""
        try:
            meter = self._meters[key_id, rule.unit]
        except KeyError:
            return  # all of it has left the windows
        meter.correct(taken, change)

    def leave(self, key_id: str, rule: Rule, place: str) -> None:
        """Gives a place back."""
        try:
            del self._meters[key_id, rule.unit].places[place]
        except KeyError:
            return  # it is not held

    def note(self, key_id: str, rule: Rule, amount: int) -> None:
        """Counts what was let through elsewhere, so that it is known here should that go."""
        now = self.now()
        meter = self._meters.get((key_id, rule.unit))
        if meter is None:
            meter = self._new(key_id, rule.unit, now)
        meter.note(rule, amount, now)

    def used(self, key_id: str, unit: Unit, window: str) -> int:
        """What is in one of a key's windows."""
        meter = self._meters.get((key_id, unit))
        if meter is None:
            return 0
        meter.rouse()
        found = meter.windows.get(window)
        if found is None:
            return 0
        found.turn(self.now())
        return found.used

    def _new(self, key_id: str, unit: Unit, now: float) -> Meter:
        if len(self._meters) >= self._sweep_at:
            for name, meter in tuple(self._meters.items()):
                if meter.idle(now):
                    del self._meters[name]
            self._sweep_at = max(_SWEEP_FROM, 2 * len(self._meters))
        made = self._meters[key_id, unit] = Meter()
        return made
