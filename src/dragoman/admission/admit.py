"""Says whether a caller may use so much now, and if not, when: the one door for every surface.

    ticket = await admit(caller, Cost(place=call.id), gate)         before a request's body is read
    ticket = await admit(caller, Cost(0, tokens=1200), gate)        once it is known what it may use
    ticket.reserved.end(outcome)                                    when it is known what it did use
    ticket.place.leave()                                            with the last piece of the answer

A message over a WebSocket costs what a request costs. A caller without limits passes without a look at
the store, and gets a ticket that does nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from msgspec import Struct

from dragoman.admission.ports import NO_PAST, LimitStore, Past, Short, Taken, Tally, Unknown
from dragoman.admission.refusal import LimitError, refusal
from dragoman.admission.rules import NO_RULES, Rule
from dragoman.admission.settle import tokens_of
from dragoman.admission.tiers import Tiers, counted_as
from dragoman.core.call import UNLIMITED, Allowed, Caller, Denied, Gauge, Outcome
from dragoman.core.errors import HouseError

AskPast = Callable[[Caller, Rule], Awaitable[Past]]
"""What a key has used of a rule's unit, as the ledger knows it; a ``HouseError`` where it cannot tell."""


class Cost(Struct, frozen=True, gc=False):
    """What is asked for."""

    requests: int = 1
    tokens: int = 0
    """Tokens of the request and the most of its answer, estimated; settled later."""
    place: str = ""
    """The name, nobody else's, under which it is one of those that are under way; empty: it is none."""


@dataclass(slots=True)
class Gate:
    """What admission goes by."""

    tiers: Tiers
    store: LimitStore
    past: AskPast
    limited: Callable[[str], None]
    """Told the name of a limit that has refused somebody."""


class Reserved(Struct, eq=False, gc=False):
    """Tokens that are taken, until it is known how many were used."""

    store: LimitStore
    name: str
    """Under which they are counted."""
    rule: Rule
    taken: Taken | None
    """None once they are settled."""
    tally: Tally | None = None
    """Where they were taken, if that was at hand."""

    def end(self, outcome: Outcome) -> None:
        """Settles them to what the call came to; a second time does nothing."""
        taken = self.taken
        if taken is None:
            return
        self.taken = None
        attempts, tally = outcome.attempts, self.tally
        usage = attempts[0].estimated or attempts[0].usage if len(attempts) == 1 else None
        if usage is not None and usage.input is not None and usage.output is not None:
            # The regular case of ``tokens_of``, which nearly every call is.
            used = usage.input + usage.output + (usage.apart or 0)
        else:
            used = tokens_of(outcome, taken.amount)
        change = used - taken.amount
        if change and (tally is None or not tally.correct(taken, change)):
            self.store.correct(self.name, self.rule, taken, change)


class Place(Struct, eq=False, gc=False):
    """A place among the calls of a key that are under way; a ``Hold``."""

    store: LimitStore
    key_id: str
    rule: Rule
    name: str
    others: int = 0
    """How many need it beside the one who leaves next."""

    def join(self) -> None:
        """Somebody else needs it, too."""
        self.others += 1

    def leave(self) -> None:
        """Gives it back, with the last who needed it; a further time does nothing."""
        if self.others:
            self.others -= 1
        else:
            self.store.leave(self.key_id, self.rule, self.name)


class Ticket(Struct, eq=False):
    """What a caller was let in with."""

    allowed: Allowed = UNLIMITED
    place: Place | None = None
    """None: it is not counted among those under way."""
    reserved: Reserved | None = None


_FREE = Ticket()


async def admit(caller: Caller, cost: Cost, gate: Gate) -> Ticket:
    """The ticket of a caller that may go on.

    Raises:
        CallerError: 429, a limit is reached.
        HouseError: the caller's key has a tier that there is not.
    """
    rules = gate.tiers.quota(caller).rules
    if rules is NO_RULES:
        return _FREE
    store = gate.store
    requests: Gauge | None = None
    place: Place | None = None
    if cost.place and rules.requests.places > 0:
        place = Place(store, caller.key_id, rules.requests, cost.place)
    if (cost.requests and rules.requests.bounds) or place is not None:
        requests = (await _take(caller, rules.requests, cost.requests, gate, place)).gauge
    if cost.tokens <= 0 or rules.tokens.is_open:
        return Ticket(Allowed(requests), place)
    try:
        taken = await _take(caller, rules.tokens, cost.tokens, gate)
    except BaseException:
        if place is not None:
            place.leave()
        raise
    reserved = Reserved(store, counted_as(caller, rules.tokens), rules.tokens, taken)
    return Ticket(Allowed(requests, taken.gauge), place, reserved)


async def _take(
    caller: Caller, rule: Rule, amount: int, gate: Gate, place: Place | None = None
) -> Taken:
    name, held = counted_as(caller, rule), None if place is None else place.name
    found = await gate.store.take(name, rule, amount, place=held)
    if isinstance(found, Unknown):
        try:
            past = await gate.past(caller, rule)
        except HouseError:
            if rule.total:
                raise  # an allowance is not given out unseen, and a rate is (D27)
            past = NO_PAST
        found = await gate.store.take(name, rule, amount, place=held, past=past)
    if isinstance(found, Taken):
        return found
    assert isinstance(found, Short), "it has been told what is used"
    raise refused(found, amount, gate)


def refused(found: Short, amount: int, gate: Gate) -> LimitError:
    """The 429 of somebody for whom there was no room."""
    gate.limited(found.name)
    return refusal(Denied(found.name, found.limit, found.wait_s, amount, found.free))
