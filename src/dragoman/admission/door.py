"""Lets a call in, and reserves its tokens: what admission says of its caller is noted at the call.

Where nothing has to be waited for, as most times, both are done at once; else they say False, and nothing is done.
"""

from __future__ import annotations

from msgspec.structs import replace

from dragoman.admission.admit import (
    Cost,
    Gate,
    Place,
    Reserved,
    admit,
    counted_as,
    refused,
)
from dragoman.admission.ports import Short, Taken
from dragoman.admission.refusal import LimitError
from dragoman.admission.rules import Rule
from dragoman.core.call import UNLIMITED, Allowed, Call, Caller, Gauge


def let_in(call: Call, caller: Caller, gate: Gate) -> bool:
    """Counts the call against the caller's limits, before its body is read.

    Raises:
        CallerError: 429, a limit is reached.
        HouseError: the caller's key has a tier that there is not.
    """
    rule = gate.tiers.rules(caller).requests
    if rule.is_open:
        call.allowed = UNLIMITED
        return True
    store = gate.store
    place: Place | None = None
    if rule.places:
        place = Place(store, caller.key_id, rule, call.id)
        taken = store.take_now(caller.key_id, rule, 1, call.id)
    else:
        taken = store.take_now(caller.key_id, rule, 1)
    if not isinstance(taken, Taken):
        return _waits(taken, 1, call, gate)
    call.allowed, call.hold = Allowed(taken.gauge), place
    return True


async def let_in_later(call: Call, caller: Caller, gate: Gate) -> None:
    """The same, with all that has to be waited for."""
    try:
        ticket = await admit(caller, Cost(place=call.id), gate)
    except LimitError as error:
        call.allowed = error.denied
        raise
    call.allowed, call.hold = ticket.allowed, ticket.place


def reserve(tokens: int, rule: Rule, call: Call, caller: Caller, gate: Gate) -> bool:
    """Takes what the call may use of the caller's limits on tokens; what it did use is settled at its end.

    ``rule`` is what holds for the caller's tokens.

    Raises:
        CallerError: 429, a limit is reached.
    """
    name = counted_as(caller, rule) if rule.total else caller.key_id
    store = gate.store
    taken = store.take_now(name, rule, tokens)
    if not isinstance(taken, Taken):
        return _waits(taken, tokens, call, gate)
    allowed = call.allowed
    call.allowed = Allowed(None if allowed is None else allowed.requests, taken.gauge)
    call.ended += (Reserved(store, name, rule, taken).end,)
    return True


async def reserve_later(tokens: int, call: Call, caller: Caller, gate: Gate) -> None:
    """The same, with all that has to be waited for."""
    try:
        ticket = await admit(caller, Cost(requests=0, tokens=tokens), gate)
    except LimitError as error:
        call.allowed = replace(error.denied, requests=_requests(call))
        raise
    call.allowed = Allowed(_requests(call), ticket.allowed.tokens)
    if ticket.reserved is not None:
        call.ended += (ticket.reserved.end,)


def _waits(found: Short | None, amount: int, call: Call, gate: Gate) -> bool:
    """False: it has to be waited for.

    Raises:
        CallerError: 429, there is no room.
    """
    if found is None:
        return False
    error = refused(found, amount, gate)
    call.allowed = replace(error.denied, requests=_requests(call))
    raise error


def _requests(call: Call) -> Gauge | None:
    """How the limits on requests stand."""
    return None if call.allowed is None else call.allowed.requests
