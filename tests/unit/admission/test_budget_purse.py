"""The purse of a call: opened for its plan, handed to its attempts, settled however they end."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.admission import budget_bound
from dragoman.admission.afford import Afforded, afford, afford_now, paying
from dragoman.admission.budget_alerts import Alerts
from dragoman.admission.budget_bound import plain_size
from dragoman.admission.budget_purse import Purse
from dragoman.admission.budget_rules import Payment, Rule
from dragoman.admission.budgets import Budgets
from dragoman.admission.ride import paid_now
from dragoman.core import money
from dragoman.core.ask import read_ask
from dragoman.core.budget import Payer, Pot, since_of
from dragoman.core.call import Attempt, Caller
from dragoman.core.clock import ManualClock
from dragoman.core.errors import CallerError, HouseError
from dragoman.core.provider import Candidate, Capability, Plan, Price
from dragoman.core.usage import Usage
from dragoman.routing.needs import needs_of
from memory_budgets import MemoryLeases
from scripted import call_of, candidate

CHEAP, DEAR = candidate("cheap"), candidate("dear")
PRICES = {
    "cheap": Price(input=Decimal(1), output=Decimal(1)),
    "dear": Price(input=Decimal(1), output=Decimal(100)),
    "tiered": Price(
        input=Decimal(1),
        output=Decimal(2),
        above=((200, Price(input=Decimal(3), output=Decimal(4))),),
    ),
}
CALLER = Caller("k1", "acme")
USD = 10**12


class House:
    """Budgets over a store in memory, and calls that pay from them."""

    def __init__(self, *rules: Rule) -> None:
        self.store = MemoryLeases()
        self.clock = ManualClock()
        self.budgets = Budgets(
            "p1", self.store, self.clock, Alerts(lambda alert: None), lambda *_: None, alone=True
        )
        self.budgets.configure(rules)
        self.rule = rules[0]
        self.attempts = 0

    def price(self, candidate: Candidate) -> Price | None:
        return PRICES.get(candidate.provider.name)

    def asked(self, plan: Plan, body, caller, operation):
        """What is said to both ways to afford it; None: nobody has to pay."""
        self.call = call_of()
        self.call.operation = operation
        self.call.wall = self.clock.wall()
        ask = read_ask(msgspec.json.encode({"model": "m", "max_tokens": 100, **(body or {})}))
        payers = paying(ask, self.call, caller, self.budgets)
        return payers and (plan, ask, self.call, payers, self.budgets, needs_of, self.price)

    async def afford(self, *candidates, body=None, caller=CALLER, operation="chat", quick=True):
        said = self.asked(Plan("m", candidates), body, caller, operation)
        if said is None:
            return None
        self.at_once = afford_now(*said) if quick else None
        if self.at_once is not None:
            return Afforded(said[0], said[1], self.at_once)
        return await afford(*said)

    def attempt(self, at: Candidate, **members) -> Attempt:
        self.attempts += 1
        return Attempt(
            f"a{self.attempts}", self.attempts, at.provider.name, "m", None, 0.0, 0.0, **members
        )

    @property
    def counter(self):
        payment = Payment((self.rule,), (Payer(self.rule.name, ""),))
        self.budgets._gather()
        return self.budgets.pots(payment, self.clock.wall()).counters[0]

    @property
    def unwritten(self) -> int:
        """What calls that are over have cost, and the ledger does not have yet."""
        return sum(covered for _, covered in self.budgets.unwritten.values())

    @property
    def reserved(self) -> int:
        """What is set aside for calls under way."""
        return self.counter.reserved - self.unwritten

    def pot(self, span="month") -> Pot:
        return Pot(self.rule.name, "", span, since_of(span, self.clock.wall()))


def close(purse, attempt) -> int:
    """Closes it as accounting does: at its cost."""
    spent = None if attempt.cost is None else money.to_pico(attempt.cost)
    return purse.closed(attempt, spent)


def run(go) -> None:
    asyncio.run(go())


@pytest.mark.req("D16")
def test_the_dearest_of_the_plan_is_set_aside_and_what_is_left_over_comes_back():
    async def go():
        house = House(Rule("team", monthly=USD))
        afforded = await house.afford(CHEAP, DEAR)
        dearest = house.reserved
        assert dearest > 100 * 100 * 10**6
        purse = afforded.purse
        assert await purse.affords(CHEAP)
        attempt = house.attempt(CHEAP, cost=Decimal("0.00001"), status="complete", may_cost=True)
        stake = purse.stake(attempt)
        assert (stake.holder, stake.payers) == ("p1", (Payer("team", ""),))
        assert stake.pico < dearest
        assert close(purse, attempt) == 0
        purse.finish()
        assert (house.reserved, house.unwritten) == (0, 10**7)
        house.budgets.written(["a1"], {})
        assert house.unwritten == 0

    run(go)


def attempts_of(house, *ends):
    """A call of one candidate with these attempts; what its budget says of each."""

    async def go():
        purse = (await house.afford(CHEAP)).purse
        held = []
        for members in ends:
            assert await purse.affords(CHEAP)
            attempt = house.attempt(CHEAP, **members)
            stake = purse.stake(attempt)
            held.append((stake.pico, close(purse, attempt)))
        purse.finish()
        return held

    return asyncio.run(go())


@pytest.mark.req("D27", "M6", "M7")
def test_what_nobody_knows_the_cost_of_is_held_less_what_is_known():
    house = House(Rule("team", monthly=USD))
    refused, unknown, told, paid = attempts_of(
        house,
        {"may_cost": False},
        {"may_cost": True},
        {"may_cost": True, "usage": Usage(input=7)},
        {"may_cost": True, "usage": Usage(input=7, output=3), "cost": Decimal("0.00001")},
    )
    assert refused[1] == 0
    assert unknown[1] == unknown[0]
    # The seven are known: of the answer's hundred nothing is.
    assert told[1] == (7 + 100) * 10**6 < told[0]
    assert paid[1] == 0
    assert house.unwritten == unknown[0] + told[1] + 10**7
    assert house.reserved == 0


def test_more_than_was_set_aside_is_not_taken_from_what_others_have_set_aside():
    house = House(Rule("team", monthly=USD))
    ((stake, _),) = attempts_of(house, {"cost": Decimal("0.9"), "may_cost": True})
    assert house.unwritten == stake


def test_every_further_try_has_to_be_paid_for():
    async def go():
        house = House(Rule("team", monthly=700 * 10**6))
        purse = (await house.afford(CHEAP)).purse
        made = 0
        while await purse.affords(CHEAP):
            attempt = house.attempt(CHEAP, may_cost=True)
            held = purse.stake(attempt).pico
            assert close(purse, attempt) == held
            made += 1
        assert made == 700 * 10**6 // held
        purse.finish()
        assert house.reserved == 0

    run(go)


def test_two_under_way_at_once_have_each_set_their_own_aside():
    async def go():
        house = House(Rule("team", monthly=USD))
        purse = (await house.afford(CHEAP)).purse
        attempts = []
        for _ in range(2):
            assert await purse.affords(CHEAP)
            attempts.append(house.attempt(CHEAP, may_cost=True))
            one = purse.stake(attempts[-1]).pico
        assert house.reserved == 2 * one
        attempts[1].cost = Decimal("0.00001")
        assert close(purse, attempts[1]) == 0
        assert close(purse, attempts[0]) == one
        purse.finish()
        assert (house.reserved, house.unwritten) == (0, one + 10**7)

    run(go)


def test_what_could_not_be_written_down_is_not_spent_and_what_never_ended_is():
    async def go():
        house = House(Rule("team", monthly=USD))
        purse = (await house.afford(CHEAP)).purse
        assert await purse.affords(CHEAP)
        unmade, lost = house.attempt(CHEAP), house.attempt(CHEAP)
        purse.stake(unmade)
        purse.unmade(unmade)
        assert await purse.affords(CHEAP)
        stake = purse.stake(lost).pico
        purse.finish()
        assert (house.reserved, house.unwritten) == (0, stake)

    run(go)


def test_while_the_store_is_away_no_further_try_is_made():
    async def go():
        house = House(Rule("team", monthly=USD))
        house.budgets._alone = False
        purse = (await house.afford(CHEAP)).purse
        assert await purse.affords(CHEAP)
        purse.stake(house.attempt(CHEAP))
        house.store.down = True
        house.counter.granted = house.counter.reserved
        assert not await purse.affords(CHEAP)

    run(go)


@pytest.mark.req("M3")
def test_who_is_too_dear_for_what_is_left_is_left_out():
    async def go():
        house = House(Rule("team", monthly=5000 * 10**6))
        afforded = await house.afford(DEAR, CHEAP)
        assert afforded.plan.candidates == (CHEAP,)
        assert [each.name for each in afforded.plan.skipped] == ["dear/m"]
        with pytest.raises(CallerError, match="does not pay") as refused:
            await house.afford(DEAR)
        assert (refused.value.kind, refused.value.code) == ("quota", "insufficient_quota")
        assert refused.value.details is not None
        assert "left_usd" not in refused.value.details, "tenants share it"

    run(go)


def test_a_refusal_tells_what_is_left_to_whom_it_belongs():
    async def go():
        house = House(Rule("mine", tenant="acme", daily=7 * 10**6))
        with pytest.raises(CallerError) as refused:
            await house.afford(CHEAP)
        details = refused.value.details
        assert details is not None
        assert (details["limit_usd"], details["left_usd"]) == ("0.000007", "0.000007")
        assert Decimal(str(details["needed_usd"])) > money.from_pico(100 * 10**6)
        assert details["resets_at"] == "2025-10-10T00:00:00Z"
        house = House(Rule("ever", tenant="acme", total=0))
        with pytest.raises(CallerError, match="ask the operator"):
            await house.afford(CHEAP)

    run(go)


def test_who_has_no_budget_and_what_costs_nothing_pays_nothing():
    async def go():
        house = House(Rule("other", tenant="other", monthly=0))
        assert await house.afford(CHEAP) is None
        house = House(Rule("mine", tenant="acme", monthly=0))
        assert await house.afford(CHEAP, operation="count_tokens") is None
        house = House(Rule("one", tenant="acme", user="boss", monthly=0))
        assert await house.afford(CHEAP) is None
        with pytest.raises(CallerError):
            await house.afford(CHEAP, body={"user": "boss"})

    run(go)


@pytest.mark.req("M13")
def test_a_model_without_a_price_is_left_out_or_refused():
    async def go():
        unpriced = candidate("unpriced")
        house = House(Rule("team", monthly=USD))
        afforded = await house.afford(unpriced, CHEAP)
        assert afforded.plan.candidates == (CHEAP,)
        with pytest.raises(CallerError, match=r"unpriced/m costs is not known") as refused:
            await house.afford(unpriced)
        assert refused.value.status == 403
        house = House(Rule("team", monthly=USD, unpriced="allow"))
        afforded = await house.afford(unpriced)
        assert house.reserved == 0
        assert await afforded.purse.affords(unpriced)

    run(go)


@pytest.mark.req("D27")
def test_an_answer_is_made_as_short_as_is_left_where_the_budget_says_so():
    async def go():
        house = House(Rule("team", monthly=240 * 10**6, clamp_output=True))
        afforded = await house.afford(CHEAP, body={"max_tokens": 500})
        number = msgspec.json.decode(afforded.ask.body)["max_tokens"]
        assert 16 <= number < 200
        assert house.call.outcome.clamped == (f"max_tokens={number}",)
        assert 239 * 10**6 < house.reserved <= 240 * 10**6
        # Too little for any answer.
        house = House(Rule("team", monthly=100 * 10**6, clamp_output=True))
        with pytest.raises(CallerError):
            await house.afford(CHEAP)

    run(go)


def test_an_answer_has_no_more_tokens_than_the_budget_allows():
    async def go():
        house = House(Rule("team", monthly=USD, clamp_output=True, most_output=40))
        for body in ({"max_tokens": 500}, {"max_tokens": None}):
            afforded = await house.afford(CHEAP, body=body)
            assert msgspec.json.decode(afforded.ask.body)["max_tokens"] == 40
        afforded = await house.afford(CHEAP, body={"max_tokens": 30})
        assert msgspec.json.decode(afforded.ask.body)["max_tokens"] == 30
        assert house.call.outcome.clamped == ()
        # One without a bound gets the one that was set aside.
        house = House(Rule("team", monthly=USD, clamp_output=True))
        afforded = await house.afford(CHEAP, body={"max_tokens": None})
        assert msgspec.json.decode(afforded.ask.body)["max_tokens"] == 8192

    run(go)


def test_where_nobody_can_say_what_is_left_the_call_is_not_made():
    async def go():
        house = House(Rule("team", monthly=USD))
        house.store.down = True
        with pytest.raises(HouseError, match="cannot be told"):
            await house.afford(CHEAP)

    run(go)


def test_a_purse_that_is_filled_again_after_a_long_while_counts_in_the_same_pots():
    async def go():
        house = House(Rule("team", monthly=USD))
        purse = (await house.afford(CHEAP)).purse
        assert isinstance(purse, Purse)
        assert await purse.affords(CHEAP)
        attempt = house.attempt(CHEAP, may_cost=True)
        stake = purse.stake(attempt)
        close(purse, attempt)
        house.budgets.written([attempt.id], {})
        house.store.held[house.pot()] += stake.pico
        house.store.leased[house.pot(), "p1"] -= stake.pico
        # All of it is written, so the counter is idle and is forgotten.
        house.clock.advance(100)
        await house.budgets.tick()
        assert await purse.affords(CHEAP)
        assert house.reserved == stake.pico
        purse.finish()
        assert house.reserved == 0

    run(go)


@pytest.mark.parametrize("body", [{}, {"max_tokens": None}, {"tools": []}, {"n": 3}])
@pytest.mark.parametrize("plan", [(CHEAP,), (DEAR, CHEAP)])
def test_what_is_set_aside_at_once_is_what_would_be_at_a_second_look(plan, body):
    async def go():
        found = []
        for quick in (True, False):
            house = House(Rule("team", monthly=99 * USD), Rule("each", each="key", daily=99 * USD))
            await house.afford(CHEAP)  # the lease is there
            assert house.at_once is None
            before = house.reserved
            afforded = await house.afford(*plan, body=body, quick=quick)
            assert (house.at_once is not None) is quick
            purse = afforded.purse
            assert purse.affords_now(plan[0])
            stake = purse.stake(house.attempt(plan[0]))
            found.append((house.reserved - before, stake, purse.bound(plan[-1])))
            purse.finish()
        assert found[0] == found[1]

    run(go)


def test_what_is_not_paid_for_at_once_sets_nothing_aside():
    async def go():
        unpriced = candidate("unpriced")
        for rule, plan in (
            (Rule("team", monthly=USD), (CHEAP, unpriced)),
            (Rule("team", monthly=USD, clamp_output=True), (CHEAP,)),
            (Rule("team", monthly=5000 * 10**6), (DEAR,)),
        ):
            house = House(rule)
            await house.afford(CHEAP)
            before = house.reserved
            said = house.asked(Plan("m", plan), {}, CALLER, "chat")
            assert afford_now(*said) is None
            assert house.reserved == before

    run(go)


BODIES = st.fixed_dictionaries(
    {"model": st.just("m"), "messages": st.just([{"role": "user", "content": "Hello"}])},
    optional={
        "max_tokens": st.integers(-1, 40) | st.none(),
        "max_completion_tokens": st.integers(0, 4000),
        "n": st.integers(1, 3),
        "prompt_cache_key": st.just("k"),
        "reasoning_effort": st.just("low"),
        "tools": st.just([]),
        "user": st.text(max_size=3000),
    },
)
CANDIDATES = [
    CHEAP,
    Candidate(DEAR.provider, "m", capability=Capability(context_tokens=300, max_output_tokens=50)),
    candidate("tiered"),
    candidate("unknown"),
]


@settings(deadline=None)
@given(st.lists(BODIES, min_size=1, max_size=6), st.sampled_from(CANDIDATES))
def test_who_has_paid_lately_pays_the_same_at_once(bodies, at):
    house = House(Rule("team", monthly=USD), Rule("each", each="key", daily=USD))
    plan = Plan("m", (at,))
    body = {"max_tokens": 9 * 10**5}
    asyncio.run(house.afford(CHEAP, body=body)).purse.finish()  # a lease that pays for all of them
    found = 0
    for body in [bodies[0], *bodies]:
        said = house.asked(plan, body, CALLER, "chat")
        house.call.caller = CALLER
        quick = paid_now(plan, said[1], house.call, CALLER, house.budgets)
        taken = house.reserved
        if quick is not None:
            found += 1
            assert quick.affords_now(at)
            quick.finish()
        slow = afford_now(*said)
        if quick is not None:
            assert house.reserved == taken
        if slow is not None:
            slow.finish()
        assert house.reserved == 0
    plain = {"model", "messages", "max_completion_tokens", "user"}
    bounded = bodies[0].get("max_completion_tokens", 16) >= 16
    bounded = (
        bounded and bodies[0].get("user", "").isprintable() and bodies[0].get("user", "").isascii()
    )
    if at is CHEAP and bodies[0].keys() <= plain and bounded:
        assert found


@pytest.mark.parametrize(("letters", "at_once"), [(1, True), (400, False)])
def test_a_fare_holds_up_to_the_size_from_which_another_price_does(letters, at_once):
    house = House(Rule("team", monthly=USD))
    at = candidate("tiered")
    asyncio.run(house.afford(at))
    plan = Plan("m", (at,))
    for text in ("", "x" * letters):
        said = house.asked(plan, {"user": text}, CALLER, "chat")
        house.call.caller = CALLER
        quick = paid_now(plan, said[1], house.call, CALLER, house.budgets)
        assert afford_now(*said)
    assert (quick is not None) == at_once


def test_a_fare_holds_for_its_second_and_day_and_as_long_as_its_budgets():
    house = House(Rule("team", monthly=USD))
    plan = Plan("m", (CHEAP,))

    def at_once() -> bool:
        said = house.asked(plan, None, CALLER, "chat")
        house.call.caller = CALLER
        quick = paid_now(plan, said[1], house.call, CALLER, house.budgets)
        slow = afford_now(*said) or run_of(house.afford(CHEAP))
        assert slow is not None
        return quick is not None

    def run_of(going):
        return asyncio.run(going)

    at_once()
    at_once()
    assert at_once()
    assert run_of(house.afford(CHEAP, body={"prompt_cache_key": "k"}))
    house.clock.advance(1)
    assert not at_once()
    assert at_once()
    house.budgets.configure((Rule("team", monthly=USD),))
    assert not at_once()
    assert at_once()
    house.call.wall -= 86_400
    said = house.asked(plan, None, CALLER, "chat")
    house.call.wall -= 86_400
    assert paid_now(plan, said[1], house.call, CALLER, house.budgets) is None
    other = Caller("k2", "acme")
    assert paid_now(plan, said[1], house.call, other, house.budgets) is None


WAYS = st.lists(
    st.tuples(
        st.sampled_from(["try", "unmade"]),
        st.sampled_from(["complete", "upstream_cut", "upstream_error", "left open"]),
        st.sampled_from([0, 1, 500, 10**12, None]),
        st.booleans(),
    ),
    max_size=4,
)


@settings(deadline=None)
@given(WAYS)
def test_whatever_becomes_of_a_call_its_ride_comes_to_what_a_purse_would(ways):
    """Two houses alike: in the one the call pays its fare, in the other it is afforded."""
    told = []
    for quick in (True, False):
        house = House(Rule("team", monthly=USD))
        plan = Plan("m", (CHEAP,))
        asyncio.run(house.afford(CHEAP)).purse.finish()
        said = house.asked(plan, None, CALLER, "chat")
        house.call.caller = CALLER
        afford_now(*said).finish()
        purse = (
            paid_now(plan, said[1], house.call, CALLER, house.budgets)
            if quick
            else afford_now(*said)
        )
        assert purse is not None
        seen: list[object] = []
        for what, status, spent, costly in ways:
            if not (purse.affords_now(CHEAP) or asyncio.run(purse.affords(CHEAP))):
                seen.append("unpaid")
                continue
            attempt = house.attempt(CHEAP, may_cost=costly)
            seen.append(purse.stake(attempt))
            if what == "unmade":
                purse.unmade(attempt)
            elif status != "left open":
                attempt.status = status
                seen.append(purse.closed(attempt, spent))
            seen.append((house.reserved, house.unwritten))
        purse.finish()
        purse.finish()
        told.append((seen, house.reserved, house.unwritten, house.counter.granted))
    assert told[0] == told[1]
    assert told[0][1] == 0


def test_the_names_of_members_are_remembered_and_bounded(monkeypatch):
    monkeypatch.setattr(budget_bound, "_bounding", {})
    monkeypatch.setattr(budget_bound, "_MOST_NAMES", 3)

    def sized(**members):
        ask = read_ask(msgspec.json.encode({"model": "m", **members}))
        return plain_size(ask, "chat")

    for _ in range(2):
        assert sized(max_tokens=7, max_completion_tokens=9).output == 9
        assert sized(tools=[]) is None
    for number in range(9):
        assert sized(**{f"x{number}": 1}).output is None
    assert len(budget_bound._bounding) <= 3
    assert sized(**{"y" * 500: 1, "max_tokens": 5}).output == 5
    assert not any("y" * 500 in names for names in budget_bound._bounding)
