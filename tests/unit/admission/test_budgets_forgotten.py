"""Counters that are forgotten while calls wait: whatever comes between, none that holds money is lost."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from dataclasses import dataclass, field

import pytest

from dragoman.admission.budget_alerts import Alerts
from dragoman.admission.budget_lease import Counter, Pots
from dragoman.admission.budget_rules import Payment, Rule
from dragoman.admission.budgets import IDLE_S, Budgets, Exhausted
from dragoman.core.budget import Charge, Payer, Pot, Stake
from dragoman.core.clock import ManualClock
from memory_budgets import MemoryLeases

SHARED, MINE = Rule("shared", total=1_000_000), Rule("mine", total=1000)
BOTH = Payment((SHARED, MINE), (Payer("shared", ""), Payer("mine", "")))
ONE = Payment((SHARED,), (Payer("shared", ""),))
USERS = Rule("users", total=1000, each="user")


def nothing(what: str, error: Exception) -> None:
    """Nobody is told."""


def ignored(alert: object) -> None:
    """Nobody hears it."""


def budgets_of(store: MemoryLeases, clock: ManualClock, rules: list[Rule], holder: str = "a"):
    made = Budgets(holder, store, clock, Alerts(ignored), nothing)
    made.configure(rules)
    return made


async def turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


def held_by(budgets: Budgets) -> set[Counter]:
    return {*budgets._counters.values(), *budgets._former}


def test_a_counter_beside_one_that_is_renewed_is_not_forgotten():
    async def story() -> None:
        clock, store = ManualClock(), MemoryLeases()
        budgets = budgets_of(store, clock, [SHARED, MINE])
        pots = budgets.pots(BOTH, clock.wall())
        await budgets.reserve(pots, 5)
        budgets.release(pots, 5)
        shared, mine = pots.counters
        alone = budgets.pots(ONE, clock.wall())
        while budgets.take(alone, 1):
            pass
        clock.advance(IDLE_S + 0.01)
        shared.used_at = clock.monotonic()
        assert mine.is_idle
        call = asyncio.create_task(budgets.reserve(pots, 5))
        await turns(1)
        await budgets.tick()
        await call
        assert mine in held_by(budgets)
        assert store.leased[mine.pot, "a"] >= mine.reserved >= 5

    asyncio.run(story())


def test_nothing_is_leased_for_one_who_has_left():
    async def story() -> None:
        clock, store = ManualClock(), MemoryLeases()
        budgets = budgets_of(store, clock, [SHARED, MINE])
        pots = budgets.pots(BOTH, clock.wall())
        await budgets.reserve(pots, 5)
        budgets.release(pots, 5)
        store.turns = lambda: 5
        clock.advance(IDLE_S + 0.01)
        # The call asks for more while what is idle is given back, and leaves before that is written.
        tick = asyncio.create_task(budgets.tick())
        call = asyncio.create_task(budgets.reserve(budgets.pots(BOTH, clock.wall()), 500))
        await turns(2)
        call.cancel()
        await tick
        await turns(20)
        await budgets.close()
        for counter in pots.counters:
            assert (store.sum_of(counter.pot), counter.granted) == (0, 0)

    asyncio.run(story())


def test_what_was_found_of_others_is_known_when_a_counter_is_forgotten():
    async def story() -> None:
        clock, store = ManualClock(), MemoryLeases()
        budgets = budgets_of(store, clock, [SHARED, USERS])
        first, second = (
            Payment((SHARED, USERS), (Payer("shared", ""), Payer("users", user)))
            for user in ("first", "second")
        )
        gone, kept = (budgets.pots(each, clock.wall()) for each in (first, second))
        await budgets.reserve(gone, 1)
        budgets.release(gone, 1)
        clock.advance(IDLE_S + 0.01)
        await budgets.reserve(kept, 1)
        await budgets.tick()
        assert budgets.pots(second, clock.wall()) is kept
        found = budgets.pots(first, clock.wall())
        assert found is not gone
        assert found.counters[0] is kept.counters[0]
        assert set(found.counters) <= held_by(budgets)

    asyncio.run(story())


RULES = [
    Rule("shared", daily=2000, total=4000),
    *(Rule(f"own-{number}", monthly=1500) for number in range(3)),
]
LOWER = [Rule("shared", daily=2000, total=1500), *RULES[1:]]
DAY_S = 86_400


@dataclass
class Walk:
    """Two processes at one slow store, and all that is under way in them."""

    rnd: random.Random
    clock: ManualClock = field(default_factory=ManualClock)
    store: MemoryLeases = field(default_factory=MemoryLeases)
    open: list[tuple[int, str, Pots, Stake, float]] = field(default_factory=list)
    over: list[dict[str, Charge]] = field(default_factory=lambda: [{}, {}])
    seen: set[Counter] = field(default_factory=set)
    calls: list[asyncio.Task[None]] = field(default_factory=list)
    ticks: list[asyncio.Task[None]] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=lambda: RULES)
    begun: int = 0

    def __post_init__(self) -> None:
        self.store.turns = lambda: self.rnd.randrange(4)
        self.processes = [
            budgets_of(self.store, self.clock, RULES, holder) for holder in ("p", "q")
        ]

    async def call(self, which: int) -> None:
        budgets, wall = self.processes[which], self.clock.wall()
        rules = (self.rules[0], self.rules[1 + self.rnd.randrange(3)])
        payers = tuple(Payer(rule.name, "") for rule in rules)
        pots = budgets.pots(Payment(rules, payers), wall)
        self.seen.update(pots.counters)
        amount = self.rnd.choice([1, 7, 30, 200])
        try:
            await budgets.reserve(pots, amount)
        except Exhausted:
            return
        self.begun += 1
        self.open.append(
            (which, f"{which}-{self.begun}", pots, Stake("pq"[which], amount, payers), wall)
        )

    def settle(self) -> None:
        which, name, pots, stake, wall = self.open.pop(self.rnd.randrange(len(self.open)))
        cost = self.rnd.choice([0, stake.pico // 2, stake.pico])
        self.processes[which].settle(name, pots, stake.pico - cost, cost)
        self.over[which][name] = Charge(stake, wall, cost, 0)

    def write(self, which: int) -> None:
        charges, self.over[which] = self.over[which], {}
        self.processes[which].written(charges, self.store.write(list(charges.values())))

    def step(self) -> None:
        rnd, which, what = self.rnd, self.rnd.randrange(2), self.rnd.random()
        if what < 0.45:
            self.calls.append(asyncio.create_task(self.call(which)))
        elif what < 0.65 and self.open:
            self.settle()
        elif what < 0.75:
            self.write(which)
        elif what < 0.88:
            self.ticks.append(asyncio.create_task(self.processes[which].tick()))
        elif what < 0.94:
            self.clock.advance(rnd.choice([0.1, 0.3, IDLE_S + 0.1]))
        elif what < 0.97:
            waiting = [each for each in self.calls if not each.done()]
            for each in waiting[:1]:
                each.cancel()
        elif what < 0.985:
            self.rules = rnd.choice([RULES, LOWER])
            for budgets in self.processes:
                budgets.configure(self.rules)
        elif rnd.random() < 0.3:
            self.clock.advance(DAY_S)

    def check(self) -> None:
        """Each counter has set aside what its calls have, and leased at least that; none is lost."""
        in_use: defaultdict[Counter, int] = defaultdict(int)
        granted: defaultdict[tuple[Pot, str], int] = defaultdict(int)
        for _, _, pots, stake, _ in self.open:
            for counter in pots.counters:
                in_use[counter] += stake.pico
        for budgets in self.processes:
            for pots, amount in (
                *((pots, pots.ahead) for pots in budgets._ahead),
                *budgets.unwritten.values(),
            ):
                for counter in pots.counters:
                    in_use[counter] += amount
            for counter in held_by(budgets):
                granted[counter.pot, budgets.holder] += counter.granted
        for counter in self.seen:
            assert counter.reserved == in_use[counter]
            assert counter.granted >= counter.reserved
        known = set().union(*map(held_by, self.processes))
        assert not [each for each in self.seen - known if each.granted or each.reserved]
        for key, amount in granted.items():
            assert self.store.leased.get(key, 0) >= amount

    async def go(self, steps: int) -> None:
        for _ in range(steps):
            self.step()
            if self.rnd.random() < 0.5:
                await turns(1)
            self.check()
        ended = await asyncio.gather(*self.calls, *self.ticks, return_exceptions=True)
        assert {type(each) for each in ended} <= {type(None), asyncio.CancelledError}
        while self.open:
            self.settle()
        for which, budgets in enumerate(self.processes):
            self.write(which)
            await budgets.close()
        self.check()
        assert not any(self.store.leased.values()), "nothing is lost"


@pytest.mark.req("M3")
@pytest.mark.parametrize("seed", range(24))
def test_whatever_comes_between_no_counter_that_holds_money_is_lost(seed: int):
    async def story() -> None:
        await Walk(random.Random(seed)).go(200)

    asyncio.run(story())
