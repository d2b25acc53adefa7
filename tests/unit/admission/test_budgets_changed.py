"""Budgets that the operator changes while calls are under way and keep coming."""

from __future__ import annotations

import asyncio

from dragoman.admission.budget_alerts import Alerts
from dragoman.admission.budget_rules import Payment, Rule
from dragoman.admission.budgets import TICK_S, Budgets
from dragoman.core.budget import Payer, Pot, since_of
from dragoman.core.clock import ManualClock
from memory_budgets import MemoryLeases

PAYERS = (Payer("team", ""),)


def nothing(what: str, error: Exception) -> None:
    """Nobody is told."""


def ignored(alert: object) -> None:
    """Nobody hears it."""


def budgets_of(store: MemoryLeases, clock: ManualClock, rule: Rule) -> Budgets:
    made = Budgets("a", store, clock, Alerts(ignored), nothing, alone=True)
    made.configure([rule])
    return made


def test_a_bound_that_is_lowered_holds_although_calls_keep_coming():
    async def story() -> None:
        clock, store = ManualClock(), MemoryLeases()
        budgets = budgets_of(store, clock, Rule("team", monthly=1000))
        calls = budgets.pots(Payment((Rule("team", monthly=1000),), PAYERS), clock.wall())
        await budgets.reserve(calls, 10)
        budgets.release(calls, 10)
        lowered = Rule("team", monthly=100)
        budgets.configure([lowered])
        begun = 0
        for number in range(40):
            # Four in each tick, so the lease is never idle.
            pots = budgets.pots(Payment((lowered,), PAYERS), clock.wall())
            if budgets.take(pots, 10):
                begun += 1
            clock.advance(TICK_S / 4)
            if number % 4 == 0:
                await budgets.tick()
        assert begun <= 10 + 4, f"{begun * 10} of a budget of 100"

    asyncio.run(story())


def test_a_window_that_is_added_bounds_new_calls_although_one_from_before_it_goes_on():
    async def story() -> None:
        clock, store = ManualClock(), MemoryLeases()
        before = Rule("team", daily=1000)
        budgets = budgets_of(store, clock, before)
        after = Rule("team", daily=1000, monthly=50)
        budgets.configure([after])
        # The call from before asks for another try of its own.
        await budgets.reserve(budgets.pots(Payment((before,), PAYERS), clock.wall()), 10)
        pots = [
            each.pot for each in budgets.pots(Payment((after,), PAYERS), clock.wall()).counters
        ]
        assert Pot("team", "", "month", since_of("month", clock.wall())) in pots

    asyncio.run(story())


def test_a_call_from_before_a_change_does_not_bring_back_the_former_bound():
    async def story() -> None:
        clock, store = ManualClock(), MemoryLeases()
        before, after = Rule("team", daily=1000), Rule("team", daily=50)
        budgets = budgets_of(store, clock, before)
        budgets.configure([after])
        budgets.pots(Payment((before,), PAYERS), clock.wall())
        (counter,) = budgets.pots(Payment((after,), PAYERS), clock.wall()).counters
        assert counter.limit == 50

    asyncio.run(story())
