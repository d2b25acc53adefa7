"""The purse of one call: money set aside before its attempts, handed to each of them, settled as they end.

Before the first attempt the dearest candidate of the plan is set aside (D16). Every attempt takes what it may
cost at most; what it did not cost goes back and pays for the next, and what is missing then is set aside anew.
An attempt that the ledger has a number for is spent, one that the provider refused costs nothing, and of one
whose cost nobody knows the stake is held, less what is known of it, until somebody knows (D27).
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from dragoman.admission.budget_bound import Size, bound_of, known_usage
from dragoman.admission.budget_lease import Counter
from dragoman.admission.budget_rules import Payment
from dragoman.admission.budgets import Budgets, Exhausted
from dragoman.catalog.price import cost_of
from dragoman.core import money
from dragoman.core.budget import Stake
from dragoman.core.call import Attempt
from dragoman.core.errors import HouseError
from dragoman.core.provider import Candidate, Price


class Purse(Struct, eq=False):
    """What one call may spend; a Struct, as one is made for every call."""

    _budgets: Budgets
    _payment: Payment
    _size: Size
    _price: Callable[[Candidate], Price | None]
    _wall: float
    _bounds: dict[int, tuple[Candidate, int]] = {}
    """By the identity of a candidate, which the candidate beside it keeps from being another's."""
    _pocket: int = 0
    """Set aside, and with no attempt."""
    _counters: tuple[Counter, ...] = ()
    """Where the pocket was set aside."""
    _next: tuple[Candidate, int] | None = None
    """Who is asked next, and what it takes from the pocket."""
    _assigned: dict[str, tuple[Candidate, int, tuple[Counter, ...]]] = {}
    """By attempt: at whom, what it has taken, and from which pots."""

    async def fill(self, amount: int) -> None:
        """Sees to it that the pocket holds the amount.

        Raises:
            Exhausted: a pot does not have it.
            HouseError: it cannot be told whether it has.
        """
        missing = amount - self._pocket
        if missing <= 0 and self._counters:
            return
        if not self._pocket:
            self._counters = self._budgets.counters(self._payment, self._wall)
        if missing > 0:
            if not self._budgets.take(self._counters, missing):
                await self._budgets.reserve(self._counters, missing)
            self._pocket += missing

    def bound(self, candidate: Candidate) -> int:
        """What one try there costs at most; nothing where it may be tried without a known price."""
        known = self._bounds.get(id(candidate))
        if known is None:
            found = bound_of(self._size, candidate, self._price(candidate)) or 0
            known = self._bounds[id(candidate)] = (candidate, found)
        return known[1]

    def affords_now(self, candidate: Candidate) -> bool:
        """Whether the pocket pays for one more try there; it is then set aside."""
        known = self._bounds.get(id(candidate))
        if known is None or known[1] > self._pocket or not self._counters:
            return False
        self._next = known
        return True

    async def affords(self, candidate: Candidate) -> bool:
        """Whether one more try there is paid for; it is then set aside."""
        bound = self.bound(candidate)
        if bound > self._pocket or not self._counters:
            try:
                await self.fill(bound)
            except (Exhausted, HouseError):
                return False
        self._next = (candidate, bound)
        return True

    def stake(self, attempt: Attempt) -> Stake:
        """What the attempt that is about to be made takes with it."""
        assert self._next is not None, "who is tried was asked for"
        candidate, amount = self._next
        self._next = None
        self._pocket -= amount
        self._assigned[attempt.id] = (candidate, amount, self._counters)
        return Stake(self._budgets.holder, amount, self._payment.payers)

    def unmade(self, attempt: Attempt) -> None:
        """The attempt could not be written down, and is not made."""
        _, amount, _ = self._assigned.pop(attempt.id)
        self._pocket += amount

    def closed(self, attempt: Attempt, spent: int | None) -> int:
        """Settles an attempt that has ended at its cost, if that is known; what of its stake is held."""
        candidate, amount, counters = self._assigned.pop(attempt.id)
        held = 0
        if spent is None:
            spent = held = self._held(attempt, candidate, amount)
        covered = min(amount, spent)
        if attempt.status != "complete" and counters is self._counters:
            # What is left of it pays for the next one.
            self._budgets.settle(attempt.id, counters, covered, covered)
            self._pocket += amount - covered
        else:
            self._budgets.settle(attempt.id, counters, amount, covered)
        return held

    def finish(self) -> None:
        """The call is over: what is in the pocket goes back.

        An attempt whose end could not be written down stays as it stands in the journal: opened, hence held.
        """
        if self._assigned:
            for attempt_id, (_, amount, counters) in self._assigned.items():
                self._budgets.settle(attempt_id, counters, amount, amount)
            self._assigned.clear()
        if self._pocket:
            self._budgets.release(self._counters, self._pocket)
            self._pocket = 0

    def _held(self, attempt: Attempt, candidate: Candidate, amount: int) -> int:
        if not attempt.may_cost:
            return 0
        price = self._price(candidate)
        if attempt.usage is None or price is None:
            return amount
        cost = cost_of(known_usage(attempt.usage, self._size, candidate), price)
        return amount if cost is None else min(amount, money.to_pico(cost))
