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
from dragoman.admission.budget_lease import Pots
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
    _pots: Pots | None = None
    """Where the pocket was set aside."""
    _pocket: int = 0
    """Set aside, and with no attempt."""
    _next: Candidate | None = None
    """Who is asked next."""
    _takes: int = 0
    """What one try there costs at most."""
    _bounds: dict[int, tuple[Candidate, int]] = {}
    """The same by the identity of a candidate, which the candidate beside it keeps from being another's."""
    _assigned: dict[str, tuple[Candidate, int, Pots]] = {}
    """By attempt: at whom, what it has taken, and from which pots."""

    async def fill(self, amount: int) -> None:
        """Sees to it that the pocket holds the amount.

        Raises:
            Exhausted: a pot does not have it.
            HouseError: it cannot be told whether it has.
        """
        pots, missing = self._pots, amount - self._pocket
        if pots is None or (missing > 0 and not self._pocket):
            pots = self._pots = self._budgets.pots(self._payment, self._wall)
        if missing > 0:
            if not self._budgets.take(pots, missing):
                await self._budgets.reserve(pots, missing)
            self._pocket += missing

    def bound(self, candidate: Candidate) -> int:
        """What one try there costs at most; nothing where it may be tried without a known price."""
        if candidate is self._next:
            return self._takes
        known = self._bounds.get(id(candidate))
        if known is None:
            found = bound_of(self._size, candidate, self._price(candidate)) or 0
            known = self._bounds[id(candidate)] = (candidate, found)
        return known[1]

    def affords_now(self, candidate: Candidate) -> bool:
        """Whether the pocket pays for one more try there; it is then set aside."""
        if candidate is not self._next:
            known = self._bounds.get(id(candidate))
            if known is None:
                return False
            self._next, self._takes = known
        return self._takes <= self._pocket and self._pots is not None

    async def affords(self, candidate: Candidate) -> bool:
        """Whether one more try there is paid for; it is then set aside."""
        bound = self.bound(candidate)
        if bound > self._pocket or self._pots is None:
            try:
                await self.fill(bound)
            except (Exhausted, HouseError):
                return False
        self._next, self._takes = candidate, bound
        return True

    def stake(self, attempt: Attempt) -> Stake:
        """What the attempt that is about to be made takes with it."""
        candidate, amount, pots = self._next, self._takes, self._pots
        assert candidate is not None, "who is tried was asked for"
        assert pots is not None, "it was paid for"
        self._pocket -= amount
        self._assigned[attempt.id] = (candidate, amount, pots)
        return Stake(self._budgets.holder, amount, self._payment.payers)

    def unmade(self, attempt: Attempt) -> None:
        """The attempt could not be written down, and is not made."""
        _, amount, _ = self._assigned.pop(attempt.id)
        self._pocket += amount

    def closed(self, attempt: Attempt, spent: int | None) -> int:
        """Settles an attempt that has ended at its cost, if that is known; what of its stake is held."""
        candidate, amount, pots = self._assigned.pop(attempt.id)
        held = 0
        if spent is None:
            spent = held = self._held(attempt, candidate, amount)
        covered, back = spent, amount - spent
        if back < 0:  # the provider asks for more than its price says
            covered, back = amount, 0
        if attempt.status != "complete" and pots is self._pots:
            # What is left of it pays for the next one.
            self._pocket += back
            back = 0
        self._budgets.settle(attempt.id, pots, back, covered)
        return held

    def finish(self) -> None:
        """The call is over: what is in the pocket goes back.

        An attempt whose end could not be written down stays as it stands in the journal: opened, hence held.
        """
        if self._assigned:
            for attempt_id, (_, amount, pots) in self._assigned.items():
                self._budgets.settle(attempt_id, pots, 0, amount)
            self._assigned.clear()
        if self._pocket:
            assert self._pots is not None, "it was filled from somewhere"
            self._budgets.release(self._pots, self._pocket)
            self._pocket = 0

    def _held(self, attempt: Attempt, candidate: Candidate, amount: int) -> int:
        if not attempt.may_cost:
            return 0
        price = self._price(candidate)
        if attempt.usage is None or price is None:
            return amount
        cost = cost_of(known_usage(attempt.usage, self._size, candidate), price)
        return amount if cost is None else min(amount, money.to_pico(cost))
