"""Whether a caller may use so much now, and what the ticket that it gets gives back."""

from __future__ import annotations

import pytest

from dragoman.admission.admit import Cost, Gate, admit
from dragoman.admission.ports import UNKNOWN, LimitStore, Past, Short, Taken
from dragoman.admission.refusal import LimitError, refusal
from dragoman.admission.rules import rules_of
from dragoman.admission.tiers import Tiers
from dragoman.core.call import (
    NO_LIMITS,
    UNLIMITED,
    Attempt,
    Caller,
    Denied,
    Gauge,
    Limits,
    Outcome,
)
from dragoman.core.clock import ManualClock
from dragoman.core.errors import HouseError
from dragoman.core.usage import Usage
from dragoman.store.memory.limits import MemoryLimits

pytestmark = pytest.mark.anyio

REQUEST = Cost(place="one")


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Never(LimitStore):
    """A store that nobody looks at."""

    async def take(self, *args, **more):
        raise AssertionError("it was asked")


class Rig:
    def __init__(self, used: int = 0, tiers=None, everyone=None, store=None) -> None:
        self.clock = ManualClock()
        self.asked: list[str] = []
        self.hits: list[str] = []
        self.gate = Gate(
            Tiers(tiers, everyone), store or MemoryLimits(self.clock), self.past, self.hits.append
        )
        self._used = used

    async def past(self, caller: Caller, rule) -> Past:
        self.asked.append(caller.key_id)
        return Past(self._used, ((7200.0, self._used),))


def caller(**limits) -> Caller:
    return Caller("k", "t", limits=Limits(**limits))


def used(tokens: int) -> Outcome:
    """What a call came to that has used so many."""
    usage = Usage(input=tokens, output=0)
    attempt = Attempt("a", 1, "p", "m", None, 0.0, 0.0, status="complete", usage=usage)
    return Outcome(attempts=[attempt])


async def refused(rig: Rig, whose: Caller, cost: Cost = REQUEST) -> LimitError:
    with pytest.raises(LimitError) as found:
        await admit(whose, cost, rig.gate)
    return found.value


@pytest.mark.req("R-TIER-002")
@pytest.mark.parametrize(
    "limits", [NO_LIMITS, Limits(), Limits(0, 0, 0, 0, 0, 0, 0), Limits(rps=0)]
)
async def test_a_caller_without_limits_passes_unseen_by_the_store(limits):
    rig = Rig(store=Never())
    ticket = await admit(Caller("k", "t", limits=limits), Cost(1, 500, place="one"), rig.gate)
    assert ticket.allowed == UNLIMITED
    assert (ticket.place, ticket.reserved) == (None, None)


async def test_a_request_is_counted_by_its_key_and_the_second_of_one_is_refused():
    rig = Rig()
    ticket = await admit(caller(rpm=1), REQUEST, rig.gate)
    assert (ticket.allowed.requests.limit, ticket.allowed.requests.remaining) == (1, 0)
    assert (await refused(rig, caller(rpm=1))).code == "rpm_exceeded"
    assert rig.hits == ["rpm"]
    other = Caller("other", "t", limits=Limits(rpm=1))
    assert (await admit(other, REQUEST, rig.gate)).allowed.requests.remaining == 0


@pytest.mark.req("R-TIER-006")
async def test_quotas_for_everyone_stand_in_place_of_a_keys_own():
    rig = Rig(everyone=Limits(rpm=2))
    admin = Caller("k", "t", role="admin", limits=Limits(rpm=500), tier="none such")
    for _ in range(2):
        await admit(admin, REQUEST, rig.gate)
    assert (await refused(rig, admin)).denied.limit == 2


async def test_tokens_are_reserved_and_settled_to_what_was_used():
    rig = Rig()
    whose = caller(tpm=1000)
    ticket = await admit(whose, Cost(0, tokens=900), rig.gate)
    assert (ticket.reserved.taken.amount, ticket.allowed.tokens.remaining) == (900, 100)
    error = await refused(rig, whose, Cost(0, tokens=200))
    assert (error.code, error.denied.free) == ("tpm_exceeded", 100)
    ticket.reserved.end(used(300))
    ticket.reserved.end(used(0))  # a second time it does nothing
    assert (await admit(whose, Cost(0, tokens=200), rig.gate)).allowed.tokens.remaining == 500


async def test_a_place_comes_back_with_the_last_who_needed_it():
    rig = Rig()
    whose = caller(concurrency=1)
    place = (await admit(whose, REQUEST, rig.gate)).place
    place.join()
    place.leave()
    assert (await refused(rig, whose)).code == "concurrency_exceeded"
    place.leave()
    again = await admit(whose, Cost(place="another"), rig.gate)
    place.leave()  # of the old one nothing is left to give back
    assert (await refused(rig, whose)).code == "concurrency_exceeded"
    again.place.leave()


