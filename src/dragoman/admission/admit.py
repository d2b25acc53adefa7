"""Says whether a caller may make one more request now, and if not, when.

A key without limits passes without a look at the store; a limit of 0 is no limit
(R-TIER-002). In ``MODE=test`` the quotas of the test stand in place of every key's own.
"""

from __future__ import annotations

from dragoman.admission.ports import LimitStore
from dragoman.core.call import Allowed, Caller, Denied, Limits
from dragoman.core.clock import Clock
from dragoman.core.errors import CallerError

_FREE = Allowed()
_CODES = {"rps": "rps_exceeded", "rpm": "rpm_exceeded", "rpd": "daily_quota_exceeded"}
_SPANS = {"rps": "second", "rpm": "minute", "rpd": "day"}


async def admit(
    caller: Caller, store: LimitStore, clock: Clock, everyone: Limits | None = None
) -> Allowed | Denied:
    """Counts a request of ``caller``; ``everyone`` replaces each key's own limits."""
    limits = caller.limits if everyone is None else everyone
    if not (limits.rps or limits.rpm or limits.rpd):
        return _FREE
    return await store.hit(caller.key_id, limits, clock.monotonic())


def refusal(denied: Denied) -> CallerError:
    """The 429 that says which limit was reached and when to come back."""
    span = _SPANS[denied.limit_name]
    return CallerError(
        "rate_limit",
        f"This API key may make {denied.limit} requests per {span}: "
        f"try again in {denied.retry_after_s:.3g} seconds.",
        code=_CODES[denied.limit_name],
        retry_after_s=denied.retry_after_s,
    )
