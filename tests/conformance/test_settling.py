"""Figures that come later, against every database: one transaction, once, and every sum follows."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal

import msgspec
import pytest
from sqlalchemy import select

from databases import KINDS, database_url
from dragoman.accounting.entry import Consumed
from dragoman.accounting.ports import Scope
from dragoman.accounting.reconcile import WAITS_S, Reconciler, Sources
from dragoman.accounting.settling import Spent, compared, is_unsettled, settled
from dragoman.afterwards import sources_of
from dragoman.catalog.load import load_providers
from dragoman.core.budget import Charge, Payer, Pot, Stake, since_of
from dragoman.core.clock import ManualClock
from dragoman.core.errors import UpstreamError
from dragoman.core.provider import Price
from dragoman.core.usage import Usage
from dragoman.store.budget_tables import charges, pots
from dragoman.store.ledger_tables import attempts
from dragoman.store.schema import open_upgraded
from dragoman.store.sql.ledger import Questions, SqlLedger
from dragoman.store.sql.settling import SqlSettling
from dragoman.store.sql.turns import SqlTurns
from ledger_entries import DAY, NOTHING, WALL, attempt, entry

TEAM = Payer("team", "")

MINE = Scope("acme", "k1")


def questions(**after_s: float) -> Questions:
    return Questions(lambda: after_s, lambda: WALL)


@pytest.fixture(params=KINDS)
def play(request, tmp_path):
    def run(story) -> None:
        async def whole() -> None:
            async with database_url(request.param, tmp_path) as url:
                database = await open_upgraded(url)
                try:
                    await story(database)
                finally:
                    await database.close()

        asyncio.run(whole())

    return run


async def one(database, query):
    async with database.read() as connection:
        return (await connection.execute(query)).one()


async def count(database, table) -> int:
    async with database.read() as connection:
        return len((await connection.execute(select(table))).all())


TOLD = Usage(input=100, output=20, cache_read=7, cost=Decimal("0.5"))
HALF = 500_000_000_000


def deciding(question, usage=TOLD, price=None):
    def decide(whole):
        found = settled(whole, question.attempt_id, usage, price, "openrouter lookup", 17)
        before = next(r.consumed for r in whole.attempts if r.attempt_id == question.attempt_id)
        return found, compared(before, found.attempt.consumed, price)

    return decide


@pytest.mark.req("M14", "D25")
def test_all_that_hangs_on_a_figure_changes_with_it(play):
    stake = Stake("p1", 900, (TEAM,))

    async def story(database) -> None:
        ledger = SqlLedger(database, questions=questions(openrouter=2.0))
        told = []
        store = SqlSettling(database, told.append)
        row = attempt(1, 0, terms="1.2", charge=Charge(stake, WALL, 0, 900))
        await ledger.write([entry(1, row), entry(2, attempt(2, 0, provider="openai"))])
        await ledger.write([entry(1, row)])
        assert await store.due(int(WALL * 1000) + 1999, 10) == []
        (question,) = await store.due(int(WALL * 1000) + 2000, 10)
        assert (question.upstream_id, question.credential, question.tries) == (
            "gen-1-0",
            "key-1",
            0,
        )
        assert (await ledger.sums(MINE)).unknown_cost == 2

        both = await asyncio.gather(
            store.settle(question, deciding(question)), store.settle(question, deciding(question))
        )
        assert sum(each is not None for each in both) == 1
        assert await store.waiting() == 0
        kept = await one(database, select(attempts).where(attempts.c.attempt_id == row.attempt_id))
        assert (kept.input_tokens, kept.output_tokens, kept.cost_pico) == (100, 20, HALF)
        assert (kept.tokens_from, kept.cost_from) == ("reconciled", "provider")
        assert (kept.charged_pico, kept.settled_us) == (HALF * 12 // 10, 17)
        assert json.loads(kept.former) == {"tokens_from": "none", "cost_from": "none"}
        for scope in (MINE, Scope("acme", "k1", int(WALL * 1e6), int(WALL * 1e6) + 1)):
            sums = await ledger.sums(scope)
            assert (sums.requests, sums.input_tokens, sums.cost_pico) == (2, 100, HALF)
            assert (sums.charged_pico, sums.unknown_cost, sums.unknown_tokens) == (
                HALF * 12 // 10,
                1,
                1,
            )
        charge = await one(database, select(charges))
        assert (charge.spent_pico, charge.held_pico) == (HALF, 0)
        month = Pot("team", "", "month", since_of("month", WALL))
        pot = await one(database, select(pots).where(pots.c.span == "month"))
        assert (pot.spent_pico, pot.held_pico) == (HALF, 0)
        assert told[0][month] == (HALF, 0)

    play(story)


@pytest.mark.req("M14", "M3")
def test_what_was_spent_at_once_finds_its_payers_when_its_figure_changes(play):
    used = msgspec.structs.replace(
        NOTHING, input_tokens=1, output_tokens=1, tokens_from="estimated", cost_pico=9,
        cost_from="estimated",
    )  # fmt: skip
    paid = Charge(Stake("p1", 900, (TEAM, Payer("each", "k1"))), WALL, 9, 0)

    async def story(database) -> None:
        ledger = SqlLedger(database, questions=questions(openrouter=0.0))
        row = attempt(1, 0, consumed=used, charged_pico=9, charge=paid)
        await ledger.write([entry(1, row)])
        assert await count(database, charges) == 0
        kept = await ledger.entry(MINE, row.call_id)
        assert kept.attempts[0].charge == msgspec.structs.replace(
            paid, stake=Stake("", 900, paid.stake.payers)
        )
        (question,) = await SqlSettling(database).due(int(WALL * 1000), 10)
        assert await SqlSettling(database).settle(question, deciding(question))
        for name in ("team", "each"):
            pot = await one(
                database, select(pots).where(pots.c.span == "month", pots.c.budget == name)
            )
            assert (pot.spent_pico, pot.held_pico) == (HALF, 0)
        kept = await ledger.entry(MINE, row.call_id)
        assert (kept.attempts[0].charge.spent, kept.attempts[0].charge.held) == (HALF, 0)

    play(story)


@pytest.mark.req("M7")
def test_an_attempt_that_did_not_serve_costs_and_is_not_charged(play):
    lost = attempt(1, 0, status="hedge_lost", served=False, charged_pico=0)
    won = attempt(
        1, 1, consumed=msgspec.structs.replace(NOTHING, input_tokens=1, tokens_from="reported",
        cost_pico=9, cost_from="priced", output_tokens=1), charged_pico=9,
    )  # fmt: skip

    async def story(database) -> None:
        ledger = SqlLedger(database, questions=questions(openrouter=0.0))
        store = SqlSettling(database)
        await ledger.write([entry(1, lost, won)])
        (question,) = await store.due(int(WALL * 1000), 10)
        assert question.attempt_id == lost.attempt_id
        await store.settle(question, deciding(question))
        sums = await ledger.sums(MINE)
        assert (sums.cost_pico, sums.charged_pico, sums.other_cost_pico) == (9, 9, HALF)

    play(story)


def test_a_day_is_compared_once_and_by_all_attempts(play):
    used = msgspec.structs.replace(NOTHING, cost_pico=40, cost_from="priced")

    async def story(database) -> None:
        ledger = SqlLedger(database)
        store = SqlSettling(database)
        tries = [
            entry(n, attempt(n, 0, consumed=used, model="a" if n % 2 else "b"))
            for n in range(1, 6)
        ]
        # What a tenant's own key has spent is on the tenant's bill, and in no report of ours.
        tries.append(entry(6, attempt(6, 0, consumed=used, model="a", credential="own_1")))
        tries.append(entry(7, attempt(7, 0, consumed=used, model="b", credential=None)))
        await ledger.write(tries)
        three = Spent(3, 120, 0, 40)
        assert await store.spent_of_day(DAY, ["openrouter"]) == {"a": three, "b": three}
        assert await store.spent_of_day(DAY + 1, ["openrouter"]) == {}
        assert not await store.has_day(DAY, "openrouter")
        await store.note_day(DAY, "openrouter", {"a": (3, 120, 125)})
        await store.note_day(DAY, "openrouter", {"a": (3, 120, 130)})
        assert await store.has_day(DAY, "openrouter")
        (drift,) = await store.drifts(DAY)
        assert (drift.model, drift.calls, drift.ours_pico, drift.theirs_pico) == ("a", 3, 120, 130)
        await store.note_day(DAY, "groq", {})
        assert await store.has_day(DAY, "groq")

    play(story)


def costing(pico: int | None, how: str = "priced") -> Consumed:
    return msgspec.structs.replace(NOTHING, cost_pico=pico, cost_from=how)


async def reported_day(database, tries, theirs: str):
    """What is noted of the day before, whose report names one sum, of two providers that share a key."""
    await SqlLedger(database).write([entry(number, each) for number, each in enumerate(tries, 1)])
    store = SqlSettling(database)

    async def report(name, day):
        assert (name, day) == ("openai", DAY)
        return {"m": Decimal(theirs)}

    sources = Sources(
        None,
        lambda: ("openai",),
        report,
        None,
        lambda _, model: model,
        lambda name: (name, "openai-responses"),
    )

    async def always(name, for_s):
        return True

    clock = ManualClock(wall=(DAY + 1) * 86_400 + 7 * 3600)
    await Reconciler(store, sources, clock, always, lambda *_: None).round()
    assert await store.has_day(DAY, "openai")
    return [(each.calls, each.ours_pico, each.theirs_pico) for each in await store.drifts(DAY)]


@pytest.mark.req("M14")
def test_a_report_is_compared_with_all_providers_whose_calls_stand_in_it(play):
    async def story(database) -> None:
        used = costing(HALF)
        tries = [
            attempt(1, 0, provider="openai", consumed=used),
            attempt(2, 0, provider="openai-responses", consumed=used),
            attempt(3, 0, provider="groq", consumed=used),
        ]
        assert await reported_day(database, tries, "1") == [(2, 2 * HALF, 2 * HALF)]

    play(story)


@pytest.mark.req("M14", "D25")
@pytest.mark.parametrize(
    ("theirs", "noted"),
    [
        ("0.9", []),
        ("1.6", [(4, HALF, 1_600_000_000_000)]),
        ("0.4", [(4, HALF, 400_000_000_000)]),
    ],
)
def test_calls_of_unknown_cost_are_no_drift_of_prices(play, theirs, noted):
    async def story(database) -> None:
        tries = [
            attempt(1, 0, provider="openai", consumed=costing(HALF)),
            attempt(2, 0, provider="openai", consumed=NOTHING),
            attempt(3, 0, provider="openai", consumed=costing(7, "estimated")),
            # Nobody charges for a call that was refused.
            attempt(4, 0, provider="openai", consumed=NOTHING, status="refused"),
        ]
        found = await reported_day(database, tries, theirs)
        assert found == (noted or [(0, 0, 0)])

    play(story)


def test_openais_day_is_that_of_both_its_surfaces():
    registry = load_providers({"OPENAI_API_KEY": "sk-x" * 20})
    sources = sources_of(lambda: registry, None, None, {}, None)
    assert set(sources.billed_by("openai")) == {"openai", "openai-responses"}
    assert sources.billed_by("anthropic") == ("anthropic",)


def test_one_has_its_turn_until_its_time_is_over(play):
    async def story(database) -> None:
        clock = ManualClock(wall=WALL)
        one_, other = SqlTurns(database, clock, "one"), SqlTurns(database, clock, "other")
        taken = await asyncio.gather(one_.take("x", 10), other.take("x", 10))
        assert sorted(taken) == [False, True]
        first, second = (one_, other) if taken[0] else (other, one_)
        assert await first.take("x", 10)
        assert not await second.take("x", 10)
        assert await second.take("y", 10)
        clock.advance(11)
        assert await second.take("x", 10)
        assert not await first.take("x", 10)
        await second.give("x")
        clock.advance(0.01)
        assert await first.take("x", 10)

    play(story)


class Provider:
    """Answers in turn."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, question):
        self.asked += 1
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer


