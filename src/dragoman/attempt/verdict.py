"""What a failed try means: again, the next candidate, or the end. Pure (D17, `design.md` §4).

| failure | says | so |
|---|---|---|
| the request is wrong (400, 413, 422 …) | it would fail anywhere | give up |
| the model is not there, our key is refused, no quota | something of this candidate | next |
| a certificate, an address or a redirect that is wrong | it stays wrong | next |
| rate limit, come back within 10 s | wait | retry |
| rate limit, later | not now | next |
| no answer within the time | perhaps it is still working on it | next |
| no connection, or none in time | somebody else is sooner there (U1, U2) | next, retry where there is none |
| a broken connection, 5xx, overload, garbage, an error before any content | trouble | retry, then next |

Retries cost an allowance; without one left the next candidate is tried at once.
"""

from __future__ import annotations

from math import inf
from typing import TypeAlias

from msgspec import Struct

from dragoman.attempt.policy import Policy
from dragoman.core.errors import Kind, UpstreamError


class Retry(Struct, frozen=True, gc=False):
    """The same candidate again, after a pause in seconds."""

    after_s: float


class Next(Struct, frozen=True, gc=False):
    """The next candidate of the plan."""


class GiveUp(Struct, frozen=True, gc=False):
    """The error goes to the caller."""


Verdict: TypeAlias = Retry | Next | GiveUp

_ABOUT_THE_REQUEST: frozenset[Kind] = frozenset(
    {
        "invalid_request",
        "unsupported_feature",
        "conflict",
        "too_large",
        "unprocessable",
        "content_policy",
        "context_length",
    }
)
_ABOUT_THE_CANDIDATE: frozenset[Kind] = frozenset(
    {"authentication", "billing", "permission", "not_found", "quota"}
)
_OUR_CREDENTIAL = frozenset({401, 402, 403})
"""The caller is told 502 of these: its own key is fine."""


def verdict(
    error: UpstreamError,
    policy: Policy,
    *,
    retries: int,
    affordable: bool,
    more: bool,
    dice: float,
    left_s: float = inf,
) -> Verdict:
    """What to do about a failure before the caller has got anything.

    Args:
        error: what the provider or the way to it said.
        policy: the numbers.
        retries: how many retries this call has had.
        affordable: whether the allowance has one left.
        more: whether the plan has another candidate.
        dice: a random number in [0, 1), for full jitter.
        left_s: what is left of the call's time; a pause that is longer leads to the next one.
    """
    onward: Verdict = Next() if more else GiveUp()
    if error.kind in _ABOUT_THE_REQUEST:
        return GiveUp()
    if error.kind in _ABOUT_THE_CANDIDATE or error.upstream_status in _OUR_CREDENTIAL:
        return onward
    if error.upstream_status is not None and 300 <= error.upstream_status < 400:
        return onward
    if error.sent == "no" and (more or not error.retryable):
        return onward
    if retries >= policy.max_retries or not affordable:
        return onward
    if error.kind == "timeout" and error.sent != "no":
        return onward
    pause = dice * min(policy.backoff_cap_s, policy.backoff_s * 2**retries)
    if error.retry_after_s is not None:
        pause = max(0.0, error.retry_after_s)
    return Retry(pause) if pause <= policy.retry_after_cap_s and pause < left_s else onward


def is_about_the_request(error: UpstreamError) -> bool:
    """Whether the request itself is wrong: it would fail anywhere, and who says so is well."""
    return error.kind in _ABOUT_THE_REQUEST
