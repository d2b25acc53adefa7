"""Opens the purse of a call once it is known who may answer it; refuses what no budget of its caller pays for.

Who of the plan is too dear for what is left is not asked; where nobody is left, and the budget says so, the
answer is made shorter; else the call is refused before a provider hears of it, with what would help.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from dragoman.admission.budget_bound import (
    LEAST_OUTPUT,
    Asked,
    Size,
    bound_of,
    output_for,
    plain_size,
    size_of,
    text_rates,
)
from dragoman.admission.budget_clamp import bounded_to
from dragoman.admission.budget_purse import Purse
from dragoman.admission.budget_rules import Payment, Rule, payment
from dragoman.admission.budgets import Budgets, Exhausted
from dragoman.admission.dearer import Priced, priced_for
from dragoman.admission.end_user import end_user
from dragoman.core import money
from dragoman.core.ask import Ask
from dragoman.core.budget import ends_at, time_of
from dragoman.core.call import Call, Caller
from dragoman.core.errors import CallerError
from dragoman.core.provider import Candidate, Family, Operation, Plan, Skipped

_SPAN = {"day": "daily", "month": "monthly", "total": "total"}
_FREE = frozenset({"count_tokens", "models"})
"""Operations that cost nothing."""


class Afforded(Struct, frozen=True):
    """What may be made of the call, and what pays for it."""

    plan: Plan
    ask: Ask
    purse: Purse


Look: TypeAlias = Callable[[Ask, Family, Operation], Asked]
"""Looks into a request for what is known of its size."""


def paying(ask: Ask, call: Call, caller: Caller, budgets: Budgets) -> Payment | None:
    """What pays for the call; None where no budget covers it."""
    rules, payers = budgets.covering(caller)
    if not rules or call.operation in _FREE:
        return None
    if payers is not None:
        return payers
    payers = payment(rules, caller, end_user(call.headers, ask.members))
    return payers if payers.rules else None


def afford_now(
    plan: Plan,
    ask: Ask,
    call: Call,
    payers: Payment,
    budgets: Budgets,
    look: Look,
    price: Priced,
    size: Size | None = None,
) -> Purse | None:
    """What ``afford`` comes to where all is known and the lease pays for anybody of the plan, as most times.

    None: it has to be looked into, and nothing is set aside. ``size`` is the request's, where it is known.
    """
    if payers.clamps:
        return None
    usual, price = price, priced_for(ask.members, price)
    if size is None:
        size = _sized(ask, call, look)
    bounds: dict[int, tuple[Candidate, int]] = {}
    dearest = 0
    for candidate in plan.candidates:
        bound = bound_of(size, candidate, price(candidate))
        if bound is None:
            return None
        bounds[id(candidate)] = (candidate, bound)
        dearest = max(dearest, bound)
    pots = budgets.pots(payers, call.wall)
    if dearest and not budgets.take(pots, dearest):
        return None
    if len(plan.candidates) == 1 and size.text and price is usual:
        _keep_fare(plan, call, payers, budgets, price, size)
    return Purse(budgets, payers, size, price, call.wall, pots, dearest, _bounds=bounds)


def _keep_fare(
    plan: Plan, call: Call, payers: Payment, budgets: Budgets, price: Priced, size: Size
) -> None:
    """Has ``paid_now`` pay for the caller's next calls like this one."""
    caller, candidate = call.caller, plan.candidates[0]
    rates = text_rates(size, candidate, price(candidate))
    if rates is not None and caller is not None and call.operation == "chat":
        budgets.keep_fare(caller, plan, candidate, payers, call.wall, rates, price)


async def afford(
    plan: Plan,
    ask: Ask,
    call: Call,
    payers: Payment,
    budgets: Budgets,
    look: Look,
    price: Priced,
) -> Afforded:
    """Sets aside what the call may cost at most.

    Raises:
        CallerError: a budget does not pay for it, or would have to without knowing the price.
        HouseError: nobody can say whether it does.
    """
    size, price = _sized(ask, call, look), priced_for(ask.members, price)
    if payers.strict:
        plan = _priced(plan, payers.rules, price)
    clamp: _Clamp | None = None
    if payers.clamps and size.output != 0:
        clamp = _Clamp(ask, size, call, plan, payers.rules)
        clamp.bound()
        ask, size = clamp.ask, clamp.size
    purse = Purse(budgets, payers, size, price, call.wall)
    try:
        await purse.fill(_dearest(plan, purse))
        return Afforded(plan, ask, purse)
    except Exhausted as error:
        exhausted = error
    cheaper = _within(plan, purse, exhausted.left)
    if not cheaper.candidates and clamp is not None and clamp.fits(exhausted.left, price):
        ask, size = clamp.ask, clamp.size
        purse = Purse(budgets, payers, size, price, call.wall)
        cheaper = _within(plan, purse, exhausted.left)
    if cheaper.candidates:
        try:
            await purse.fill(_dearest(cheaper, purse))
            return Afforded(cheaper, ask, purse)
        except Exhausted as error:  # others were quicker
            exhausted = error
    budgets.alerts.refused(exhausted.counter.pot, exhausted.counter.limit, exhausted.left)
    call.outcome.plan = plan
    raise refused(exhausted, payers, min(map(purse.bound, plan.candidates)))


