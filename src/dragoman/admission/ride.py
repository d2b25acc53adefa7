"""The quick way to pay: a call like its caller's last one pays the same fare, and most times that is all.

What becomes of such a call is nearly always one try, which is served at a cost that is known.
"""

from __future__ import annotations

from msgspec import Struct

from dragoman.admission.budget_bound import LEAST_OUTPUT, Size, plain_size
from dragoman.admission.budget_purse import Purse
from dragoman.admission.budgets import Budgets
from dragoman.admission.fare import Fare
from dragoman.core.ask import Ask
from dragoman.core.budget import Stake
from dragoman.core.call import Attempt, Call, Caller
from dragoman.core.provider import Candidate, Plan


def paid_now(
    plan: Plan,
    ask: Ask,
    call: Call,
    caller: Caller,
    budgets: Budgets,
    size: Size | None = None,
) -> Ride | None:
    """What ``afford_now`` comes to where one of the caller's calls to the plan was paid for lately.

    None: it is to be asked, and nothing is set aside. ``size`` is the request's, where it is known.
    """
    fare = budgets.fares.get((id(caller), id(plan)))
    if fare is None or call.wall < fare.since or budgets.monotonic() >= fare.until:
        return None
    if size is None:
        size = plain_size(ask, call.dialect)
        if size is None:
            return None
    read, written = size.text, size.output
    if written is None:
        written = fare.longest
    # Neither cut off by the window, nor raised to what providers take at least.
    if not read or read > fare.window or written < LEAST_OUTPUT:
        return None
    amount, pots = fare.read * read + fare.wrote * written + fare.request, fare.pots
    left = pots.ahead - amount
    if left >= 0:
        pots.ahead = left  # as ``take`` does, which most calls need not ask
    elif not budgets.take(pots, amount):
        return None
    return Ride(budgets, fare, size, call.wall, amount)


class Ride(Struct, eq=False, gc=False):
    """The purse of a call that has paid a fare; a Struct, as one is made for nearly every call.

    One try that is served is settled here. For whatever else comes there is a ``Purse``, which then has all
    that this one had.
    """

    _budgets: Budgets
    _fare: Fare
    _size: Size
    _wall: float
    _amount: int
    """What one try costs at most; it is in the pocket until an attempt takes it."""
    _taken_by: str | None = None
    """The attempt that has it; empty: it is settled, or the purse has it."""
    _purse: Purse | None = None

    def affords_now(self, candidate: Candidate) -> bool:
        """Whether the pocket pays for one more try there; it is then set aside."""
        if self._taken_by is None and candidate is self._fare.candidate:
            return True
        return self._unfolded().affords_now(candidate)

    async def affords(self, candidate: Candidate) -> bool:
        """Whether one more try there is paid for; it is then set aside."""
        return await self._unfolded().affords(candidate)

    def stake(self, attempt: Attempt) -> Stake:
        """What the attempt that is about to be made takes with it."""
        if self._purse is not None:
            return self._purse.stake(attempt)
        self._taken_by = attempt.id
        return Stake(self._budgets.holder, self._amount, self._fare.payment.payers)

    def unmade(self, attempt: Attempt) -> None:
        """The attempt could not be written down, and is not made."""
        self._unfolded().unmade(attempt)

    def closed(self, attempt: Attempt, spent: int | None) -> int:
        """Settles an attempt that has ended at its cost, if that is known; what of its stake is held."""
        amount = self._amount
        if (
            spent is None
            or spent > amount
            or attempt.status != "complete"
            or self._purse is not None
        ):
            return self._unfolded().closed(attempt, spent)
        self._taken_by = ""
        budgets, pots = self._budgets, self._fare.pots
        if pots.ahead:
            # As ``settle`` does, which most calls need not ask.
            pots.ahead += amount - spent
            budgets.unwritten[attempt.id] = (pots, spent)
        else:
            budgets.settle(attempt.id, pots, amount - spent, spent)
        return 0

    def finish(self) -> None:
        """The call is over: what no attempt has taken goes back."""
        if self._taken_by != "" or self._purse is not None:
            self._unfolded().finish()

    def _unfolded(self) -> Purse:
        """The purse that has what this one had; from now on it is asked."""
        if self._purse is not None:
            return self._purse
        fare, amount, taken_by = self._fare, self._amount, self._taken_by
        self._taken_by = ""
        self._purse = Purse(
            self._budgets,
            fare.payment,
            self._size,
            fare.price,
            self._wall,
            fare.pots,
            amount if taken_by is None else 0,
            fare.candidate,
            amount,
            _assigned={taken_by: (fare.candidate, amount, fare.pots)} if taken_by else {},
        )
        return self._purse
