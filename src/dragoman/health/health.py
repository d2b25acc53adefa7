"""The health of candidates: what attempts tell, and what routing and attempts ask."""

from __future__ import annotations

from typing import assert_never

from dragoman.core.errors import UpstreamError
from dragoman.core.provider import Candidate
from dragoman.health.breaker import BreakerPolicy, Breakers, Key, State
from dragoman.health.busy import Busy
from dragoman.health.judge import blame
from dragoman.health.latency import Paces, late_s
from dragoman.health.rest import Rests


class Health:
    """Breakers, rests, paces and what is under way, of one process."""

    def __init__(self, policy: BreakerPolicy | None = None) -> None:
        self.breakers = Breakers(policy)
        self.rests = Rests()
        self.paces = Paces()
        self.busy = Busy()

    def admits(self, candidate: Candidate, now: float) -> bool:
        """Whether the candidate may be tried now; an open breaker's probe is claimed by asking."""
        return self.breakers.admits(key_of(candidate), now)

    def back_in_s(self, candidate: Candidate, now: float) -> float:
        """In how many seconds a candidate that was not admitted may be."""
        return self.breakers.back_in_s(key_of(candidate), now)

    def is_well(self, candidate: Candidate, now: float) -> bool:
        """Whether the candidate is one to be tried first; asking changes nothing."""
        return self.knows_well(key_of(candidate), now)

    def knows_well(self, key: Key, now: float) -> bool:
        """``is_well`` of whoever has that key."""
        if self.breakers.state(key, now) == "open":
            return False
        provider, model, credential = key
        return not self.rests.rests(provider, credential, model, now)

    def succeeded(
        self,
        candidate: Candidate,
        now: float,
        first_event_s: float | None,
        *,
        whole: bool = False,
    ) -> None:
        """The candidate answered; of a whole reply ``first_event_s`` is all of its time."""
        provider, model, credential = key_of(candidate)
        self.breakers.succeeded((provider, model, credential), now)
        self.rests.release(provider, credential, model)
        self.paces.note(provider, model, failed=False, first_event_s=first_event_s, whole=whole)

    def failed(
        self, candidate: Candidate, error: UpstreamError, now: float, *, whole: bool = False
    ) -> None:
        """The candidate failed; what says nothing about it does not count."""
        provider, model, credential = key = key_of(candidate)
        match blame(error):
            case "provider":
                self.breakers.failed(key, now)
                self.paces.note(provider, model, failed=True, first_event_s=None, whole=whole)
            case "rate":
                self.breakers.abandoned(key)
                self.rests.cool(provider, credential, model, now, error.retry_after_s)
            case "credential":
                self.breakers.abandoned(key)
                self.rests.quarantine(provider, credential, now)
            case "nobody":
                self.breakers.abandoned(key)
            case never:
                assert_never(never)

    def late_s(self, candidate: Candidate, *, whole: bool) -> float | None:
        """After how many seconds its answer is unusually late; None: too little is known."""
        pace = self.paces.of(candidate.provider.name, candidate.model, whole=whole)
        return None if pace is None else late_s(pace)

    def outrun(self, candidate: Candidate, now: float, after_s: float, *, whole: bool) -> None:
        """The try was ended after so many seconds, for another one was quicker: so slow at least."""
        provider, model, _ = key = key_of(candidate)
        if self.breakers.state(key, now) == "half_open":
            # A probe that is outrun has failed, or each request in turn would be held up by one.
            self.breakers.failed(key, now)
        else:
            self.breakers.abandoned(key)
        self.paces.note(provider, model, failed=False, first_event_s=after_s, whole=whole)

    def has_answered(self, candidate: Candidate) -> bool:
        """Whether the model has ever answered at its provider."""
        provider, model = candidate.provider.name, candidate.model
        paces = (self.paces.of(provider, model, whole=whole) for whole in (False, True))
        return any(pace is not None and pace.first_event_s is not None for pace in paces)

    def abandoned(self, candidate: Candidate) -> None:
        """The try ended without a word about the candidate's health."""
        self.breakers.abandoned(key_of(candidate))

    def forget(self, provider: str) -> None:
        """The provider has another address or other keys: what the old ones did says nothing of it."""
        self.breakers.forget(provider)
        self.rests.forget(provider)

    def states(self, now: float) -> dict[Key, State]:
        """Every breaker that is not closed, for metrics and ``/ready``."""
        return self.breakers.states(now)


def key_of(candidate: Candidate) -> Key:
    """What a candidate's health is kept under; every name in it is safe to show."""
    credential = candidate.credential
    return (candidate.provider.name, candidate.model, credential.id if credential else "")
