"""Tells a caller how much of its limit is left, in OpenAI's names and in the plain ones."""

from __future__ import annotations

from math import ceil

from dragoman.core.call import Allowed, Denied


def headers_of(verdict: Allowed | Denied) -> dict[str, str]:
    """The rate-limit headers of an answer; none where the caller has no limit.

    ``x-ratelimit-reset`` is in whole seconds, OpenAI's ``x-ratelimit-reset-requests`` is a
    duration such as ``6m0s``; both say when the whole limit is free again, and for a refusal
    when one request is. ``retry-after`` belongs to the error, not here.
    """
    if isinstance(verdict, Denied):
        return _headers(verdict.limit, 0, verdict.retry_after_s)
    if verdict.limit is None or verdict.remaining is None or verdict.reset_s is None:
        return {}
    return _headers(verdict.limit, verdict.remaining, verdict.reset_s)


def _headers(limit: int, remaining: int, seconds: float) -> dict[str, str]:
    return {
        "x-ratelimit-limit": str(limit),
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-reset": str(ceil(seconds)),
        "x-ratelimit-limit-requests": str(limit),
        "x-ratelimit-remaining-requests": str(remaining),
        "x-ratelimit-reset-requests": duration(seconds),
    }


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
