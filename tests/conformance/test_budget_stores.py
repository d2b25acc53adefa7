"""Budgets in SQL, against every database that is there: leases, charges, definitions, holds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal

import msgspec
import pytest
from sqlalchemy import insert, select

from databases import KINDS, database_url
from dragoman.accounting.entry import AttemptRow, Consumed, Entry, RequestRow
from dragoman.accounting.ports import Scope
from dragoman.admission.budget_alerts import Alerts
from dragoman.admission.budget_ports import Back, Want
from dragoman.admission.budget_rules import Payment, Rule
from dragoman.admission.budgets import DRY_S, Budgets, Exhausted
from dragoman.core.budget import Charge, Payer, Pot, Stake, pots_of
from dragoman.core.clock import ManualClock
from dragoman.store.budget_tables import charges, leases, pots
from dragoman.store.engine import Database
from dragoman.store.schema import open_upgraded
from dragoman.store.sql.budget_leases import SqlLeases
from dragoman.store.sql.budgets import SqlBudgets
from dragoman.store.sql.ledger import SqlLedger

WALL = 1_760_000_000.0
TEAM = Payer("team", "")
ALICE = Payer("people", "acme/alice")
MONTH = Pot("team", "", "month", 20362)
DAY = Pot("team", "", "day", 20370)
NOTHING = Consumed(None, None, None, None, None, None, None, None, None, "none", None, "none")

STREAM = True

Story = Callable[[Database, SqlLeases], Awaitable[None]]


@pytest.fixture(params=KINDS)
def play(request, tmp_path):
    def run(story: Story) -> None:
        async def whole() -> None:
            async with database_url(request.param, tmp_path) as url:
                database = await open_upgraded(url)
                try:
                    await story(database, SqlLeases(database, ManualClock(wall=WALL)))
                finally:
                    await database.close()

        asyncio.run(whole())

    return run


def entry(number: int, *paid: Charge | None) -> Entry:
    """A call with an attempt for each of these charges."""
    call = f"00000000-0000-7000-8000-{number:012}"
    row = RequestRow(
        call, f"r-{number}", "f" * 32, "acme", "k1", "me", "chat", "chat", "m", "openai", "m",
        "complete", 200, STREAM, len(paid), NOTHING, None, None, None, int(WALL * 1e6), None, "",
        "", "",
    )  # fmt: skip
    tries = tuple(
        AttemptRow(
            f"00000000-0000-7000-9000-{number * 100 + place:012}", call, place + 1, "acme",
            "openai", "m", None, "complete", 200, None, None, None, NOTHING, "", "", None, None,
            int(WALL * 1e6), charge,
        )
        for place, charge in enumerate(paid)
    )  # fmt: skip
    return Entry(row, tries)


def charge(spent: int, held: int = 0, reserved: int = 100, holder: str = "p1", *payers) -> Charge:
    return Charge(Stake(holder, reserved, payers or (TEAM,)), WALL, spent, held)


async def standing(database: Database, pot: Pot) -> tuple[int, int, int]:
    store = SqlBudgets(database, ManualClock(wall=WALL))
    found = await store.standings([pot], divided=bool(pot.subject))
    mine = next((each for each in found if each.pot == pot), None)
    return (0, 0, 0) if mine is None else (mine.spent, mine.held, mine.leased)


@pytest.mark.req("M3", "M14")
def test_a_lease_and_what_is_paid_from_it_change_together(play):
    async def story(database: Database, leases: SqlLeases) -> None:
        ledger = SqlLedger(database)
        (leased,) = await leases.lease("p1", [Want(MONTH, 1000, 300, 100)], alone=False)
        assert (leased.granted, leased.left, leased.spent) == (300, 700, 0)
        await ledger.write([entry(1, charge(60)), entry(2, charge(0, held=100)), entry(3, None)])
        assert await standing(database, MONTH) == (60, 100, 140)
        assert await standing(database, DAY) == (60, 100, 0), "counted, though not bounded"
        # More than was set aside is spent, and not taken from what others have set aside.
        await ledger.write([entry(4, charge(250, reserved=100))])
        assert await standing(database, MONTH) == (310, 100, 40)
        (leased,) = await leases.lease("p2", [Want(MONTH, 1000, 9999, 1)], alone=False)
        assert (leased.granted, leased.left) == (550, 0)
        (leased,) = await leases.lease("p3", [Want(MONTH, 1000, 1, 1)], alone=True)
        assert (leased.granted, leased.left, leased.spent, leased.held) == (0, 0, 310, 100)

    play(story)


def test_a_pot_is_told_alone_in_the_order_asked_whoever_has_others(play):
    async def story(database: Database, leases: SqlLeases) -> None:
        bob = Payer("people", "acme/bob")
        await SqlLedger(database).write(
            [
                entry(1, charge(60, 5, 100, "p1", TEAM, ALICE)),
                entry(2, charge(7, 0, 100, "p1", TEAM, bob)),
            ]
        )
        (alices, *_) = pots_of((ALICE,), WALL)
        nobodys = Pot("people", "acme/nobody", alices.span, alices.since)
        wanted = [nobodys, MONTH, alices]
        found = await SqlBudgets(database, ManualClock(wall=WALL)).standing_of(wanted)
        assert [each.pot for each in found] == wanted
        assert [(each.spent, each.held) for each in found] == [(0, 0), (67, 5), (60, 5)]
        assert await SqlBudgets(database, ManualClock(wall=WALL)).standing_of([]) == []

    play(story)


@pytest.mark.req("M2")
def test_what_is_written_twice_is_charged_once_and_told_each_time(play):
    async def story(database: Database, leases: SqlLeases) -> None:
        told = []
        ledger = SqlLedger(
            database, lambda attempts, totals: told.append((list(attempts), totals))
        )
        await leases.lease("p1", [Want(MONTH, 1000, 300, 300)], alone=False)
        both = [entry(1, charge(10), charge(20)), entry(2, charge(5))]
        await ledger.write(both)
        await ledger.write(both)
        await ledger.write([*both, entry(3, charge(1))])
        assert await standing(database, MONTH) == (36, 0, 264)
        assert [len(attempts) for attempts, _ in told] == [3, 3, 4]
        assert told[0][1][MONTH] == (35, 0)
        assert told[1][1] == {}
        assert told[2][1][MONTH] == (36, 0)

    play(story)


def test_a_lease_is_given_back_touched_and_ended(play):
    async def story(database: Database, leases: SqlLeases) -> None:
        await leases.lease("p1", [Want(MONTH, 1000, 300, 300)], alone=False)
        await leases.lease("p2", [Want(MONTH, 1000, 200, 200)], alone=False)
        await leases.give_back("p1", [Back(MONTH, 100, idle=False)])
        assert await standing(database, MONTH) == (0, 0, 400)
        await leases.give_back("p1", [Back(MONTH, 7, idle=True)])
        assert await standing(database, MONTH) == (0, 0, 200)
        clock = ManualClock(wall=WALL + 600)
        desk = SqlBudgets(database, clock)
        await SqlLeases(database, clock).touch("p2")
        assert await desk.end("p2") is None, "it is alive"
        clock.advance(600)
        assert await desk.end("p2") is True
        assert await desk.end("p2") is False
        await leases.lease("p3", [Want(MONTH, 1000, 200, 200)], alone=False)
        await leases.ended("p3")
        assert await standing(database, MONTH) == (0, 0, 0)

    play(story)


@pytest.mark.req("M3", "D15")
def test_processes_that_ask_at_once_lease_no_more_than_there_is(play):
    async def story(database: Database, leases: SqlLeases) -> None:
        def process(name: str) -> Budgets:
            made = Budgets(name, leases, ManualClock(wall=WALL), Alerts(print), lambda *_: None)
            made.configure((Rule("team", monthly=1000, daily=900),))
            return made

        async def begin(budgets: Budgets) -> bool:
            pots = budgets.pots(Payment(budgets.rules, (TEAM,)), WALL)
            try:
                await budgets.reserve(pots, 10)
            except Exhausted:
                return False
            return True

        processes = [process(f"p{number}") for number in range(4)]
        begun = await asyncio.gather(*(begin(each) for _ in range(50) for each in processes))
        assert sum(begun) == 90
        assert await standing(database, DAY) == (0, 0, 900)

    play(story)


@pytest.mark.req("M3")
def test_calls_from_before_a_bound_was_lowered_and_those_after_share_the_new_one(play):
    async def story(database: Database, leases: SqlLeases) -> None:
        clock = ManualClock(wall=WALL)
        budgets = Budgets("p1", leases, clock, Alerts(print), lambda *_: None, alone=True)
        budgets.configure((Rule("team", monthly=1000),))
        before = budgets.pots(Payment(budgets.rules, (TEAM,)), WALL)
        await budgets.reserve(before, 40)
        assert await standing(database, MONTH) == (0, 0, 500)
        budgets.configure((Rule("team", monthly=100),))
        after = budgets.pots(Payment(budgets.rules, (TEAM,)), WALL)
        await budgets.reserve(after, 10)
        # Both ask the store at once, for one pot.
        begun = await asyncio.gather(
            budgets.reserve(before, 20), budgets.reserve(after, 40), return_exceptions=True
        )
        assert [type(each) for each in begun].count(Exhausted) == 1
        assert (await standing(database, MONTH))[2] <= 100
        budgets.release(before, before.counters[0].reserved)
        clock.advance(DRY_S)
        await budgets.tick()
        assert (await standing(database, MONTH))[2] == after.counters[0].granted
        await budgets.reserve(after, 50)
        with pytest.raises(Exhausted):
            await budgets.reserve(after, 1000)
        budgets.release(after, after.counters[0].reserved - after.ahead)
        await budgets.close()
        assert await standing(database, MONTH) == (0, 0, 0)

    play(story)


@pytest.mark.req("D27")
def test_what_is_held_is_settled_once_at_its_cost_or_at_nothing(play):
    async def story(database: Database, leases: SqlLeases) -> None:
        del leases
        ledger, desk = SqlLedger(database), SqlBudgets(database, ManualClock(wall=WALL))
        payers = (TEAM, ALICE)
        held = [charge(0, amount, 100, "p1", *payers) for amount in (30, 20, 10)]
        await ledger.write([entry(1, held[0]), entry(2, held[1], held[2]), entry(3, charge(7))])
        alice = pots_of((ALICE,), WALL)[1]
        assert await standing(database, alice) == (0, 60, 0)
        assert [hold.held for hold in await desk.holds("people")] == [30, 20, 10]
        assert await desk.holds("nobody's") == []
        call = entry(1).request.call_id
        assert [hold.held for hold in await desk.settle(call, 25)] == [30]
        assert await desk.settle(call, 25) == []
        assert await standing(database, alice) == (25, 30, 0)
        assert await standing(database, MONTH) == (32, 30, 0)
        with pytest.raises(ValueError, match="one attempt"):
            await desk.settle(entry(2).request.call_id, 25)
        assert await standing(database, alice) == (25, 30, 0)
        assert len(await desk.release_all("team")) == 2
        assert await standing(database, alice) == (25, 0, 0)
        found = await ledger.entry(Scope("acme"), call)
        assert found is not None
        paid = found.attempts[0].charge
        assert paid == Charge(Stake("p1", 100, payers), WALL, 25, 0)
        async with database.read() as connection:
            rows = (await connection.execute(select(charges))).all()
        assert sum(row.held_pico for row in rows) == 0

    play(story)


def test_what_is_held_of_a_budget_is_found_behind_many_holds_of_others(play):
    async def story(database: Database, leases: SqlLeases) -> None:
        del leases
        ledger, desk = SqlLedger(database), SqlBudgets(database, ManualClock(wall=WALL))
        others = [entry(number, charge(0, 5, 5, "p1", ALICE)) for number in range(1, 1_051)]
        await ledger.write(others)
        await ledger.write([entry(20_000, charge(0, held=100))])
        assert [each.held for each in await desk.holds("team")] == [100]
        assert len(await desk.holds("people")) == 1000
        assert len(await desk.holds("people", limit=5)) == 5
        assert [each.held for each in await desk.release_all("team")] == [100]
        assert await standing(database, MONTH) == (0, 0, 0)
        assert len(await desk.release_all("people")) == 1_050
        assert await desk.holds() == []

    play(story)


def test_definitions_are_kept_in_the_operators_words_and_their_change_is_noticed(play):
    async def story(database: Database, leases: SqlLeases) -> None:
        del leases
        desk = SqlBudgets(database, ManualClock(wall=WALL))
        before = await desk.version()
        rule = Rule(
            "people", tenant="acme", each="user", daily=2 * 10**12, total=10**18, alert_at=(500_000,),
            unpriced="allow", clamp_output=True, most_output=99, instead_of="all", source="database",
        )  # fmt: skip
        await desk.define(rule)
        assert await desk.rules() == (rule,)
        changed = msgspec.structs.replace(
            rule, daily=1, alert_at=(), clamp_output=True, most_output=None
        )
        await desk.define(changed)
        assert await desk.rules() == (changed,)
        assert await desk.version() == before + 2
        assert await desk.remove("people")
        assert not await desk.remove("people")
        assert await desk.rules() == ()

    play(story)


@pytest.mark.req("R-TIER-008")
def test_a_share_is_told_of_once(play):
    async def story(database: Database, leases: SqlLeases) -> None:
        assert await leases.told(MONTH, 800_000)
        assert not await leases.told(MONTH, 800_000)
        assert await leases.told(MONTH, 900_000)
        assert await leases.told(DAY, 800_000)
        told = await SqlBudgets(database, ManualClock()).told("team")
        assert {(each.pot, each.share) for each in told} == {
            (MONTH, 800_000),
            (MONTH, 900_000),
            (DAY, 800_000),
        }

    play(story)


def test_amounts_are_exact_at_their_extremes(play):
    async def story(database: Database, leases: SqlLeases) -> None:
        most = int(Decimal(9_000_000).scaleb(12))
        (leased,) = await leases.lease("p1", [Want(MONTH, most, most, most)], alone=False)
        assert leased.granted == most
        await SqlLedger(database).write([entry(1, charge(most, reserved=most))])
        assert await standing(database, MONTH) == (most, 0, 0)

    play(story)


def test_stretches_that_ended_long_ago_are_forgotten_and_totals_never(play):
    async def story(database: Database, leases: SqlLeases) -> None:
        ledger = SqlLedger(database)
        await leases.lease("p1", [Want(MONTH, 1000, 300, 300)], alone=False)
        await ledger.write([entry(1, charge(5))])
        await leases.told(MONTH, 800_000)
        total = Pot("team", "", "total", 0)
        await leases.forget(MONTH.since + 30)
        assert await standing(database, MONTH) == (5, 0, 295)
        await leases.forget(MONTH.since + 41)
        assert await standing(database, MONTH) == (5, 0, 0)
        await leases.forget(MONTH.since + 420)
        assert await standing(database, MONTH) == (0, 0, 0)
        assert await standing(database, total) == (5, 0, 0)
        assert await leases.told(MONTH, 800_000)

    play(story)


def test_parts_of_a_divided_budget_come_in_pages_and_are_added_up(play):
    names = ["acme/alice", "acme/bob", "acme/carol"]
    month, day = MONTH._replace(budget="people"), DAY._replace(budget="people")

    async def story(database, _):
        store = SqlBudgets(database, ManualClock(wall=WALL))
        rows = [
            {
                **pot._replace(subject=name)._asdict(),
                "spent_pico": 10 * place + (pot.span == "day"),
                "held_pico": place,
            }
            for place, name in enumerate(names)
            for pot in (month, day, month._replace(since=month.since - 31), MONTH)
        ]
        lease = {
            **month._replace(subject=names[1])._asdict(),
            "holder": "p1",
            "granted_pico": 7,
            "seen_ms": 1,
        }
        async with database.write() as connection:
            await connection.execute(insert(pots), rows)
            await connection.execute(insert(leases), [lease])
        found, after = [], None
        while page := await store.parts([month, day], after=after, limit=2):
            found += page
            after = (page[-1].pot.subject, page[-1].pot.span)
        assert [(each.pot.subject, each.pot.span) for each in found] == [
            (name, span) for name in names for span in ("day", "month")
        ]
        assert [each.spent for each in found] == [1, 0, 11, 10, 21, 20]
        assert [each.leased for each in found] == [0, 0, 0, 7, 0, 0]
        sums = await store.totals([month, day], divided=True)
        assert [(each.span, each.parts, each.spent, each.held, each.leased) for each in sums] == [
            ("month", 3, 30, 3, 7),
            ("day", 3, 33, 3, 0),
        ]
        (nothing,) = await store.totals([MONTH._replace(budget="new")], divided=False)
        assert (nothing.parts, nothing.spent, nothing.held, nothing.leased) == (0, 0, 0, 0)

    play(story)
