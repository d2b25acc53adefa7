"""How long it is until a moment that a server has told as a date, by its own clock (RFC 9110 §10.2.3)."""

from __future__ import annotations

from email.utils import parsedate_to_datetime


def seconds_until(then: str, now: str) -> float | None:
    """Seconds from its ``date`` to such a moment, none if it is over; None: not both are dates."""
    try:
        return max(0.0, (parsedate_to_datetime(then) - parsedate_to_datetime(now)).total_seconds())
    except (TypeError, ValueError, OverflowError, IndexError):
        return None  # a date that is none, or one with and one without a zone
