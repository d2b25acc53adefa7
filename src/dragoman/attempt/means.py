"""What attempts are made with: the doors upstream, the numbers, the clock and the dice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from dragoman.attempt.allowance import MOST, Allowance, Allowances
from dragoman.attempt.letterhead import Letterheads
from dragoman.attempt.policy import Policy
from dragoman.attempt.ports import Fetcher, Transport
from dragoman.core.call import Attempt, Call
from dragoman.core.envelope import Envelope
from dragoman.core.errors import UpstreamError
from dragoman.core.provider import Candidate
from dragoman.health.busy import Busy


class Health(Protocol):
    """What is known of candidates' health; the breakers implement it."""

    busy: Busy
    """What is under way."""

    def admits(self, candidate: Candidate, now: float) -> bool:
        """Whether the candidate may be tried now; an open breaker's probe is claimed by asking."""
        ...

    def back_in_s(self, candidate: Candidate, now: float) -> float:
        """In how many seconds a candidate that was not admitted may be."""
        ...

    def heard(
        self, candidate: Candidate, headers: Mapping[str, str], now: float, wall: float
    ) -> None:
        """The head of an answer has come; its headers may say what is left of our limits."""
        ...

    def succeeded(
        self,
        candidate: Candidate,
        now: float,
        first_event_s: float | None,
        *,
        whole: bool = False,
    ) -> None:
        """The candidate answered; of a whole reply ``first_event_s`` is all of its time."""
        ...

    def completed(
        self, candidate: Candidate, record: Attempt, now: float, *, whole: bool = False
    ) -> None:
        """The answer has come to its end."""
        ...

    def failed(
        self,
        candidate: Candidate,
        error: UpstreamError,
        now: float,
        *,
        whole: bool = False,
        again: bool = False,
    ) -> None:
        """The candidate failed; ``again``: it was not the first time within the same request."""
        ...

    def is_probed(self, candidate: Candidate, now: float) -> bool:
        """Whether a try at the candidate is a probe: it was down, and whether it still is is not known."""
        ...

    def is_well(self, candidate: Candidate, now: float) -> bool:
        """Whether the candidate is one to be tried first; asking changes nothing."""
        ...

    def late_s(self, candidate: Candidate, *, whole: bool) -> float | None:
        """After how many seconds its answer is unusually late; None: too little is known."""
        ...

    def outrun(self, candidate: Candidate, now: float, after_s: float, *, whole: bool) -> None:
        """The try was ended after so many seconds, for another one was quicker."""
        ...

    def has_answered(self, candidate: Candidate) -> bool:
        """Whether the model has ever answered at its provider."""
        ...

    def abandoned(self, candidate: Candidate) -> None:
        """The try ended without a word about the candidate's health."""
        ...


@dataclass(slots=True)
class Means:
    """What attempts are made with; one for each process."""

    transport: Transport
    stub: Transport
    health: Health
    policy: Policy
    monotonic: Callable[[], float]
    wall: Callable[[], float]
    dice: Callable[[], float]
    new_id: Callable[[], str]
    user_agent: str
    report: Callable[[Exception, Call], None]
    """Tells the log of an error that is ours."""
    tell: Callable[..., None] | None = None
    """Tells the log of what befalls credentials that change: a level, a word, and members."""
    envelope: Envelope | None = None
    """Carries reasoning state through callers whose dialect did not issue it (D22)."""
    fetcher: Fetcher | None = None
    """Fetches media at addresses for providers that take bytes alone; without it they are refused."""
    fetched_for: frozenset[str] = frozenset()
    """Providers that get pictures as bytes though they could fetch them themselves; ``*``: all of them."""
    allowances: Allowances = field(default_factory=Allowances)
    """What tries beyond the first cost."""
    hedges: Allowance = field(default_factory=lambda: Allowance(0.1, 0.0))
    """What tries beside others cost."""
    own_hedges: dict[str, Allowance] = field(default_factory=dict)
    """The same of each account that is a tenant's own."""
    letterheads: Letterheads = field(default_factory=Letterheads)
    """What requests to candidates begin with."""
    used: dict[str, float] = field(default_factory=dict)
    """When tenants' own credentials were last sent, in Unix seconds, by their ids."""

    def hedges_of(self, candidate: Candidate) -> Allowance:
        """What pays for a try beside one at the candidate."""
        account = candidate.provider.account
        if not account:
            return self.hedges
        found = self.own_hedges.get(account)
        if found is None:
            if len(self.own_hedges) >= MOST:
                del self.own_hedges[next(iter(self.own_hedges))]
            found = self.own_hedges[account] = Allowance(*self.hedges.numbers)
        return found
