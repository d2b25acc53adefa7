"""Whose time a call has taken: the house's, its caller's, providers', or a pause between two tries."""

from __future__ import annotations

from dragoman.core.call import Attempt, Call


def shares_of(call: Call, now: float) -> tuple[float, float]:
    """Seconds of a call up to ``now``, monotonic seconds: the house's, and providers'.

    The house's are all that are nobody else's. Tries beside each other are counted once.
    """
    outcome = call.outcome
    upstream = upstream_of(outcome.attempts, now)
    ours = now - call.received - call.read_s - upstream - outcome.paused_s
    return max(0.0, ours), upstream


def upstream_of(attempts: list[Attempt], now: float) -> float:
    """Seconds for which providers were waited for up to ``now``, monotonic seconds."""
    if len(attempts) != 1:
        return _together(attempts, now)
    one = attempts[0]  # as it nearly always is
    took = one.answered_s or one.duration_s
    return now - one.started if took is None else took


def _together(attempts: list[Attempt], now: float) -> float:
    """How long attempts took that may overlap, where one is hedged."""
    upstream = until = 0.0
    for attempt in attempts:
        took = attempt.answered_s or attempt.duration_s
        end = now if took is None else attempt.started + took
        if end > until:
            upstream += end - max(attempt.started, until)
            until = end
    return upstream
