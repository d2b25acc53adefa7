"""Which of the last calls the limits of another configuration would have refused.

Tiers stand in the configuration, and a key says which is its own. So the calls of each key are counted once
more, the oldest first, under the tiers in force and under the others. A call counts with the tokens that it
used, where admission reserved what it might use; what lies before the first of the calls is not known, so that
allowances, which no time gives back, are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from dragoman.accounting.entry import RequestRow
from dragoman.admission.meter import Meter
from dragoman.admission.ports import NO_PAST, Short
from dragoman.admission.rules import NO_RULES, Rule, Unit
from dragoman.admission.tiers import Tiers
from dragoman.core.call import Caller
from dragoman.core.errors import HouseError
from dragoman.identity.ports import KeyRecord

NO_TIER = "no such tier"
"""In the place of a limit's name: keys of a tier that there is not are refused."""


class Difference(Struct, frozen=True):
    """How many of a key's calls a limit refuses."""

    key_id: str
    caller: str
    tier: str | None
    limit: str
    """Its name, as in a tier; or ``NO_TIER``."""
    before: int
    after: int


class _Use(Struct, frozen=True, gc=False):
    """What one call used."""

    at: float
    call_id: str
    key_id: str
    tokens: int
    duration_s: float


class LimitReplay:
    """The last calls of the keys that are limited."""

    def __init__(self, before: Tiers, after: Tiers, keys: Mapping[str, KeyRecord]) -> None:
        self._sides = (before, after)
        self._callers = {
            key.id: Caller(key.id, key.tenant, key.name, key.role, key.limits, key.tier)
            for key in keys.values()
        }
        self._uses: list[_Use] = []

    def feed(self, calls: Iterable[RequestRow]) -> None:
        """Takes down some calls, in any order."""
        for call in calls:
            caller = self._callers.get(call.key_id)
            if caller is not None and any(_is_limited(caller, side) for side in self._sides):
                used = call.consumed
                tokens = (used.input_tokens or 0) + (used.output_tokens or 0)
                at = call.created_us / 1_000_000
                duration_s = call.duration_s or 0.0
                self._uses.append(_Use(at, call.call_id, call.key_id, tokens, duration_s))

    def differences(self) -> list[Difference]:
        """Where the two configurations refuse other numbers of calls, the greatest difference first."""
        self._uses.sort(key=lambda use: (use.at, use.call_id))
        before, after = (self._refused(side) for side in self._sides)
        found = []
        for key_id, limit in before.keys() | after.keys():
            caller = self._callers[key_id]
            was, would = before.get((key_id, limit), 0), after.get((key_id, limit), 0)
            if was != would:
                found.append(Difference(key_id, caller.name, caller.tier, limit, was, would))
        return sorted(
            found, key=lambda each: (-abs(each.after - each.before), each.key_id, each.limit)
        )

    def _refused(self, tiers: Tiers) -> dict[tuple[str, str], int]:
        """How many calls each limit of each key refuses."""
        meters: dict[tuple[str, Unit], Meter] = {}
        found: dict[tuple[str, str], int] = {}
        for use in self._uses:
            limit = _refusing(use, self._callers[use.key_id], tiers, meters)
            if limit is not None:
                key = (use.key_id, limit)
                found[key] = found.get(key, 0) + 1
        return found


def _is_limited(caller: Caller, tiers: Tiers) -> bool:
    try:
        return tiers.rules(caller) is not NO_RULES
    except HouseError:
        return True


def _refusing(
    use: _Use, caller: Caller, tiers: Tiers, meters: dict[tuple[str, Unit], Meter]
) -> str | None:
    """The limit that refuses a call; None: it is let in, and counted."""
    try:
        rules = tiers.rules(caller)
    except HouseError:
        return NO_TIER
    for rule, amount in ((rules.requests, 1), (rules.tokens, use.tokens)):
        short = _taken(use, replace(rule, total=0), amount, meters)
        if short is not None:
            return short.name
    return None


def _taken(
    use: _Use, rule: Rule, amount: int, meters: dict[tuple[str, Unit], Meter]
) -> Short | None:
    if rule.is_open or not amount:
        return None
    meter = meters.setdefault((use.key_id, rule.unit), Meter())
    place = use.call_id if rule.places else None
    found = meter.take(rule, amount, use.at, place=place, place_s=use.duration_s, past=NO_PAST)
    return found if isinstance(found, Short) else None