def reconciler(store, clock, provider, told):
    sources = Sources(provider, tuple, None, lambda *_: None, lambda _, model: model)

    async def always(name, for_s):
        return True

    return Reconciler(store, sources, clock, always, lambda *word: told.append(word[1]))


@pytest.mark.req("R-USE-002")
def test_a_provider_is_asked_again_after_longer_and_in_the_end_no_more(play):
    async def story(database) -> None:
        ledger = SqlLedger(database, questions=questions(openrouter=0.0))
        store = SqlSettling(database)
        clock = ManualClock(wall=WALL)
        await ledger.write([entry(1, attempt(1, 0))])
        told, provider = [], Provider(None, UpstreamError("upstream", "down"))
        mine = reconciler(store, clock, provider, told)
        await mine.round()
        await mine.round()
        assert told == ["waiting"], "not before its time"
        for wait in WAITS_S:
            clock.advance(wait + 0.01)
            await mine.round()
        assert told == ["waiting", "failed", *["waiting"] * (len(WAITS_S) - 2), "given_up"]
        assert await store.waiting() == 0
        assert (await one(database, select(attempts))).tokens_from == "none"

    play(story)


def test_what_agrees_changes_nothing(play):
    used = Consumed(100, 20, 7, None, None, None, None, None, None, "reported", HALF, "provider")

    async def story(database) -> None:
        ledger = SqlLedger(
            database, questions=Questions(lambda: {"openrouter": 0.0}, lambda: WALL, 1.0)
        )
        store = SqlSettling(database)
        await ledger.write([entry(1, attempt(1, 0, consumed=used, charged_pico=HALF))])
        told = []
        await reconciler(store, ManualClock(wall=WALL), Provider(TOLD), told).round()
        assert told == ["agreed"]
        row = await one(database, select(attempts))
        assert (row.tokens_from, row.settled_us, row.former) == ("reported", None, None)

    play(story)


