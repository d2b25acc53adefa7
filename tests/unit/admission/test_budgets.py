"""The laws of budgets: nothing is overspent, nothing is lost, whatever several processes do or die of."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.admission.budget_alerts import WHOLE, Alerts
from dragoman.admission.budget_lease import grant_of
from dragoman.admission.budget_rules import Payment, Rule
from dragoman.admission.budgets import DRY_S, IDLE_S, Budgets, Exhausted
from dragoman.core.budget import Charge, Payer, Pot, Stake, since_of
from dragoman.core.call import Caller
from dragoman.core.clock import ManualClock
from dragoman.core.errors import HouseError
from memory_budgets import MemoryLeases
from sampling import examples

RULE = Rule("team", monthly=1000)
BOTH = Rule("both", daily=400, total=5000)
PAYER = Payer("team", "")


def nothing(what: str, error: Exception) -> None:
    """Nobody is told."""


def ignored(alert: object) -> None:
    """Nobody hears it."""


def budgets_of(store, clock, holder="a", rules=(RULE,), listener=ignored, **more) -> Budgets:
    made = Budgets(holder, store, clock, Alerts(listener), nothing, **more)
    made.configure(rules)
    return made


def pot_of(rule: Rule, span: str, clock) -> Pot:
    return Pot(rule.name, "", span, since_of(span, clock.wall()))


@dataclass
class Process:
    """One gateway: its calls under way, and what is over but not in the database."""

    budgets: Budgets
    clock: ManualClock
    rules: tuple[Rule, ...]
    open: dict[str, tuple] = field(default_factory=dict)
    over: dict[str, Charge] = field(default_factory=dict)
    made: int = 0

    @property
    def payers(self):
        return tuple(Payer(rule.name, "") for rule in self.rules)

    async def begin(self, amount: int) -> bool:
        pots = self.budgets.pots(Payment(self.rules, self.payers), self.clock.wall())
        try:
            await self.budgets.reserve(pots, amount)
        except Exhausted:
            return False
        self.made += 1
        name = f"{self.budgets.holder}-{self.made}"
        stake = Stake(self.budgets.holder, amount, self.payers)
        self.open[name] = (pots, stake, self.clock.wall())
        return True

    def reserved(self, pot: Pot) -> int:
        return sum(
            counter.reserved for counter in self.budgets._counters.values() if counter.pot == pot
        )

    def ahead(self, pot: Pot) -> int:
        """What is set aside for calls to come."""
        return sum(
            pots.ahead
            for pots in self.budgets._ahead
            if any(counter.pot == pot for counter in pots.counters)
        )

    def of_calls(self, pot: Pot) -> int:
        """What calls under way have set aside, and what those have cost that the ledger does not have."""
        stakes = [(pots, stake.pico) for pots, stake, _ in self.open.values()]
        return sum(
            amount
            for pots, amount in (*stakes, *self.budgets.unwritten.values())
            if any(counter.pot == pot for counter in pots.counters)
        )

    def end(self, cost: int | None) -> None:
        """At its cost, or None: nobody knows it."""
        if self.open:
            name = next(iter(self.open))
            pots, stake, wall = self.open.pop(name)
            spent, held = (0, stake.pico) if cost is None else (min(cost, stake.pico), 0)
            charge = Charge(stake, wall, spent, held)
            self.budgets.settle(name, pots, stake.pico - charge.covered, charge.covered)
            self.over[name] = charge

    def write(self, store: MemoryLeases, *, twice: bool = False) -> None:
        totals = store.write(list(self.over.values()))
        self.budgets.written(list(self.over), totals)
        if twice:
            # The answer was lost, and the ledger has them all already.
            self.budgets.written(list(self.over), {})
        self.over.clear()

    def die(self, store: MemoryLeases) -> None:
        """Its journal says what was over and what was open; then its lease is nobody's."""
        opened = [Charge(stake, wall, 0, stake.pico) for _, stake, wall in self.open.values()]
        store.write([*self.over.values(), *opened])
        store.ended(self.budgets.holder)


def test_a_part_of_a_lease_that_pays_for_nobody_here_pays_for_somebody_elsewhere():
    async def story():
        clock, store = ManualClock(), MemoryLeases()
        one, other = (Process(budgets_of(store, clock, name), clock, (RULE,)) for name in "ab")
        assert await one.begin(450)
        one.end(10)
        one.write(store)
        assert await other.begin(550)
        other.end(300)
        other.write(store)
        clock.advance(DRY_S)
        # Calls keep coming to both, so neither lease is ever idle: 440 are here, and 250 there.
        assert not await one.begin(600)
        assert await other.begin(600)

    asyncio.run(story())


