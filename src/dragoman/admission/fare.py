"""What a request of text alone costs at most, and who pays it: kept for a caller and a plan while both hold.

Nearly every call of a caller is like the one before it. Budgets forget all fares with what they were made of: when
other budgets count, and when a pot's counter goes.
"""

from __future__ import annotations

from msgspec import Struct

from dragoman.admission.budget_lease import Pots
from dragoman.admission.budget_rules import Payment
from dragoman.admission.dearer import Priced
from dragoman.core.call import Caller
from dragoman.core.provider import Candidate, Plan


class Fare(Struct, frozen=True, eq=False):
    """Of a plan of one candidate, found by the identities of caller and plan."""

    caller: Caller
    plan: Plan
    candidate: Candidate
    until: float
    """The monotonic time at which the candidate's price has to be asked for again."""
    since: float
    """The Unix second from which on calls pay from these pots."""
    payment: Payment
    pots: Pots
    price: Priced
    window: int
    """The rest is as in ``TextRates``."""
    longest: int
    read: int
    wrote: int
    request: int
