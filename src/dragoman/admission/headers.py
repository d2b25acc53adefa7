"""Tells a caller how much of its limits is left, in the names that its family's clients read.

OpenAI's are durations (``6m0s``), Anthropic's are moments (RFC 3339), the plain ones whole seconds. What a
refusal says of when to come back is ``retry-after``, which belongs to the error, and not here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from math import ceil

from dragoman.core.call import Allowed, Denied, Gauge
from dragoman.core.provider import Family

_TOKENS = frozenset({"tpm", "tpd", "max_tokens"})


def limit_text(
    verdict: Allowed | Denied, family: Family = "chat", wall: float = 0.0
) -> tuple[str, int]:
    """The rate-limit headers of an answer, and how many they are; none where the caller has no limit.

    Each is ``name: value`` with its line's end. A gauge tells when the whole limit is free again; that of a
    refusal, when what was asked for is. ``wall`` is the Unix time of the answer.
    """
    if isinstance(verdict, Allowed):
        requests, tokens = verdict.requests, verdict.tokens
    else:
        requests, tokens = _refused(verdict)
    if family != "anthropic" and requests is not None and tokens is not None:
        reset_s = requests.reset_s
        return (
            f"x-ratelimit-limit: {requests.limit}\r\n"
            f"x-ratelimit-remaining: {requests.remaining}\r\n"
            f"x-ratelimit-reset: {ceil(reset_s)}\r\n"
            f"x-ratelimit-limit-requests: {requests.limit}\r\n"
            f"x-ratelimit-remaining-requests: {requests.remaining}\r\n"
            f"x-ratelimit-reset-requests: {duration(reset_s)}\r\n"
            f"x-ratelimit-limit-tokens: {tokens.limit}\r\n"
            f"x-ratelimit-remaining-tokens: {tokens.remaining}\r\n"
            f"x-ratelimit-reset-tokens: {duration(tokens.reset_s)}\r\n"
        ), 9
    beside = "" if tokens is None else _told("tokens", tokens, family, wall)
    if requests is None:
        return beside, 3 if beside else 0
    text = (
        f"x-ratelimit-limit: {requests.limit}\r\n"
        f"x-ratelimit-remaining: {requests.remaining}\r\n"
        f"x-ratelimit-reset: {ceil(requests.reset_s)}\r\n"
        f"{_told('requests', requests, family, wall)}{beside}"
    )
    return text, 9 if beside else 6


def _told(unit: str, gauge: Gauge, family: Family, wall: float) -> str:
    """The limit, what remains of it, and its reset, in the names of the family's clients."""
    if family == "anthropic":
        return (
            f"anthropic-ratelimit-{unit}-limit: {gauge.limit}\r\n"
            f"anthropic-ratelimit-{unit}-remaining: {gauge.remaining}\r\n"
            f"anthropic-ratelimit-{unit}-reset: {moment(wall + gauge.reset_s)}\r\n"
        )
    return (
        f"x-ratelimit-limit-{unit}: {gauge.limit}\r\n"
        f"x-ratelimit-remaining-{unit}: {gauge.remaining}\r\n"
        f"x-ratelimit-reset-{unit}: {duration(gauge.reset_s)}\r\n"
    )


def _refused(verdict: Denied) -> tuple[Gauge | None, Gauge | None]:
    """How the limits on requests and on tokens stand, of which one refuses."""
    refused = Gauge(verdict.limit, verdict.free, verdict.retry_after_s or 0.0)
    return (verdict.requests, refused) if verdict.limit_name in _TOKENS else (refused, None)


def moment(wall: float) -> str:
    """A Unix time as Anthropic writes it: ``2026-01-01T00:00:30Z``."""
    return datetime.fromtimestamp(ceil(wall), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def duration(seconds: float) -> str:
    """A duration as OpenAI writes it: ``120ms``, ``1.5s``, ``6m0s``, ``23h59m0s``."""
    ms = ceil(seconds * 1000)
    if ms >= 60_000:
        return _minutes(ms // 1000)
    return f"{ms}ms" if ms < 1000 else f"{ms / 1000:g}s"


@lru_cache(maxsize=1024)
def _minutes(seconds: int) -> str:
    """From a minute on, whole seconds, of which many answers tell the same."""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{minutes}m{seconds}s"
    return f"{hours}h{text}" if hours else text
