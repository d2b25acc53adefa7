"""Lets a call in, and reserves its tokens: what admission says of its caller is noted at the call.

Where nothing has to be waited for, as most times, both are done at once; else they say False, and nothing is done.
"""

from __future__ import annotations

from msgspec.structs import replace

from dragoman.admission.admit import (
    REQUEST,
    Cost,
    Gate,
    admit,
    admit_request,
    admit_tokens,
)
from dragoman.admission.refusal import LimitError
from dragoman.admission.rules import Rule
from dragoman.core.call import Allowed, Call, Caller, Gauge


def let_in(call: Call, caller: Caller, gate: Gate) -> bool:
    """Counts the call against the caller's limits, before its body is read.

    Raises:
        CallerError: 429, a limit is reached.
    """
    try:
        ticket = admit_request(caller, gate)
    except LimitError as error:
        call.allowed = error.denied
        raise
    if ticket is None:
        return False
    call.allowed = ticket.allowed
    if ticket.holds_place:
        call.hold = ticket
    return True


async def let_in_later(call: Call, caller: Caller, gate: Gate) -> None:
    """The same, with all that has to be waited for."""
    try:
        ticket = await admit(caller, REQUEST, gate)
    except LimitError as error:
        call.allowed = error.denied
        raise
    call.allowed = ticket.allowed
    if ticket.holds_place:
        call.hold = ticket


def reserve(tokens: int, rule: Rule, call: Call, caller: Caller, gate: Gate) -> bool:
    """Takes what the call may use of the caller's limits on tokens; what it did use is settled at its end.

    ``rule`` is what holds for the caller's tokens.

    Raises:
        CallerError: 429, a limit is reached.
    """
    allowed = call.allowed
    requests = None if allowed is None else allowed.requests
    try:
        ticket = admit_tokens(caller, tokens, rule, gate, requests)
    except LimitError as error:
        call.allowed = replace(error.denied, requests=requests)
        raise
    if ticket is None:
        return False
    call.allowed = ticket.allowed
    call.ended += (ticket.end,)
    return True


async def reserve_later(tokens: int, call: Call, caller: Caller, gate: Gate) -> None:
    """The same, with all that has to be waited for."""
    try:
        ticket = await admit(caller, Cost(requests=0, tokens=tokens), gate)
    except LimitError as error:
        call.allowed = replace(error.denied, requests=_requests(call))
        raise
    call.allowed = Allowed(_requests(call), ticket.allowed.tokens)
    call.ended += (ticket.end,)


def _requests(call: Call) -> Gauge | None:
    """How the limits on requests stand."""
    return None if call.allowed is None else call.allowed.requests