steps = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(
            ["begin", "begin", "begin", "end", "end", "hold", "write", "twice", "tick", "die"]
        ),
        st.integers(0, 300),
    ),
    max_size=120,
)


@pytest.mark.req("M3", "M10", "M14", "R-TIER-008")
@settings(max_examples=examples(150), deadline=None)
@given(steps, st.booleans())
def test_what_is_spent_held_set_aside_and_leased_is_never_more_than_the_budget(walk, alone):
    async def go():
        clock = ManualClock()
        store = MemoryLeases()
        rules = (RULE, BOTH)
        made = 0

        def born() -> Process:
            nonlocal made
            made += 1
            mine = budgets_of(store, clock, f"p{made}", rules, alone=alone)
            return Process(mine, clock, rules)

        processes = [born() for _ in range(3)]
        limits = {
            pot_of(rule, span, clock): limit for rule in rules for span, limit in rule.bounds
        }
        for which, what, amount in walk:
            process = processes[which]
            match what:
                case "begin":
                    await process.begin(amount)
                case "end":
                    process.end(amount)
                case "hold":
                    process.end(None)
                case "write" | "twice":
                    process.write(store, twice=what == "twice")
                case "tick":
                    clock.advance(IDLE_S + 60)
                    await process.budgets.tick()
                case "die":
                    process.die(store)
                    processes[which] = born()
            for pot, limit in limits.items():
                assert store.sum_of(pot) <= limit
                in_use = 0
                for each in processes:
                    for counter in each.budgets._counters.values():
                        if counter.pot == pot:
                            in_use += counter.reserved
                            assert counter.free >= 0
                            assert store.leased[pot, each.budgets.holder] >= counter.granted
                assert store.spent[pot] + store.held[pot] + in_use <= limit
                for each in processes:
                    assert each.of_calls(pot) + each.ahead(pot) == each.reserved(pot)
        for process in processes:
            while process.open:
                process.end(0)
            process.write(store)
            await process.budgets.close()
        for pot in limits:
            # Nothing is leaked: what is not spent or held can be spent by whoever comes.
            assert store.sum_of(pot) == store.spent[pot] + store.held[pot]

    asyncio.run(go())


@given(
    st.integers(-100, 10_000), st.integers(1, 5000), st.integers(1, 5000), st.integers(0, 10_000),
    st.booleans(),
)  # fmt: skip
def test_a_lease_is_never_more_than_is_left_and_never_less_than_is_needed(
    left, need, more, limit, alone
):
    least = min(need, more)
    granted = grant_of(left, need, least, limit, alone=alone)
    assert 0 <= granted <= max(0, left)
    if left >= need:
        assert granted >= need
    elif left >= least:
        assert granted == left


@pytest.mark.req("M3")
@pytest.mark.parametrize("alone", [True, False])
def test_of_two_hundred_at_once_exactly_as_many_begin_as_the_budget_pays_for(alone):
    async def go():
        clock, store = ManualClock(), MemoryLeases()
        processes = [
            Process(budgets_of(store, clock, name, alone=alone), clock, (RULE,)) for name in "abcd"
        ]
        begun = await asyncio.gather(
            *(process.begin(10) for _ in range(50) for process in processes)
        )
        assert sum(begun) == 100
        assert store.asked < 50, "who waits together is asked for together"

    asyncio.run(go())


def test_one_process_asks_the_store_rarely():
    async def go():
        clock, store = ManualClock(), MemoryLeases()
        rule = Rule("team", monthly=1_000_000)
        process = Process(budgets_of(store, clock, rules=(rule,), alone=True), clock, (rule,))
        for _ in range(1000):
            assert await process.begin(10)
            process.end(5)
        assert store.asked == 1

    asyncio.run(go())


@pytest.mark.req("D27", "D6")
def test_money_never_fails_open():
    async def go():
        clock, store = ManualClock(), MemoryLeases()
        process = Process(budgets_of(store, clock, alone=True), clock, (RULE,))
        assert await process.begin(10)
        store.down = True
        for _ in range(49):
            assert await process.begin(10), "the lease holds out"
        with pytest.raises(HouseError, match="cannot be told") as refused:
            await process.begin(10)
        assert (refused.value.status, refused.value.code) == (503, "budget_unavailable")
        store.down = False
        assert await process.begin(10)

    asyncio.run(go())


