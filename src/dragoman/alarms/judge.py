"""Which figures are trouble, by the operator's thresholds; pure.

What is raised once for an hour or a day says so in ``about``, so that it is raised again in the next.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from dragoman.alarms.alarm import Alarm, Endpoint
from dragoman.core import money

_HOUR_S = 3600
_CRITICAL_SHARE = 0.9


class Policy(Struct, frozen=True):
    """The operator's `[alerts]`; 0 switches a judgment off."""

    velocity: float = 5.0
    """Times what is spent in a usual hour."""
    velocity_min_pico: int = 10**12
    """Less than that in an hour is never trouble."""
    error_rate: float = 0.5
    error_rate_min_calls: int = 20
    error_rate_window_s: float = 300.0
    drift: float = 0.01
    drift_min_pico: int = 10**10
    """So much has to have been compared."""
    look_every_s: float = 30.0
    endpoints: tuple[Endpoint, ...] = ()


class Spending(Struct, frozen=True):
    """What somebody spends in this hour, and has spent in those of the week before in which it spent anything."""

    scope: str
    """``all``, ``tenant`` or ``key``."""
    tenant: str
    key_id: str
    now_pico: int
    before_pico: int
    hours: int


class Failing(Struct, frozen=True):
    """How calls of a model have ended of late."""

    provider: str
    model: str
    calls: int
    failed: int


class Drifting(Struct, frozen=True):
    """What a provider says that calls have cost, and what we had reckoned; amounts in 10⁻¹² USD."""

    provider: str
    model: str
    source: str
    ours_pico: int
    theirs_pico: int

    @property
    def share(self) -> float:
        """By which part of ours theirs is more; negative: less."""
        if not self.ours_pico:
            return 1.0 if self.theirs_pico else 0.0
        return (self.theirs_pico - self.ours_pico) / self.ours_pico


_FEWEST_HOURS = 3
"""Of less it is not known what is usual."""


def too_fast(policy: Policy, found: Iterable[Spending], hour: int) -> list[Alarm]:
    """Who spends many times what it usually does."""
    alarms = []
    for each in found:
        if not policy.velocity or each.hours < _FEWEST_HOURS:
            continue
        if each.now_pico < policy.velocity_min_pico:
            continue
        usual = each.before_pico / each.hours
        if each.now_pico < policy.velocity * usual:
            continue
        whom = {"all": "All callers", "tenant": f"Tenant {each.tenant}"}.get(
            each.scope, f"Key {each.key_id} of tenant {each.tenant}"
        )
        times = each.now_pico / usual if usual else 0.0
        spent, before = _usd(each.now_pico), _usd(int(usual))
        alarms.append(
            Alarm(
                "velocity",
                f"{each.scope} {each.tenant} {each.key_id} {hour}",
                "warning",
                f"{whom} spent {spent} USD within this hour, and usually {before} USD.",
                {
                    "scope": each.scope,
                    "tenant": each.tenant,
                    "key_id": each.key_id,
                    "spent_usd": spent,
                    "usual_usd": before,
                    "times": round(times, 2),
                    "threshold": policy.velocity,
                },
            )
        )
    return alarms


def failing(policy: Policy, found: Iterable[Failing], wall: float) -> list[Alarm]:
    """Models too many of whose calls fail."""
    hour = int(wall // _HOUR_S)
    alarms = []
    for each in found:
        if not policy.error_rate or each.calls < max(1, policy.error_rate_min_calls):
            continue
        rate = each.failed / each.calls
        if rate < policy.error_rate:
            continue
        name = f"{each.provider}/{each.model}"
        alarms.append(
            Alarm(
                "errors",
                f"{name} {hour}",
                "critical" if rate >= _CRITICAL_SHARE else "warning",
                f"{each.failed} of the last {each.calls} calls of {name} failed.",
                {
                    "provider": each.provider,
                    "model": each.model,
                    "calls": each.calls,
                    "failed": each.failed,
                    "rate": round(rate, 4),
                    "threshold": policy.error_rate,
                    "window_s": policy.error_rate_window_s,
                },
            )
        )
    return alarms


def drifting(policy: Policy, found: Iterable[Drifting], day: int) -> list[Alarm]:
    """Models that cost something else than we reckon."""
    alarms = []
    for each in found:
        if not policy.drift or abs(each.share) <= policy.drift:
            continue
        if max(each.ours_pico, each.theirs_pico) < policy.drift_min_pico:
            continue
        name = f"{each.provider}/{each.model}" if each.model else each.provider
        ours, theirs = _usd(each.ours_pico), _usd(each.theirs_pico)
        alarms.append(
            Alarm(
                "drift",
                f"{name} {each.source} {day}",
                "warning",
                f"{name} cost {theirs} USD by its provider and {ours} USD by the ledger.",
                {
                    "provider": each.provider,
                    "model": each.model,
                    "source": each.source,
                    "ours_usd": ours,
                    "theirs_usd": theirs,
                    "share": round(each.share, 6),
                    "threshold": policy.drift,
                },
            )
        )
    return alarms


def _usd(pico: int) -> str:
    return money.plain(money.from_pico(pico))
