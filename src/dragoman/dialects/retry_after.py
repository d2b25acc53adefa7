"""When a provider says to come back (RFC 9110 §10.2.3, and OpenAI's own finer header)."""

from __future__ import annotations

from dragoman.core.http_date import seconds_until

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
            if (found := seconds_until(text, headers.get("date", ""))) is not None:
                return found
            continue
        if seconds < _LONGEST_S:  # and no NaN
            return max(0.0, seconds)
    return None
