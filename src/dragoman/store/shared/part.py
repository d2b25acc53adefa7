"""A process's own part of what is shared, which it goes by while the others cannot be reached."""

from __future__ import annotations

from collections.abc import Iterator

from dragoman.admission.ports import Past, Short, Taken, Unknown
from dragoman.admission.rules import Bound, Rule, Unit
from dragoman.core.call import Gauge
from dragoman.core.clock import Clock
from dragoman.store.memory.limits import MemoryLimits
from dragoman.store.shared.leases import NO_LIMIT

USED_ALONE_S = 5.0
"""Alone, how long what the ledger said of an allowance is believed."""
MOST_REMEMBERED = 10_000


class OwnPart(MemoryLimits):
    """The limits divided by the processes that there were; it knows what was let through before."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, USED_ALONE_S)
        self._meanwhile: dict[tuple[str, Unit], tuple[Rule, int]] = {}
        """What was let through alone."""

    async def take_part(
        self,
        key_id: str,
        rule: Rule,
        amount: int,
        processes: int,
        place: str | None,
        past: Past | None,
    ) -> Taken | Short | Unknown:
        """As ``take`` does, of one of so many parts; told in the numbers of the whole."""
        part = rule.shared_by(processes)
        past = None if past is None else past.shared_by(processes)
        found = await self.take(key_id, part, amount, place=place, past=past)
        if isinstance(found, Unknown):
            return found
        if isinstance(found, Taken):
            _, before = self._meanwhile.get((key_id, rule.unit), (rule, 0))
            if len(self._meanwhile) >= MOST_REMEMBERED:
                self._meanwhile.clear()
            self._meanwhile[key_id, rule.unit] = (rule, before + amount)
        return told_whole(found, rule, part)

    def meanwhile(self) -> Iterator[tuple[str, Rule, int]]:
        """What the others have to be told, once: whose, a rule that has room for it, and how much."""
        meanwhile, self._meanwhile = self._meanwhile, {}
        for (key_id, unit), (rule, amount) in meanwhile.items():
            for bound in rule.bounds:
                counted = min(amount, self.used(key_id, unit, bound.name))
                if counted:
                    # What is through is through: there is room for it, whatever the limit is.
                    yield (
                        key_id,
                        Rule(unit, (Bound(bound.name, NO_LIMIT, bound.seconds),)),
                        counted,
                    )
            if rule.total:
                yield key_id, Rule(unit, total=NO_LIMIT), amount


def told_whole(found: Taken | Short, rule: Rule, part: Rule) -> Taken | Short:
    """What a part of the rule came to, in the numbers of the whole: callers know no parts."""
    if isinstance(found, Short):
        for whole, own in zip(rule.bounds, part.bounds, strict=True):
            if whole.name == found.name:
                free = found.free * whole.limit // own.limit
                return Short(found.name, whole.limit, free, found.wait_s)
        limit = rule.places if found.limit == part.places and rule.places else found.limit
        return Short(found.name, limit, found.free, found.wait_s)
    if found.gauge is None or found.which < 0:
        return found
    whole, own = rule.bounds[found.which], part.bounds[found.which]
    remaining = found.gauge.remaining * whole.limit // own.limit
    return Taken(
        found.at,
        found.amount,
        Gauge(whole.limit, remaining, found.gauge.reset_s),
        found.which,
    )
