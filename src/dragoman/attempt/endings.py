"""Ways in which a try ends that no provider has told: in words, and for asyncio."""

from __future__ import annotations

import asyncio

from dragoman.core.errors import CallerError, HouseError, UpstreamError
from dragoman.core.provider import Candidate


def resting(candidate: Candidate, back_in_s: float) -> UpstreamError:
    """What is said where the breaker of the only candidate is open."""
    return UpstreamError(
        "overloaded",
        f"{candidate.name} has failed repeatedly and is given a rest; try again shortly.",
        code="provider_down",
        sent="no",
        retry_after_s=back_in_s,
        provider=candidate.provider.name,
        retryable=True,
    )


def unpaid() -> CallerError:
    """What is said where nothing is left for the first try, though it had been."""
    return CallerError(
        "quota",
        "The budget was used up before a provider could be asked.",
        code="insufficient_quota",
    )


def draining() -> HouseError:
    """What is told where the server ends before the answer does."""
    return HouseError(
        "overloaded",
        "The gateway is shutting down; ask again.",
        code="server_draining",
        retryable=True,
    )


def silent(idle_s: float) -> UpstreamError:
    """What is told where the provider stops in the middle."""
    return UpstreamError(
        "timeout",
        f"The provider sent nothing for {idle_s:g} seconds.",
        code="stream_timeout",
        retryable=True,
    )


def unheard(first_event_s: float) -> UpstreamError:
    """What is told where the provider sends signs of life and nothing else."""
    return UpstreamError(
        "timeout",
        f"The provider sent no content within {first_event_s:g} seconds.",
        code="read_timeout",
        retryable=True,
    )


def uncancel() -> None:
    """Takes back a cancellation that was ours to handle."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
