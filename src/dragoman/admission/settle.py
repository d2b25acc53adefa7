"""How many tokens a call has used, for the limits that a part of them was reserved from."""

from __future__ import annotations

from dragoman.core.call import Outcome, Status

_AT_WORK: frozenset[Status] = frozenset(
    {"complete", "client_cut", "upstream_cut", "hedge_lost", "unknown"}
)
"""How attempts end that a provider has worked on, whether or not it tells what that took."""


def tokens_of(outcome: Outcome, reserved: int) -> int:
    """The tokens of all attempts, as their providers report them or the ledger estimates them.

    Where a provider has worked and does not say, what was reserved stays; a call that failed has used
    nothing but what was reported.
    """
    known, untold = 0, False
    for attempt in outcome.attempts:
        usage = attempt.estimated or attempt.usage
        if usage is not None and (usage.input is not None or usage.output is not None):
            known += (usage.input or 0) + (usage.billed_output or 0)
        elif attempt.status in _AT_WORK:
            untold = True
    return max(known, reserved) if untold else known
