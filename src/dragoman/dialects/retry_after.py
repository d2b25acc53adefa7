"""When a provider says to come back (RFC 9110 §10.2.3, and OpenAI's own finer header)."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

_LONGEST_S = 86_400 * 366
"""Who says to wait for longer than a year has said nothing."""


def read_retry_after(headers: dict[str, str]) -> float | None:
    """When to come back, in seconds from now; a date counts from the answer's own ``date``."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name, "").strip()
        if not text:
            continue
        try:
            seconds = float(text) * scale
        except ValueError:
            if (found := _until(text, headers.get("date", ""))) is not None:
                return found
            continue
        if seconds < _LONGEST_S:  # and no NaN
            return max(0.0, seconds)
    return None


def _until(then: str, now: str) -> float | None:
    try:
        return max(0.0, (parsedate_to_datetime(then) - parsedate_to_datetime(now)).total_seconds())
    except (TypeError, ValueError, OverflowError, IndexError):
        return None  # a date that is none, or one with and one without a zone
