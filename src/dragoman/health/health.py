"""The health of candidates: what attempts tell, and what routing and attempts ask."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Literal, assert_never

from dragoman.core.call import Attempt
from dragoman.core.errors import UpstreamError
from dragoman.core.provider import Candidate
from dragoman.health.allowance import exhausted_for_s
from dragoman.health.breaker import BreakerPolicy, Breakers, Key, State
from dragoman.health.busy import Busy
from dragoman.health.disabling import Disabling, DisablingPolicy
from dragoman.health.judge import blame, is_excluded
from dragoman.health.latency import Paces, late_s
from dragoman.health.rest import Rests
from dragoman.health.score import score
from dragoman.health.statistics import Statistics


class Health:
    """Breakers, rests, paces, statistics, who is disabled and what is under way, of one process."""

    def __init__(
        self,
        policy: BreakerPolicy | None = None,
        disabling: DisablingPolicy | None = None,
        excluded: tuple[str, ...] = (),
    ) -> None:
        self.breakers = Breakers(policy)
        self.rests = Rests()
        self.spent = Rests()
        """Keys whose allowance is used up, until it is renewed: no success ends this rest."""
        self.paces = Paces()
        self.busy = Busy()
        self.statistics = Statistics()
        self.disabling = Disabling(disabling)
        self.excluded = excluded
        """Texts of errors that disable nobody (R-PROV-005)."""
        self.addresses: dict[str, str] = {}
        """What tells a provider's address from another one."""

    # --- what attempts ask and routing asks

    def admits(self, candidate: Candidate, now: float) -> bool:
        """Whether the candidate may be tried now; the probe that is due is claimed by asking."""
        if not (self.breakers.opened or self.disabling.switches):
            return True
        provider, model, _ = key = candidate.place
        if not self.breakers.admits(key, now):
            return False
        self.disabling.tried(provider, model, now)
        return True

    def back_in_s(self, candidate: Candidate, now: float) -> float:
        """In how many seconds a candidate that was not admitted may be."""
        return self.breakers.back_in_s(candidate.place, now)

    def is_probed(self, candidate: Candidate, now: float) -> bool:
        """Whether a try at the candidate is a probe: it was down, and whether it still is is not known."""
        provider, model, _ = key = candidate.place
        if self.breakers.state(key, now) != "closed":
            return True
        disabling = self.disabling
        return bool(disabling.switches) and (
            disabling.is_disabled(provider) or disabling.is_disabled(provider, model)
        )

    def back_at(self, candidate: Candidate, now: float) -> float:
        """When the candidate is one to be tried first; ``now``: it is. Asking changes nothing."""
        provider, model, credential = key = candidate.place
        rested = max(
            self.rests.back_at(provider, credential, model, now),
            self.spent.back_at(provider, credential, model, now),
        )
        if self.breakers.state(key, now) == "open":
            return max(rested, now + self.breakers.back_in_s(key, now))
        return rested

    def is_well(self, candidate: Candidate, now: float) -> bool:
        """Whether the candidate is one to be tried first; asking changes nothing."""
        return self.knows_well(candidate.place, now)

    def knows_well(self, key: Key, now: float) -> bool:
        """``is_well`` of whoever has that key."""
        if self.breakers.state(key, now) == "open":
            return False
        provider, model, credential = key
        return not (
            self.rests.rests(provider, credential, model, now)
            or self.spent.rests(provider, credential, model, now)
        )

    def is_off(self, provider: str, model: str, now: float) -> Literal["model", "provider"] | None:
        """Which of the two is disabled, with no probe due."""
        return self.disabling.is_off(provider, model, now)

    def score(self, provider: str, model: str, now: float) -> float:
        """How well a model has been doing there, 0 to 100; 50 where nobody knows."""
        return score(self.statistics.of(provider, model), now)

    # --- what attempts tell

    def heard(
        self, candidate: Candidate, headers: Mapping[str, str], now: float, wall: float
    ) -> None:
        """The head of an answer says something of the key's allowance (D9), by one of ``allowance.TOLD``."""
        for_s = exhausted_for_s(headers, wall)
        if for_s is not None:
            provider, model, credential = candidate.place
            self.spent.cool(provider, credential, model, now, for_s)

    def succeeded(
        self,
        candidate: Candidate,
        now: float,
        first_event_s: float | None,
        *,
        whole: bool = False,
    ) -> None:
        """The candidate has begun to answer; of a whole reply ``first_event_s`` is all of its time."""
        provider, model, credential = place = candidate.place
        self.breakers.succeeded(place, now)
        if self.rests.ends:
            self.rests.release(provider, credential, model, now)
        if first_event_s is None:
            self.paces.note(provider, model, failed=False, first_event_s=None, whole=whole)
        else:
            self.paces.answered(provider, model, first_event_s, whole=whole)

    def completed(
        self, candidate: Candidate, record: Attempt, now: float, *, whole: bool = False
    ) -> None:
        """The answer has come to its end; ``record`` says how long it took, and what it held."""
        place, disabling = candidate.place, self.disabling
        if disabling.rows or disabling.switches:
            disabling.answered(place[0], place[1], now)
        duration_s, usage = record.duration_s, record.usage
        tokens: int | None = None
        if usage is not None:
            tokens = usage.output if usage.apart is None else usage.billed_output
        time_s = duration_s if whole else record.first_event_s
        if tokens and duration_s and time_s is not None:
            speed = tokens / duration_s
            self.statistics.timed(place, now, time_s, speed, whole=whole, known=candidate.known)
            return
        provider, model, credential = place
        self.statistics.answered(
            provider,
            model,
            credential,
            now,
            known=candidate.known,
            first_event_s=None if whole else time_s,
            reply_s=time_s if whole and tokens else None,  # a count of tokens is no reply
            tokens_per_s=tokens / duration_s if tokens and duration_s else None,
        )

    def failed(
        self,
        candidate: Candidate,
        error: UpstreamError,
        now: float,
        *,
        whole: bool = False,
        again: bool = False,
    ) -> None:
        """The candidate failed; what says nothing about it does not count.

        ``again``: the same request has failed at this model before, and counts once.
        """
        provider, model, credential = key = candidate.place
        match blame(error):
            case "provider":
                self.breakers.failed(key, now)
                self.paces.note(provider, model, failed=True, first_event_s=None, whole=whole)
                self.statistics.failed(provider, model, credential, now, known=candidate.known)
                if candidate.known and not (again or is_excluded(error, self.excluded)):
                    self.disabling.failed(provider, model, now)
            case "rate":
                self.breakers.abandoned(key)
                self.rests.cool(provider, credential, model, now, error.retry_after_s)
            case "credential":
                self.breakers.abandoned(key)
                self.rests.quarantine(provider, credential, now)
            case "nobody":
                self.abandoned(candidate)
            case never:
                assert_never(never)

    def late_s(self, candidate: Candidate, *, whole: bool) -> float | None:
        """After how many seconds its answer is unusually late; None: too little is known."""
        provider, model, _ = candidate.place
        pace = self.paces.of(provider, model, whole=whole)
        return None if pace is None else late_s(pace)

    def outrun(self, candidate: Candidate, now: float, after_s: float, *, whole: bool) -> None:
        """The try was ended after so many seconds, for another one was quicker: so slow at least."""
        provider, model, _ = key = candidate.place
        if self.breakers.state(key, now) == "half_open":
            # A probe that is outrun has failed, or each request in turn would be held up by one.
            self.breakers.failed(key, now)
        else:
            self.breakers.abandoned(key)
        self.paces.note(provider, model, failed=False, first_event_s=after_s, whole=whole)

    def has_answered(self, candidate: Candidate) -> bool:
        """Whether the model has ever answered at its provider."""
        provider, model, _ = candidate.place
        paces = (self.paces.of(provider, model, whole=whole) for whole in (False, True))
        return any(pace is not None and pace.first_event_s is not None for pace in paces)

    def abandoned(self, candidate: Candidate) -> None:
        """The try ended without a word about the candidate's health."""
        provider, model, _ = key = candidate.place
        self.breakers.abandoned(key)
        self.disabling.unheard(provider, model)

    # --- what operators see

    def forget(self, provider: str, now: float) -> None:
        """The provider has another address or other keys: what the old ones did says nothing of it."""
        self.breakers.forget(provider, now)
        self.rests.end(provider, now)
        self.spent.end(provider, now)
        self.disabling.acquit(provider, now)
        self.paces.forget(provider)

    def settle(self, addresses: Mapping[str, str]) -> None:
        """Says at which base URLs providers are; of one that was elsewhere, no figures are kept."""
        marks = {
            name: blake2b(address.encode(), digest_size=6).hexdigest()
            for name, address in addresses.items()
        }
        moved = {name for name, mark in marks.items() if self.addresses.get(name, mark) != mark}
        self.addresses = marks
        if moved:
            self.statistics = self.statistics.without(moved)

    def states(self, now: float) -> dict[Key, State]:
        """Every breaker that is not closed, for metrics and ``/ready``."""
        return self.breakers.states(now)


def key_of(candidate: Candidate) -> Key:
    """What a candidate's health is kept under; every name in it is safe to show.

    What a tenant's own credential meets is kept apart: it says nothing of the provider to anybody else.
    """
    return candidate.place
