"""Budgets that the operator changes while calls are under way and keep coming."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from dragoman.admission.budget_alerts import Alerts
from dragoman.admission.budget_rules import Payment, Rule
from dragoman.admission.budgets import TICK_S, Budgets, Exhausted
from dragoman.core.budget import Charge, Payer, Pot, Stake, since_of
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


def test_what_calls_from_before_give_back_pays_for_nobody_under_a_lower_bound():
    async def story() -> None:
        clock, store = ManualClock(), MemoryLeases()
        budgets = budgets_of(store, clock, Rule("team", monthly=1000))
        before = budgets.pots(Payment((Rule("team", monthly=1000),), PAYERS), clock.wall())
        for _ in range(45):
            await budgets.reserve(before, 10)
        lowered = Rule("team", monthly=100)
        budgets.configure([lowered])
        clock.advance(TICK_S)
        await budgets.tick()
        pots = budgets.pots(Payment((lowered,), PAYERS), clock.wall())
        with pytest.raises(Exhausted):  # what is under way may cost more than the bound
            await budgets.reserve(pots, 10)
        for number in range(45):
            budgets.settle(f"before-{number}", before, 10, 0)
        budgets.written([f"before-{number}" for number in range(45)], {})
        spent = 0
        for number in range(200):
            with suppress(Exhausted):
                await budgets.reserve(pots, 10)
                budgets.settle(f"after-{number}", pots, 0, 10)
                written = Charge(Stake("a", 10, PAYERS), clock.wall(), 10, 0)
                budgets.written([f"after-{number}"], store.write([written]))
                spent += 10
            clock.advance(TICK_S / 4)
            if number % 4 == 0:
                await budgets.tick()
                pots = budgets.pots(Payment((lowered,), PAYERS), clock.wall())
        assert spent == 100
        await budgets.close()
        assert store.sum_of(before.counters[0].pot) == 100, "nothing of the lease is lost"

    asyncio.run(story())


def test_a_bound_that_is_lowered_refuses_nobody_for_what_was_leased_and_not_used():
    async def story() -> None:
        clock, store = ManualClock(), MemoryLeases()
        budgets = budgets_of(store, clock, Rule("team", monthly=1000))
        before = budgets.pots(Payment((Rule("team", monthly=1000),), PAYERS), clock.wall())
        await budgets.reserve(before, 10)
        lowered = Rule("team", monthly=100)
        budgets.configure([lowered])
        # Half of the former bound is leased, and no tick has given it back.
        await budgets.reserve(budgets.pots(Payment((lowered,), PAYERS), clock.wall()), 90)

    asyncio.run(story())


def test_a_call_from_before_a_bound_was_lowered_takes_more_within_the_new_one():
    async def story() -> None:
        clock, store = ManualClock(), MemoryLeases()
        budgets = budgets_of(store, clock, Rule("team", monthly=1000))
        before = budgets.pots(Payment((Rule("team", monthly=1000),), PAYERS), clock.wall())
        await budgets.reserve(before, 10)
        budgets.configure([Rule("team", monthly=100)])
        await budgets.tick()
        await budgets.reserve(before, 90)
        with pytest.raises(Exhausted):
            await budgets.reserve(before, 1)
        budgets.settle("before", before, 0, 100)
        pot = before.counters[0].pot
        assert store.leased[pot, "a"] == 100
        store.write([Charge(Stake("a", 100, PAYERS), clock.wall(), 100, 0)])
        budgets.written(["before"], {})
        await budgets.tick()
        assert (pot, "a") not in store.leased

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
