"""Whether a request that has been tried may be tried at another candidate, too (U1, U12).

A candidate that is answering costs nothing, however many fall back to it. One whose last word was
a failure costs an allowance. One of which nothing is known does too; where none is left, and others
are just trying it, their word is waited for: a standby that was never used takes over from a
provider that a hundred requests have met dying, and is asked three times if it is dead itself.
"""

from __future__ import annotations

from dragoman.attempt.means import Means
from dragoman.core.provider import Candidate
from dragoman.health.health import key_of


def is_answering(candidate: Candidate, means: Means) -> bool:
    """Whether the candidate has answered before, and not failed since."""
    return not means.allowances.is_failing(key_of(candidate)) and means.health.has_answered(
        candidate
    )


async def may_try(candidate: Candidate, means: Means, until: float) -> bool:
    """Whether the candidate may be tried as well, which is then paid for; ``until`` bounds the wait."""
    if is_answering(candidate, means):
        return True
    now = means.monotonic()
    whose, model, _ = key = key_of(candidate)
    if means.allowances.take(whose, now):
        return True
    if means.allowances.is_failing(key):
        return False
    if not means.health.busy.of(whose, model):
        return False
    await means.allowances.word(key, min(until - now, means.policy.retry_after_cap_s))
    return is_answering(candidate, means)