GUESSED = Consumed(
    100, 20, None, None, None, None, None, None, None, "estimated", HALF, "estimated"
)


@pytest.mark.req("D25")
def test_what_was_estimated_gives_way_to_what_is_told_though_it_was_right(play):
    async def story(database) -> None:
        ledger = SqlLedger(database, questions=questions(openrouter=0.0))
        store = SqlSettling(database)
        await ledger.write([entry(1, attempt(1, 0, consumed=GUESSED, charged_pico=HALF))])
        sums = await ledger.sums(MINE)
        assert (sums.requests, sums.input_tokens, sums.cost_pico) == (1, 0, 0)
        assert (sums.estimated_requests, sums.estimated_cost_pico) == (1, HALF)
        assert (sums.estimated_input_tokens, sums.estimated_output_tokens) == (100, 20)
        told = []
        await reconciler(store, ManualClock(wall=WALL), Provider(TOLD), told).round()
        assert told == ["settled"]
        row = await one(database, select(attempts))
        assert (row.tokens_from, row.cost_from) == ("reconciled", "provider")
        assert json.loads(row.former)["tokens_from"] == "estimated"
        after = await ledger.sums(MINE)
        assert (after.input_tokens, after.output_tokens, after.cost_pico) == (100, 20, HALF)
        assert (after.estimated_requests, after.estimated_cost_pico) == (0, 0)

    play(story)


