"""Tells a caller how much of its limits is left, in the names that its family's clients read.

OpenAI's are durations (``6m0s``), Anthropic's are moments (RFC 3339), the plain ones whole seconds. What a
refusal says of when to come back is ``retry-after``, which belongs to the error, and not here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from math import ceil

from dragoman.core.call import Allowed, Denied, Gauge
from dragoman.core.provider import Family

_TOKENS = frozenset({"tpm", "tpd", "max_tokens"})


def limit_lines(
    verdict: Allowed | Denied, family: Family = "chat", wall: float = 0.0
) -> list[str]:
    """The rate-limit headers of an answer, each ``name: value``; none where the caller has no limit.

    A gauge tells when the whole limit is free again; that of a refusal, when what was asked for is.
    ``wall`` is the Unix time of the answer.
    """
    requests, tokens = gauges(verdict)
    lines: list[str] = []
    if requests is not None:
        lines += (
            f"x-ratelimit-limit: {requests.limit}",
            f"x-ratelimit-remaining: {requests.remaining}",
            f"x-ratelimit-reset: {ceil(requests.reset_s)}",
        )
        lines += _told("requests", requests, family, wall)
    if tokens is not None:
        lines += _told("tokens", tokens, family, wall)
    return lines


def _told(unit: str, gauge: Gauge, family: Family, wall: float) -> tuple[str, str, str]:
    """The limit, what remains of it, and its reset, in the names of the family's clients."""
    if family == "anthropic":
        return (
            f"anthropic-ratelimit-{unit}-limit: {gauge.limit}",
            f"anthropic-ratelimit-{unit}-remaining: {gauge.remaining}",
            f"anthropic-ratelimit-{unit}-reset: {moment(wall + gauge.reset_s)}",
        )
    return (
        f"x-ratelimit-limit-{unit}: {gauge.limit}",
        f"x-ratelimit-remaining-{unit}: {gauge.remaining}",
        f"x-ratelimit-reset-{unit}: {duration(gauge.reset_s)}",
    )


def gauges(verdict: Allowed | Denied) -> tuple[Gauge | None, Gauge | None]:
    """How the limits on requests and on tokens stand."""
    if isinstance(verdict, Allowed):
        return verdict.requests, verdict.tokens
    refused = Gauge(verdict.limit, verdict.free, verdict.retry_after_s or 0.0)
    return (verdict.requests, refused) if verdict.limit_name in _TOKENS else (refused, None)


def moment(wall: float) -> str:
    """A Unix time as Anthropic writes it: ``2026-01-01T00:00:30Z``."""
    return datetime.fromtimestamp(ceil(wall), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def duration(seconds: float) -> str:
    """A duration as OpenAI writes it: ``120ms``, ``1.5s``, ``6m0s``, ``23h59m0s``."""
    ms = ceil(seconds * 1000)
    if ms < 1000:
        return f"{ms}ms"
    minutes, ms = divmod(ms, 60_000)
    if not minutes:
        return f"{ms / 1000:g}s"
    hours, minutes = divmod(minutes, 60)
    text = f"{minutes}m{ms // 1000}s"
    return f"{hours}h{text}" if hours else text
