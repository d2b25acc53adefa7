"""By when a call has to be answered: the house's time, and less where the caller has less (U16).

Every try, pause and hedge of the call ends by then. ``x-dragoman-timeout-ms`` bounds the whole answer,
the end of a stream included. What the official SDKs tell of their own patience bounds the beginning:
behind it nobody listens. A time that the caller has set says nothing about a provider's health.
"""

from __future__ import annotations

from math import inf

from msgspec import Struct

from dragoman.core.call import Call
from dragoman.core.errors import UpstreamError, invalid

TIMEOUT = "x-dragoman-timeout-ms"
_PYTHON = "x-stainless-read-timeout"
_TYPESCRIPT = "x-stainless-timeout"
"""Seconds, of the official SDKs."""
_TOLD = frozenset({TIMEOUT, _PYTHON, _TYPESCRIPT})
LONGEST_MS = 86_400_000
SLACK_S = 1.0
"""How much longer than an SDK would wait: its own clock ends first, and its program gets its own timeout."""


class Deadline(Struct, frozen=True, gc=False):
    """Monotonic seconds."""

    begin: float
    """By which the first content, or a whole reply, has to be there."""
    end: float = inf
    """By which the last has to be there."""
    own: bool = False
    """Whether ``begin`` is the caller's, not the house's."""


def deadline_of(call: Call, now: float, first_event_s: float) -> Deadline:
    """The deadline of a call whose first try is about to begin.

    Raises:
        CallerError: the header holds no number of milliseconds.
    """
    headers = call.headers
    begin = now + first_event_s
    if _TOLD.isdisjoint(headers):
        return Deadline(begin)
    patience = inf
    for name in (_PYTHON, _TYPESCRIPT):
        if name in headers:
            patience = min(patience, _seconds(headers[name]))
    end = inf
    if TIMEOUT in headers:
        end = call.received + _milliseconds(headers[TIMEOUT]) / 1000
    theirs = min(end, call.received + patience + SLACK_S)
    return Deadline(min(begin, theirs), end, theirs < begin)


def late() -> UpstreamError:
    """What is told where the caller's own time is over."""
    return UpstreamError(
        "timeout",
        "The time that the request itself allows is over.",
        code="deadline_exceeded",
        sent="no",
    )


def _milliseconds(said: str) -> int:
    if (
        said.isascii()
        and said.isdigit()
        and len(said) <= 9
        and 0 < (number := int(said)) <= LONGEST_MS
    ):
        return number
    shown = said if len(said) <= 40 else said[:40] + "…"
    raise invalid(
        f"{TIMEOUT} must be a whole number of milliseconds from 1 to {LONGEST_MS}, not {shown!r}.",
        TIMEOUT,
        "invalid_field_value",
    )


def _seconds(said: str) -> float:
    """What an SDK has written; what cannot be read bounds nothing."""
    try:
        number = float(said)
    except ValueError:
        return inf
    return number if number > 0 else inf
