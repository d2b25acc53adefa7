"""Whose time a call has taken: the house's, its caller's, providers', or a pause between two tries."""

from __future__ import annotations

from typing import NamedTuple

from dragoman.core.call import Call


class Shares(NamedTuple):
    """Seconds of a call, up to some moment."""

    ours: float
    """All that is nobody else's."""
    upstream: float
    """That providers were waited for, tries beside each other counted once."""


def shares_of(call: Call, now: float) -> Shares:
    """The shares up to ``now``, monotonic seconds."""
    upstream = until = 0.0
    for attempt in call.outcome.attempts:
        took = attempt.answered_s or attempt.duration_s
        end = now if took is None else attempt.started + took
        # Attempts may overlap, where one is hedged.
        if end > until:
            upstream += end - max(attempt.started, until)
            until = end
    ours = now - call.received - call.read_s - upstream - call.outcome.paused_s
    return Shares(max(0.0, ours), upstream)
