"""What admission notes at a call that it lets in: the same, whether or not something had to be waited for."""

from __future__ import annotations

import itertools

import pytest

from dragoman.admission import door
from dragoman.admission.admit import Gate
from dragoman.admission.ports import Past
from dragoman.admission.refusal import LimitError
from dragoman.admission.tiers import Tiers
from dragoman.core.call import Attempt, Caller, Limits
from dragoman.core.clock import ManualClock
from dragoman.core.usage import Usage
from dragoman.store.memory import limits as memory
from dragoman.store.memory.limits import MemoryLimits
from scripted import call_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Slow(MemoryLimits):
    """A store that has to be waited for."""

    def take_now(self, *args):
        return None


class Rig:
    def __init__(self, store) -> None:
        self.hits: list[str] = []
        self.numbers = itertools.count()
        self.clock = ManualClock()
        self.gate = Gate(Tiers(), store(self.clock), self.past, self.hits.append)

    async def past(self, caller, rule) -> Past:
        return Past(10, ((7200.0, 10),))

    async def let_in(self, caller: Caller):
        call = call_of()
        call.id = f"call-{next(self.numbers)}"
        if not door.let_in(call, caller, self.gate):
            await door.let_in_later(call, caller, self.gate)
        return call

    async def reserve(self, call, tokens: int, caller: Caller) -> None:
        quota = self.gate.tiers.quota(caller)
        if not door.reserve(tokens, quota, call, self.gate):
            await door.reserve_later(tokens, call, caller, self.gate)


def caller(**limits) -> Caller:
    return Caller("k", "t", limits=Limits(**limits))


@pytest.mark.parametrize("store", [MemoryLimits, Slow])
async def test_a_call_is_let_in_with_what_is_left_and_its_place(store):
    rig = Rig(store)
    whose = caller(rpm=5, rpd=100, concurrency=2)
    calls = [await rig.let_in(whose) for _ in range(2)]
    assert [call.allowed.requests.remaining for call in calls] == [4, 3]
    refused = call_of()
    with pytest.raises(LimitError):
        if not door.let_in(refused, whose, rig.gate):
            await door.let_in_later(refused, whose, rig.gate)
    assert refused.allowed.limit_name == "concurrency"
    assert (refused.hold, rig.hits) == (None, ["concurrency"])
    calls[0].hold.leave()
    assert (await rig.let_in(whose)).hold is not None


@pytest.mark.parametrize("store", [MemoryLimits, Slow])
async def test_tokens_are_reserved_and_settled_at_the_end_of_the_call(store):
    rig = Rig(store)
    whose = caller(rpm=5, tpm=1000, max_tokens=2000)
    call = await rig.let_in(whose)
    await rig.reserve(call, 900, whose)
    assert (call.allowed.requests.remaining, call.allowed.tokens.remaining) == (4, 100)
    other = await rig.let_in(whose)
    with pytest.raises(LimitError):
        await rig.reserve(other, 200, whose)
    assert (other.allowed.limit_name, other.allowed.free) == ("tpm", 100)
    assert other.allowed.requests.remaining == 3
    usage = Usage(input=200, output=100)
    call.outcome.attempts.append(
        Attempt("a", 1, "p", "m", None, 0.0, 0.0, status="complete", usage=usage)
    )
    call.reserved.end(call.outcome)
    await rig.reserve(other, 700, whose)
    assert other.allowed.tokens.remaining == 0


async def test_who_is_not_limited_has_nothing_noted_but_that():
    call = await Rig(MemoryLimits).let_in(caller())
    assert call.allowed.requests is None
    assert (call.hold, call.ended) == (None, ())


async def test_all_callers_of_a_key_are_counted_together_also_once_it_was_swept_away(monkeypatch):
    monkeypatch.setattr(memory, "_SWEEP_FROM", 2)
    rig = Rig(MemoryLimits)
    one, again = caller(rpm=5, tpm=50), caller(rpm=5, tpm=50)
    for _ in range(3):
        await rig.reserve(await rig.let_in(one), 10, one)
    rig.clock.advance(120)
    for number in range(3):
        await rig.let_in(Caller(f"other-{number}", "t", limits=Limits(rpm=5)))
    assert ("k", "requests") not in rig.gate.store._meters
    for whose in (one, again, one, again, one):
        await rig.reserve(await rig.let_in(whose), 10, whose)
    for whose in (one, again):
        with pytest.raises(LimitError):
            await rig.let_in(whose)


async def test_what_was_taken_before_a_sweep_is_settled_without_harm(monkeypatch):
    monkeypatch.setattr(memory, "_SWEEP_FROM", 2)
    rig = Rig(MemoryLimits)
    whose = caller(tpm=100)
    calls = [await rig.let_in(whose) for _ in range(3)]
    for call in calls:
        await rig.reserve(call, 10, whose)
    rig.clock.advance(120)
    for number in range(3):
        await rig.let_in(Caller(f"other-{number}", "t", limits=Limits(rpm=5)))
    calls[0].reserved.end(calls[0].outcome)
    await rig.reserve(await rig.let_in(whose), 100, whose)
    calls[1].reserved.end(calls[1].outcome)
    assert rig.gate.store.used("k", "tokens", "tpm") == 100


async def test_a_caller_is_counted_by_the_same_rules_whoever_asks_for_them():
    used = set()

    class Noting(MemoryLimits):
        def take_now(self, key_id, rule, *others):
            used.add(id(rule))
            return super().take_now(key_id, rule, *others)

        async def take(self, key_id, rule, *others, **more):
            used.add(id(rule))
            return await super().take(key_id, rule, *others, **more)

    rig, whose = Rig(Noting), caller(rpm=5)
    await rig.let_in(whose)
    rig.gate.tiers._made.clear()
    await door.let_in_later(call_of(), whose, rig.gate)
    await rig.let_in(whose)
    assert len(used) == 1