async def test_what_takes_no_place_is_not_refused_for_one():
    rig = Rig()
    await admit(caller(concurrency=1), REQUEST, rig.gate)
    assert (await admit(caller(concurrency=1), Cost(1), rig.gate)).place is None


async def test_a_message_that_is_refused_its_tokens_gives_its_place_back():
    rig = Rig()
    whose = caller(concurrency=1, tpm=10)
    await refused(rig, whose, Cost(1, 11, place="one"))
    assert (await admit(whose, Cost(1, 10, place="one"), rig.gate)).place is not None


@pytest.mark.req("R-TIER-004")
async def test_the_ledger_is_asked_once_what_is_used_of_an_allowance():
    rig = Rig(used=950)
    whose = caller(max_tokens=1000)
    assert (await admit(whose, Cost(0, tokens=40), rig.gate)).allowed.tokens.remaining == 10
    error = await refused(rig, whose, Cost(0, tokens=40))
    assert rig.asked == ["k"]
    assert (error.kind, error.status, error.code) == ("quota", 429, "insufficient_quota")
    assert error.retry_after_s is None
    assert "10 are left" in error.message
    assert (await admit(whose, REQUEST, rig.gate)).allowed == UNLIMITED


async def test_an_allowance_that_the_ledger_cannot_tell_lets_nobody_in():
    class Away(MemoryLimits):
        async def take(self, *args, **more):
            return UNKNOWN

    rig = Rig(store=Away(ManualClock()))

    async def fails(caller: Caller, rule) -> Past:
        raise HouseError("overloaded", "The database is away.")

    rig.gate.past = fails
    with pytest.raises(HouseError, match="away"):
        await admit(caller(max_tokens=5), Cost(0, tokens=1), rig.gate)


def test_rules_leave_out_what_is_not_limited():
    rules = rules_of(Limits(rps=0, rpm=5, tpd=7, concurrency=0))
    assert [bound.name for bound in rules.requests.bounds] == ["rpm"]
    assert [bound.name for bound in rules.tokens.bounds] == ["tpd"]
    assert (rules.requests.places, rules.tokens.total) == (0, 0)
    assert rules_of(Limits(rps=0)).requests.is_open


def test_a_part_of_the_rules_is_at_least_one():
    part = rules_of(Limits(rps=1, rpm=100, concurrency=3)).requests.shared_by(4)
    assert [bound.limit for bound in part.bounds] == [1, 25]
    assert part.places == 1
    assert rules_of(Limits(rps=5)).requests.shared_by(1).bounds[0].limit == 5


@pytest.mark.req("R-TIER-003")
@pytest.mark.parametrize(
    ("name", "code", "span"),
    [
        ("rps", "rps_exceeded", "requests per second"),
        ("rpm", "rpm_exceeded", "requests per minute"),
        ("rpd", "daily_quota_exceeded", "requests per day"),
        ("tpm", "tpm_exceeded", "tokens per minute"),
        ("tpd", "daily_token_limit_exceeded", "tokens per day"),
    ],
)
def test_a_refusal_names_the_limit_and_the_wait(name, code, span):
    error = refusal(Denied(name, 30, 12.3456, 7, 3))
    assert (error.kind, error.status, error.code) == ("rate_limit", 429, code)
    assert error.retry_after_s == 12.3456
    assert f"30 {span}" in error.message
    assert "12.3 seconds" in error.message
    assert error.details == {"limit_type": name, "limit": 30}


def test_what_can_never_pass_is_told_to_ask_for_less():
    error = refusal(Denied("tpm", 30, None, 70, 30))
    assert error.retry_after_s is None
    assert "may need 70" in error.message
    assert "max_tokens" in error.message


def test_an_allowance_that_is_used_up_is_said_to_be():
    error = refusal(Denied("max_tokens", 30, None, 70, 0))
    assert error.message == "This API key's allowance of 30 tokens is used up: ask for a new one."


async def test_a_store_that_takes_is_believed():
    class Fixed(MemoryLimits):
        async def take(self, *args, **more):
            return Taken(1.0, 1, Gauge(9, 8, 0.5), 0)

    ticket = await admit(caller(rpm=9), REQUEST, Rig(store=Fixed(ManualClock())).gate)
    assert ticket.allowed.requests == Gauge(9, 8, 0.5)


async def test_keys_that_were_not_seen_for_long_are_dropped(monkeypatch):
    monkeypatch.setattr("dragoman.store.memory.limits._SWEEP_FROM", 10)
    clock = ManualClock()
    store = MemoryLimits(clock)
    store._sweep_at = 10
    rule = rules_of(Limits(rps=1)).requests
    for number in range(10):
        await store.take(f"old-{number}", rule, 1)
    await store.take("busy", rules_of(Limits(rpm=1)).requests, 1)
    clock.advance(5)
    for number in range(20):
        await store.take(f"new-{number}", rule, 1)
    assert not any(name.startswith("old") for name, _ in store._meters)
    assert isinstance(await store.take("busy", rules_of(Limits(rpm=1)).requests, 1), Short)