@pytest.mark.req("D25")
def test_an_estimate_that_is_replaced_in_part_stays_one():
    price = Price(input=Decimal(1), output=Decimal(1))
    whole = entry(1, attempt(1, 0, consumed=GUESSED))
    name = whole.attempts[0].attempt_id

    def later(usage):
        return settled(whole, name, usage, price, "them", 17).attempt.consumed

    half = later(Usage(input=90))
    assert (half.input_tokens, half.output_tokens) == (90, 20)
    assert (half.tokens_from, half.cost_from) == ("estimated", "estimated")
    assert half.cost_pico == 110_000_000
    both = later(Usage(input=90, output=10))
    assert (both.tokens_from, both.cost_from, both.cost_pico) == (
        "reconciled",
        "priced",
        100_000_000,
    )
    billed = later(Usage(cost=Decimal("0.25")))
    assert (billed.tokens_from, billed.cost_from) == ("estimated", "provider")


@pytest.mark.req("M18")
def test_what_was_served_in_another_tier_is_compared_by_that_tiers_price():
    usual = {"input": Decimal(2), "output": Decimal(10)}
    flex = Price(input=Decimal(1), output=Decimal(5))
    price = Price(**usual, tiers={"flex": flex})
    told = Consumed(1000, 100, 0, 0, 0, 0, 0, 0, 0, "reported", 1_500_000_000, "provider")
    told = msgspec.structs.replace(told, service_tier="flex")
    found = compared(told, told, price)
    assert found is not None
    assert found.ours == found.theirs == 1_500_000_000
    unknown = msgspec.structs.replace(told, service_tier="scale")
    assert compared(unknown, unknown, price) is None, "of which nobody says a price"