def _sized(ask: Ask, call: Call, look: Look) -> Size:
    size = plain_size(ask, call.dialect) if call.operation == "chat" else None
    if size is None:
        size = size_of(ask, look(ask, call.dialect, call.operation), call.dialect)
    return size


class _Clamp:
    """The request as it may be sent: with a shorter answer, where a budget wants that."""

    def __init__(
        self, ask: Ask, size: Size, call: Call, plan: Plan, rules: tuple[Rule, ...]
    ) -> None:
        self.ask = ask
        self.size = size
        self._call = call
        self._plan = plan
        self._most = min(
            (rule.most_output for rule in rules if rule.most_output is not None), default=None
        )

    def bound(self) -> None:
        """Bounds the answer to what the operator allows, and one without a bound to what is set aside."""
        wanted = self.size.output
        if wanted is None:
            wanted = max(self.size.output_at(each) for each in self._plan.candidates)
        if self._most is not None:
            wanted = min(wanted, self._most)
        if wanted != self.size.output:
            self._set(wanted)

    def fits(self, left: int, price: Priced) -> bool:
        """Whether the answer could be made so short that what is left pays for it."""
        found = [
            output_for(left, self.size, each, known)
            for each in self._plan.candidates
            if (known := price(each)) is not None
        ]
        tokens = max(found, default=0)
        if tokens < LEAST_OUTPUT:
            return False
        self._set(tokens)
        return True

    def _set(self, tokens: int) -> None:
        first = self._plan.candidates[0]
        self.ask, told = bounded_to(self.ask, tokens, self._call.dialect, first)
        self.size = replace(self.size, output=tokens, reasons=self.size.reasons)
        self._call.outcome.clamped = (told,)


def _priced(plan: Plan, rules: Sequence[Rule], price: Priced) -> Plan:
    """The plan without models of which nobody knows what they cost, unless a budget takes them (M13)."""
    known = tuple(
        each for each in plan.candidates if each.provider.stub or price(each) is not None
    )
    if len(known) == len(plan.candidates):
        return plan
    if not known:
        name = plan.candidates[0].name
        budget = next(rule.name for rule in rules if rule.unpriced == "refuse")
        raise CallerError(
            "permission",
            f"What {name} costs is not known, and this key has to keep to the budget {budget!r}: the "
            f'operator may give it a price under [prices."{name}"], or say unpriced = "allow" of the budget.',
            code="price_unknown",
            param="model",
        )
    return _without(plan, known, "its price is not known, and a budget has to pay for it")


def _within(plan: Plan, purse: Purse, left: int) -> Plan:
    """The plan without candidates that are dearer than what is left."""
    cheap = tuple(each for each in plan.candidates if purse.bound(each) <= left)
    return _without(plan, cheap, "the budget does not pay for it any more")


def _without(plan: Plan, left: tuple[Candidate, ...], reason: str) -> Plan:
    gone = dict.fromkeys(each.name for each in plan.candidates if each not in left)
    skipped = tuple(Skipped(name, reason) for name in gone)
    return replace(plan, candidates=left, skipped=plan.skipped + skipped)


def _dearest(plan: Plan, purse: Purse) -> int:
    candidates = plan.candidates
    return (
        purse.bound(candidates[0]) if len(candidates) == 1 else max(map(purse.bound, candidates))
    )


def refused(exhausted: Exhausted, payers: Payment, needed: int) -> CallerError:
    """The 429 that says which budget it was, what is left of it, and when it is full again."""
    counter = exhausted.counter
    pot = counter.pot
    rule = next(rule for rule in payers.rules if rule.name == pot.budget)
    end = ends_at(pot)
    again = None if end is None else time_of(end)
    details: dict[str, object] = {"budget": pot.budget, "window": pot.span, "resets_at": again}
    told = f"The {_SPAN[pot.span]} budget {pot.budget!r} does not pay for this request any more"
    if rule.is_private:
        # Of a budget that tenants share none is told what the others have spent.
        amounts = {
            "limit_usd": counter.limit, "left_usd": exhausted.left, "needed_usd": needed,
        }  # fmt: skip
        said = {name: money.plain(money.from_pico(pico)) for name, pico in amounts.items()}
        details |= said
        told = (
            f"The {_SPAN[pot.span]} budget {pot.budget!r} of {said['limit_usd']} USD has "
            f"{said['left_usd']} USD left, and this request may cost {said['needed_usd']} USD"
        )
    when = "ask the operator for more" if again is None else f"come back after {again}"
    return CallerError(
        "quota",
        f"{told}: bound the answer to fewer tokens, or {when}.",
        code="insufficient_quota",
        details=details,
    )
