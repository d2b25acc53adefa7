"""Opens the purse of a call once it is known who may answer it; refuses what no budget of its caller pays for.

Who of the plan is too dear for what is left is not asked; where nobody is left, and the budget says so, the
answer is made shorter; else the call is refused before a provider hears of it, with what would help.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from dragoman.admission.budget_bound import (
    LEAST_OUTPUT,
    Asked,
    Size,
    bound_of,
    output_for,
    size_of,
)
from dragoman.admission.budget_clamp import bounded_to
from dragoman.admission.budget_purse import Purse
from dragoman.admission.budget_rules import Rule, paying
from dragoman.admission.budgets import Budgets, Exhausted
from dragoman.admission.end_user import end_user
from dragoman.core import money
from dragoman.core.ask import Ask
from dragoman.core.budget import Payer, ends_at, time_of
from dragoman.core.call import Call, Caller
from dragoman.core.errors import CallerError
from dragoman.core.provider import Candidate, Plan, Price, Skipped

_SPAN = {"day": "daily", "month": "monthly", "total": "total"}
_FREE = frozenset({"count_tokens", "models"})
"""Operations that cost nothing."""


class Afforded(Struct, frozen=True):
    """What may be made of the call, and what pays for it."""

    plan: Plan
    ask: Ask
    purse: Purse


async def afford(
    plan: Plan,
    ask: Ask,
    call: Call,
    caller: Caller,
    budgets: Budgets,
    asked: Callable[[], Asked],
    price: Callable[[Candidate], Price | None],
) -> Afforded | None:
    """Sets aside what the call may cost at most; None where no budget covers it.

    Raises:
        CallerError: a budget does not pay for it, or would have to without knowing the price.
        HouseError: nobody can say whether it does.
    """
    rules = budgets.covering(caller)
    if not rules or call.operation in _FREE:
        return None
    user = ""
    if any(rule.by_user for rule in rules):
        user = end_user(call.headers, ask.members)
    payers = paying(rules, caller, user)
    if not payers:
        return None
    plan = _priced(plan, [rule for rule, _ in payers], price)
    size = size_of(ask, asked(), call.dialect)
    clamp = _Clamp(ask, size, call, plan, tuple(rule for rule, _ in payers))
    clamp.bound()
    purse = Purse(budgets, payers, clamp.size, price, call.wall)
    try:
        await purse.fill(_dearest(plan, clamp.size, price))
        return Afforded(plan, clamp.ask, purse)
    except Exhausted as error:
        exhausted = error
    cheaper = _within(plan, clamp.size, price, exhausted.left)
    if not cheaper.candidates and clamp.fits(exhausted.left, price):
        cheaper = _within(plan, clamp.size, price, exhausted.left)
        purse = Purse(budgets, payers, clamp.size, price, call.wall)
    if cheaper.candidates:
        try:
            await purse.fill(_dearest(cheaper, clamp.size, price))
            return Afforded(cheaper, clamp.ask, purse)
        except Exhausted as error:  # others were quicker
            exhausted = error
    budgets.alerts.refused(exhausted.counter.pot, exhausted.counter.limit, exhausted.left)
    call.outcome.plan = plan
    raise refused(exhausted, payers, _least(plan, clamp.size, price))


class _Clamp:
    """The request as it may be sent: with a shorter answer, where a budget wants that."""

    def __init__(
        self, ask: Ask, size: Size, call: Call, plan: Plan, rules: tuple[Rule, ...]
    ) -> None:
        self.ask = ask
        self.size = size
        self._call = call
        self._plan = plan
        self._clamps = any(rule.clamp_output for rule in rules)
        self._most = min(
            (rule.most_output for rule in rules if rule.most_output is not None), default=None
        )

    def bound(self) -> None:
        """Bounds the answer to what the operator allows, and one without a bound to what is set aside."""
        if self.size.output != 0 and (self._clamps or self._most is not None):
            said = self.size.output
            wanted = said
            if said is None and self._clamps:
                wanted = max(self.size.output_at(each) for each in self._plan.candidates)
            if self._most is not None:
                wanted = self._most if wanted is None else min(wanted, self._most)
            if wanted is not None and wanted != said:
                self._set(wanted)

    def fits(self, left: int, price: Callable[[Candidate], Price | None]) -> bool:
        """Whether the answer could be made so short that what is left pays for it."""
        if not self._clamps or self.size.output == 0:
            return False
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


def _priced(plan: Plan, rules: Sequence[Rule], price: Callable[[Candidate], Price | None]) -> Plan:
    """The plan without models of which nobody knows what they cost, unless a budget takes them (M13)."""
    if all(rule.unpriced == "allow" for rule in rules):
        return plan
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


def _within(plan: Plan, size: Size, price: Callable[[Candidate], Price | None], left: int) -> Plan:
    """The plan without candidates that are dearer than what is left."""
    cheap = tuple(
        each for each in plan.candidates if (bound_of(size, each, price(each)) or 0) <= left
    )
    return _without(plan, cheap, "the budget does not pay for it any more")


def _without(plan: Plan, left: tuple[Candidate, ...], reason: str) -> Plan:
    gone = dict.fromkeys(each.name for each in plan.candidates if each not in left)
    skipped = tuple(Skipped(name, reason) for name in gone)
    return replace(plan, candidates=left, skipped=plan.skipped + skipped)


def _dearest(plan: Plan, size: Size, price: Callable[[Candidate], Price | None]) -> int:
    return max(bound_of(size, each, price(each)) or 0 for each in plan.candidates)


def _least(plan: Plan, size: Size, price: Callable[[Candidate], Price | None]) -> int:
    return min(bound_of(size, each, price(each)) or 0 for each in plan.candidates)


def refused(
    exhausted: Exhausted, payers: Sequence[tuple[Rule, Payer]], needed: int
) -> CallerError:
    """The 429 that says which budget it was, what is left of it, and when it is full again."""
    counter = exhausted.counter
    pot = counter.pot
    rule = next(rule for rule, payer in payers if payer.budget == pot.budget)
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
