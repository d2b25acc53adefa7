"""Tells a caller how much of its limits is left, in the names that its family's clients read.

OpenAI's are durations (``6m0s``), Anthropic's are moments (RFC 3339), the plain ones whole seconds. What a
refusal says of when to come back is ``retry-after``, which belongs to the error, and not here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from math import ceil

from dragoman.core.call import Allowed, Denied, Gauge
from dragoman.core.provider import Family

_NAMES = {
    (False, unit): (
        f"x-ratelimit-limit-{unit}",
        f"x-ratelimit-remaining-{unit}",
        f"x-ratelimit-reset-{unit}",
    )
    for unit in ("requests", "tokens")
} | {
    (True, unit): (
        f"anthropic-ratelimit-{unit}-limit",
        f"anthropic-ratelimit-{unit}-remaining",
        f"anthropic-ratelimit-{unit}-reset",
    )
    for unit in ("requests", "tokens")
}
"""By whether they are Anthropic's, and by unit: of the limit, what remains of it, and its reset."""
_TOKENS = frozenset({"tpm", "tpd", "max_tokens"})


def headers_of(
    verdict: Allowed | Denied, family: Family = "chat", wall: float = 0.0
) -> dict[str, str]:
    """The rate-limit headers of an answer; none where the caller has no limit.

    A gauge tells when the whole limit is free again; that of a refusal, when what was asked for is.
    ``wall`` is the Unix time of the answer.
    """
    requests, tokens = gauges(verdict)
    found: dict[str, str] = {}
    if requests is not None:
        found["x-ratelimit-limit"] = str(requests.limit)
        found["x-ratelimit-remaining"] = str(requests.remaining)
        found["x-ratelimit-reset"] = str(ceil(requests.reset_s))
        _tell(found, _NAMES[family == "anthropic", "requests"], requests, wall)
    if tokens is not None:
        _tell(found, _NAMES[family == "anthropic", "tokens"], tokens, wall)
    return found


def _tell(found: dict[str, str], names: tuple[str, str, str], gauge: Gauge, wall: float) -> None:
    limit, remaining, reset = names
    found[limit], found[remaining] = str(gauge.limit), str(gauge.remaining)
    is_moment = reset.startswith("anthropic")
    found[reset] = moment(wall + gauge.reset_s) if is_moment else duration(gauge.reset_s)


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