def test_what_comes_later_is_priced_by_the_tier_that_the_answer_told():
    price = Price(input=Decimal(2), output=Decimal(10), tiers={
        "flex": Price(input=Decimal(1), output=Decimal(5))
    })  # fmt: skip
    row = attempt(1, 0, consumed=msgspec.structs.replace(NOTHING, service_tier="flex"))
    found = settled(entry(1, row), row.attempt_id, Usage(input=1000, output=100), price, "x", 17)
    assert found is not None
    after = found.attempt.consumed
    assert (after.cost_pico, after.cost_from, after.service_tier) == (
        1_500_000_000,
        "priced",
        "flex",
    )


def test_an_estimate_of_tokens_is_no_drift_of_prices():
    price = Price(input=Decimal(1), output=Decimal(1))
    after = Consumed(
        100, 20, None, None, None, None, None, None, None, "reconciled", 120_000_000, "provider"
    )
    found = compared(GUESSED, after, price)
    assert (found.ours, found.theirs) == (120_000_000, 120_000_000)
    priced = msgspec.structs.replace(GUESSED, tokens_from="reported")
    assert compared(priced, after, price).ours == HALF


@pytest.mark.parametrize(
    ("changes", "operation", "sample", "asked"),
    [
        ({}, "chat", 0.0, True),
        ({"upstream_id": None}, "chat", 0.0, False),
        ({}, "count_tokens", 0.0, False),
        ({"status": "upstream_error", "upstream_status": 429}, "chat", 0.0, False),
        ({"status": "upstream_error", "upstream_status": 200}, "chat", 0.0, True),
        ({"status": "hedge_lost"}, "embeddings", 0.0, True),
        ({"consumed": msgspec.structs.replace(NOTHING, tokens_from="reported", cost_from="priced")}, "chat", 0.0, False),
        ({"consumed": msgspec.structs.replace(NOTHING, tokens_from="reported", cost_from="estimated")}, "chat", 0.0, True),
        ({"consumed": msgspec.structs.replace(NOTHING, tokens_from="reported", cost_from="priced")}, "chat", 1.0, True),
        ({"consumed": msgspec.structs.replace(NOTHING, tokens_from="estimated", cost_from="provider")}, "chat", 0.0, True),
    ],
)  # fmt: skip
def test_who_is_asked_about(changes, operation, sample, asked):
    assert is_unsettled(attempt(1, 0, **changes), operation, sample) is asked