def test_a_pot_that_is_empty_is_not_asked_of_again_at_once():
    async def go():
        clock, store = ManualClock(), MemoryLeases()
        process = Process(budgets_of(store, clock), clock, (RULE,))
        assert await process.begin(1000)
        for _ in range(100):
            assert not await process.begin(1)
        assert store.asked == 1
        clock.advance(2 * DRY_S)
        assert not await process.begin(1)
        assert store.asked == 2

    asyncio.run(go())


def test_what_one_does_not_need_is_anothers_soon():
    async def go():
        clock, store = ManualClock(), MemoryLeases()
        first, second = (
            Process(budgets_of(store, clock, name, alone=True), clock, (RULE,)) for name in "ab"
        )
        assert await first.begin(100)
        first.end(40)
        assert not await second.begin(700), "half of it is leased to the first"
        first.write(store)
        clock.advance(61)
        await first.budgets.tick()
        assert await second.begin(700)

    asyncio.run(go())


@pytest.mark.req("R10")
def test_a_call_is_charged_to_the_stretch_in_which_it_was_admitted():
    async def go():
        store = MemoryLeases()
        clock = ManualClock(wall=1_767_225_599.0)  # the last second of 2025
        process = Process(budgets_of(store, clock, rules=(BOTH,)), clock, (BOTH,))
        before = pot_of(BOTH, "day", clock)
        assert await process.begin(400)
        assert not await process.begin(1)
        clock.advance(1)
        assert pot_of(BOTH, "day", clock) != before
        assert await process.begin(400), "a new day has a budget of its own"
        process.end(300)
        process.end(200)
        process.write(store)
        assert (store.spent[before], store.spent[pot_of(BOTH, "day", clock)]) == (300, 200)
        assert store.spent[pot_of(BOTH, "total", clock)] == 500

    asyncio.run(go())


def test_a_bound_that_is_lowered_holds_for_what_was_leased_before():
    async def go():
        clock, store = ManualClock(), MemoryLeases()
        process = Process(budgets_of(store, clock, alone=True), clock, (RULE,))
        assert await process.begin(10)
        lower = Rule("team", monthly=20)
        process.budgets.configure((lower,))
        process.rules = (lower,)
        await process.budgets.tick()
        assert await process.begin(10)
        assert not await process.begin(1)

    asyncio.run(go())


def test_without_budgets_nobody_is_asked_anything():
    made = budgets_of(MemoryLeases(), ManualClock(), rules=())
    assert not made.active
    made.configure((RULE,))
    assert made.active
    assert made.covering(Caller("k", "t")) == ((RULE,), Payment((RULE,), (PAYER,)))


@pytest.mark.req("R-TIER-008")
def test_the_operator_is_told_of_each_share_once_by_one_process():
    async def go():
        heard = []
        clock, store = ManualClock(), MemoryLeases()
        rule = Rule("team", monthly=1000, alert_at=(500_000, 900_000))
        processes = [
            Process(budgets_of(store, clock, name, (rule,), heard.append), clock, (rule,))
            for name in "ab"
        ]

        async def spend(process: Process, amount: int) -> None:
            assert await process.begin(amount)
            process.end(amount)
            process.write(store)
            for each in processes:
                await each.budgets.tick()

        await spend(processes[0], 400)
        assert heard == []
        await spend(processes[0], 200)
        await spend(processes[1], 200)
        assert [alert.share for alert in heard] == [500_000]
        await spend(processes[1], 200)
        assert sorted(alert.share for alert in heard) == [500_000, 900_000, WHOLE]
        assert heard[0].used == 600

    asyncio.run(go())


def test_an_alert_that_could_not_be_noted_is_told_later():
    async def go():
        heard = []
        clock, store = ManualClock(), MemoryLeases()
        alerts = Alerts(heard.append)
        pot = pot_of(RULE, "month", clock)
        alerts.look((RULE,), {pot: (900, 0)})
        store.down = True
        with pytest.raises(HouseError):
            await alerts.tell(store)
        store.down = False
        await alerts.tell(store)
        assert [alert.share for alert in heard] == [800_000]

    asyncio.run(go())


def test_a_request_that_is_too_large_for_a_full_budget_alarms_nobody():
    alerts = Alerts(ignored)
    pot = pot_of(RULE, "month", ManualClock())
    alerts.refused(pot, 1000, 900)
    assert alerts._due == []
    alerts.refused(pot, 1000, 5)
    assert [alert.share for alert in alerts._due] == [WHOLE]
    assert alerts.refusals == {"team": 2}
