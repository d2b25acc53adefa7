"""Says whether a caller may use so much now, and if not, when: the one door for every surface.

    ticket = admit_request(caller, gate)                                  before a request's body is read
    ticket = admit_tokens(caller, 1200, rule, gate)                        once it is known what it may use
    ticket = await admit(caller, cost, gate)                              where either has to wait: None
    ticket.settle(870)                                                    when it is known what it did use
    ticket.leave()                                                        with the last piece of the answer

A message over a WebSocket costs what a request costs. A caller without limits passes without a look at
the store, and gets a ticket that does nothing.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from msgspec import Struct

from dragoman.admission.ports import NO_PAST, LimitStore, Past, Short, Taken, Unknown
from dragoman.admission.refusal import LimitError, refusal
from dragoman.admission.rules import NO_RULES, Rule
from dragoman.admission.settle import tokens_of
from dragoman.admission.tiers import Tiers
from dragoman.core.call import UNLIMITED, Allowed, Caller, Denied, Gauge, Outcome
from dragoman.core.errors import HouseError

AskPast = Callable[[Caller, Rule], Awaitable[Past]]
"""What a key has used of a rule's unit, as the ledger knows it; a ``HouseError`` where it cannot tell."""


class Cost(Struct, frozen=True, gc=False):
    """What is asked for."""

    requests: int = 1
    tokens: int = 0
    """Tokens of the request and the most of its answer, estimated; settled later."""
    place: bool = False
    """Whether it is one of those that are under way, until the ticket is given back."""


REQUEST = Cost(place=True)
"""What every request costs before anything of it is read."""


@dataclass(slots=True)
class Gate:
    """What admission goes by."""

    tiers: Tiers
    store: LimitStore
    past: AskPast
    limited: Callable[[str], None]
    """Told the name of a limit that has refused somebody."""


class Ticket(Struct, eq=False):
    """What a caller was let in with."""

    allowed: Allowed = UNLIMITED
    tokens: int = 0
    """Tokens that are reserved."""
    _correct: Callable[[int], None] | None = None
    _leave: Callable[[], None] | None = None
    holds_place: bool = False
    """Whether it is counted among those under way."""
    _holders: int = 1

    def end(self, outcome: Outcome) -> None:
        """Settles it to what the call came to."""
        correct, self._correct = self._correct, None
        if correct is not None:
            change = tokens_of(outcome, self.tokens) - self.tokens
            if change:
                correct(change)

    def settle(self, tokens: int) -> None:
        """What was used in the place of what was reserved; a second time does nothing."""
        correct, self._correct = self._correct, None
        if correct is not None and tokens != self.tokens:
            correct(tokens - self.tokens)

    def join(self) -> None:
        """Somebody else needs its place, too."""
        self._holders += 1

    def leave(self) -> None:
        """Gives the place back, with the last who needed it; a further time does nothing."""
        self._holders -= 1
        if self._holders <= 0 and self._leave is not None:
            leave, self._leave = self._leave, None
            self.holds_place = False
            leave()


_FREE = Ticket()
_PROCESS = os.urandom(6).hex()
if hasattr(os, "register_at_fork"):

    def _renamed() -> None:
        global _PROCESS  # noqa: PLW0603  a process is another one after a fork
        _PROCESS = os.urandom(6).hex()

    os.register_at_fork(after_in_child=_renamed)
_numbers = itertools.count()


def admit_request(caller: Caller, gate: Gate) -> Ticket | None:
    """What ``admit`` says of a request, where nothing has to be waited for; None: it has, nothing is counted.

    Raises:
        CallerError: 429, a limit is reached.
        HouseError: the caller's key has a tier that there is not.
    """
    rule = gate.tiers.rules(caller).requests
    if rule.is_open:
        return _FREE
    place = f"{_PROCESS}{next(_numbers)}" if rule.places else None
    taken = gate.store.take_now(caller.key_id, rule, 1, place)
    if isinstance(taken, Short):
        raise _refusal(taken, 1, gate)
    if taken is None:
        return None
    if place is None:
        return Ticket(Allowed(taken.gauge))
    leave = partial(gate.store.leave, caller.key_id, rule, place)
    return Ticket(Allowed(taken.gauge), 0, None, leave, holds_place=True)


def admit_tokens(
    caller: Caller, tokens: int, rule: Rule, gate: Gate, requests: Gauge | None = None
) -> Ticket | None:
    """The same of so many tokens, by the rule for the caller's; ``requests``: how its limits on those stand."""
    name = counted_as(caller, rule) if rule.total else caller.key_id
    store = gate.store
    taken = store.take_now(name, rule, tokens)
    if taken is None:
        return None
    if isinstance(taken, Short):
        raise _refusal(taken, tokens, gate)
    correct = partial(store.correct, name, rule, taken)
    return Ticket(Allowed(requests, taken.gauge), taken.amount, correct)


async def admit(caller: Caller, cost: Cost, gate: Gate) -> Ticket:
    """The ticket of a caller that may go on.

    Raises:
        CallerError: 429, a limit is reached.
        HouseError: the caller's key has a tier that there is not.
    """
    rules = gate.tiers.rules(caller)
    if rules is NO_RULES:
        return _FREE
    store, key_id = gate.store, caller.key_id
    requests: Gauge | None = None
    leave: Callable[[], None] | None = None
    wants_place = cost.place and rules.requests.places > 0
    if (cost.requests and rules.requests.bounds) or wants_place:
        place = f"{_PROCESS}{next(_numbers)}" if wants_place else None
        requests = (await _take(caller, rules.requests, cost.requests, gate, place)).gauge
        if place is not None:
            leave = partial(store.leave, key_id, rules.requests, place)
    if cost.tokens <= 0 or rules.tokens.is_open:
        return Ticket(Allowed(requests), 0, None, leave, holds_place=leave is not None)
    try:
        taken = await _take(caller, rules.tokens, cost.tokens, gate)
    except BaseException:
        if leave is not None:
            leave()
        raise
    correct = partial(store.correct, counted_as(caller, rules.tokens), rules.tokens, taken)
    allowed = Allowed(requests, taken.gauge)
    return Ticket(allowed, taken.amount, correct, leave, holds_place=leave is not None)


def counted_as(caller: Caller, rule: Rule) -> str:
    """The name under which a caller's use is counted: another one since its allowance counts anew.

    What is under way is settled where it was taken, and every process knows the name as soon as the key.
    """
    if rule.total and caller.counts_since_us is not None:
        return f"{caller.key_id}@{caller.counts_since_us}"
    return caller.key_id


async def _take(
    caller: Caller, rule: Rule, amount: int, gate: Gate, place: str | None = None
) -> Taken:
    name = counted_as(caller, rule)
    found = await gate.store.take(name, rule, amount, place=place)
    if isinstance(found, Unknown):
        try:
            past = await gate.past(caller, rule)
        except HouseError:
            if rule.total:
                raise  # an allowance is not given out unseen, and a rate is (D27)
            past = NO_PAST
        found = await gate.store.take(name, rule, amount, place=place, past=past)
    if isinstance(found, Taken):
        return found
    assert isinstance(found, Short), "it has been told what is used"
    raise _refusal(found, amount, gate)


def _refusal(found: Short, amount: int, gate: Gate) -> LimitError:
    gate.limited(found.name)
    return refusal(Denied(found.name, found.limit, found.wait_s, amount, found.free))
