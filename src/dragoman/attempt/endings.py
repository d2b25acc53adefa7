"""Ways in which a try ends that no provider has told: in words, and for asyncio."""

from __future__ import annotations

import asyncio

from dragoman.core.call import Call, Status
from dragoman.core.errors import CallerError, GatewayError, HouseError, UpstreamError
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


def cut_short(call: Call) -> GatewayError:
    """What is told where the call is ended before its answer is whole: its own reason, or that the server ends."""
    return call.cut or HouseError(
        "overloaded",
        "The gateway is shutting down; ask again.",
        code="server_draining",
        retryable=True,
    )


def status_of_cut(call: Call) -> Status:
    """How an attempt ends by that: by no fault of ours where the call had a reason of its own."""
    return "house_error" if call.cut is None else "client_cut"


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
