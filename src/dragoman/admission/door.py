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
    refused,
)
from dragoman.admission.ports import Short, Taken
from dragoman.admission.refusal import LimitError
from dragoman.admission.tiers import Quota
from dragoman.core.call import UNLIMITED, Allowed, Call, Caller, Gauge


def let_in(call: Call, caller: Caller, gate: Gate) -> bool:
    """Counts the call against the caller's limits, before its body is read.

    Raises:
        CallerError: 429, a limit is reached.
        HouseError: the caller's key has a tier that there is not.
    """
    quota = gate.tiers.quota(caller)
    rule = quota.rules.requests
    if rule.is_open:
        call.allowed = UNLIMITED
        return True
    store, tally = gate.store, quota.requests
    held = call.id if rule.places else None
    taken = None if tally is None else tally.take_now(rule, 1, store.now(), held)
    if taken is None:
        found = store.take_now(caller.key_id, rule, 1, held)
        if not isinstance(found, Taken):
            return _waits(found, 1, call, gate)
        taken, quota.requests = found, store.tally(caller.key_id, rule.unit)
    call.allowed = Allowed(taken.gauge)
    if held is not None:
        call.hold = Place(store, caller.key_id, rule, held)
    return True


async def let_in_later(call: Call, caller: Caller, gate: Gate) -> None:
    """The same, with all that has to be waited for."""
    try:
        ticket = await admit(caller, Cost(place=call.id), gate)
    except LimitError as error:
        call.allowed = error.denied
        raise
    call.allowed, call.hold = ticket.allowed, ticket.place


def reserve(tokens: int, quota: Quota, call: Call, gate: Gate) -> bool:
    """Takes what the call may use of the caller's limits on tokens; what it did use is settled at its end.

    ``quota`` is the caller's.

    Raises:
        CallerError: 429, a limit is reached.
    """
    rule, tally, store = quota.rules.tokens, quota.tokens, gate.store
    taken = None if tally is None else tally.take_now(rule, tokens, store.now(), None)
    name = quota.tokens_as
    if taken is None:
        found = store.take_now(name, rule, tokens)
        if not isinstance(found, Taken):
            return _waits(found, tokens, call, gate)
        taken, tally = found, store.tally(name, rule.unit)
        quota.tokens = tally
    allowed = call.allowed
    call.allowed = Allowed(None if allowed is None else allowed.requests, taken.gauge)
    call.reserved = Reserved(store, name, rule, taken, tally)
    return True


async def reserve_later(tokens: int, call: Call, caller: Caller, gate: Gate) -> None:
    """The same, with all that has to be waited for."""
    try:
        ticket = await admit(caller, Cost(requests=0, tokens=tokens), gate)
    except LimitError as error:
        call.allowed = replace(error.denied, requests=_requests(call))
        raise
    call.allowed = Allowed(_requests(call), ticket.allowed.tokens)
    call.reserved = ticket.reserved


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
