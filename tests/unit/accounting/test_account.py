"""The verb: what a tab writes, when it raises, and that it never breaks an answer."""

from __future__ import annotations

import asyncio
import errno
import os
from decimal import Decimal

import pytest

from dragoman.accounting import account as subject
from dragoman.accounting.account import Accountant, no_prices, open_accountant
from dragoman.accounting.durability import GroupSync
from dragoman.accounting.journal import Journal, journal_files
from dragoman.accounting.ledger import Writer
from dragoman.accounting.records import Closed, Finished, Opened, frame, read
from dragoman.core.call import Origin
from dragoman.core.errors import HouseError
from dragoman.core.loss import Loss
from dragoman.core.provider import Candidate, Price, Provider
from dragoman.core.usage import Usage


@pytest.fixture
def accounts(bench):
    journal = Journal(bench.folder, "a")
    writer = Writer(journal, bench.ledger, bench.heard)
    yield Accountant(
        journal,
        writer,
        clock=bench.clock,
        prices=lambda provider, model: bench.price,
        notice=bench.heard,
    )
    journal.close()


def journal_records(accounts):
    paths = journal_files(accounts.journal.folder, accounts.journal.tag)
    return [record for path in paths for record in read(path.read_bytes()).records]


def complete(bench, accounts, usage=None):
    call = bench.call()
    tab = accounts.open_tab(call, bench.caller)
    attempt = bench.attempt(call)
    tab.opened(attempt)
    bench.clock.advance(1.5)
    attempt.status, attempt.upstream_status, attempt.duration_s = "complete", 200, 1.5
    attempt.usage = usage or Usage(input=1000, output=500)
    call.outcome.http_status = 200
    tab.closed(attempt)
    call.outcome.status = "complete"
    tab.finish()
    return call, attempt


@pytest.mark.req("M1", "R-USE-005")
def test_an_attempt_is_two_records_before_the_answer_ends(bench, accounts):
    call, attempt = complete(bench, accounts)
    opened, closed = journal_records(accounts)
    assert isinstance(opened, Opened)
    assert (opened.about.call_id, opened.about.caller) == (call.id, "skill_a->skill_b")
    assert (opened.price_source, opened.price_from) == ("genai-prices", "2025-01-01")
    assert isinstance(closed, Closed)
    assert (closed.status, closed.http_status, closed.elapsed_s) == ("complete", 200, 1.5)
    assert (closed.tokens.input, closed.tokens.output) == (1000, 500)
    assert attempt.cost == Decimal("0.00045")
    assert (attempt.cost_from, attempt.tokens_from) == ("priced", "reported")
    assert closed.cost_pico == 450_000_000


def test_the_live_row_is_the_row_that_the_journal_gives(bench, accounts):
    from dragoman.accounting.entry import entry_of

    call, _ = complete(bench, accounts)
    assert asyncio.run(accounts.flush())
    journal = Journal(bench.folder, "b")
    journal.close()
    again = complete(bench, accounts)[0]
    from_journal = entry_of(
        [
            record
            for record in journal_records(accounts)
            if again.id
            in {
                getattr(record, "call_id", None),
                getattr(record, "about", None) and record.about.call_id,
            }
        ]
    )
    asyncio.run(accounts.flush())
    assert bench.ledger.entries[again.id] == from_journal
    assert call.id in bench.ledger.entries


def test_a_failed_call_gets_its_last_word(bench, accounts):
    call = bench.call()
    tab = accounts.open_tab(call, bench.caller)
    attempt = bench.attempt(call)
    tab.opened(attempt)
    attempt.status, attempt.error_kind = "upstream_error", "overloaded"
    tab.closed(attempt)
    call.outcome.status, call.outcome.http_status = "upstream_error", 503
    call.outcome.error_code = "upstream_503"
    tab.finish()
    *_, last = journal_records(accounts)
    assert isinstance(last, Finished)
    assert (last.status, last.http_status, last.error_code) == (
        "upstream_error",
        503,
        "upstream_503",
    )


def test_a_refused_call_is_written_though_no_attempt_was_made(bench, accounts):
    call = bench.call()
    tab = accounts.open_tab(call, bench.caller)
    call.outcome.status, call.outcome.http_status = "refused", 429
    call.outcome.losses = (Loss("n", "none"),)
    tab.finish()
    asyncio.run(accounts.flush())
    (entry,) = bench.ledger.entries.values()
    assert (entry.request.status, entry.request.http_status) == ("refused", 429)
    assert entry.request.losses == "n;action=dropped;reason=none"
    assert entry.attempts == ()


def test_what_the_cache_has_answered_is_free_and_says_so(bench, accounts):
    call = bench.call()
    tab = accounts.open_tab(call, bench.caller)
    call.outcome.status, call.outcome.http_status = "complete", 200
    call.outcome.origin = Origin("another", "openai", "gpt-4o\0", 3)
    call.outcome.cache = "hit"
    tab.finish()
    asyncio.run(accounts.flush())
    (entry,) = bench.ledger.entries.values()
    row, used = entry.request, entry.request.consumed
    assert (row.provider, row.model, row.status) == ("openai", "gpt-4o\ufffd", "complete")
    assert (row.attempts, entry.attempts) == (0, ())
    assert (used.cost_pico, used.cost_from) == (0, "cache")
    assert (used.input_tokens, used.output_tokens, used.tokens_from) == (0, 0, "cache")


@pytest.mark.req("R-ADD-014")
def test_closing_and_finishing_twice_count_once(bench, accounts):
    call = bench.call()
    tab = accounts.open_tab(call, bench.caller)
    attempt = bench.attempt(call)
    tab.opened(attempt)
    attempt.status = "complete"
    tab.closed(attempt)
    tab.closed(attempt)
    tab.finish()
    tab.finish()
    assert len(journal_records(accounts)) == 2
    assert accounts.writer.waiting == 1


def test_an_attempt_that_outlives_its_caller_ends_the_account(bench, accounts):
    call = bench.call()
    tab = accounts.open_tab(call, bench.caller)
    attempt = bench.attempt(call)
    tab.opened(attempt)
    call.outcome.status = "client_cut"
    tab.finish()
    assert accounts.writer.waiting == 0
    attempt.status, attempt.usage = "client_cut", Usage(input=5, output=7)
    tab.closed(attempt)
    asyncio.run(accounts.flush())
    (entry,) = bench.ledger.entries.values()
    assert entry.request.status == "client_cut"
    assert entry.request.consumed.output_tokens == 7


def test_a_price_holds_for_an_attempt_from_its_beginning(bench, accounts):
    call = bench.call()
    tab = accounts.open_tab(call, bench.caller)
    attempt = bench.attempt(call)
    tab.opened(attempt)
    old, bench.price = bench.price, Price(input=Decimal(1000), output=Decimal(1000))
    candidate = Candidate(Provider("openai", "chat", "https://x.example", {}), "gpt-5-mini")
    usage = Usage(input=1000, output=500)
    assert tab.cost(candidate, usage) == Decimal("0.00045")
    attempt.status, attempt.usage = "complete", usage
    tab.closed(attempt)
    assert attempt.cost == Decimal("0.00045")
    assert tab.cost(candidate, usage) == Decimal("1.5")
    assert old.source == "genai-prices"


def test_a_price_is_asked_once_a_second(bench, accounts):
    asked = []

    def prices(provider, model):
        asked.append((provider, model))
        return bench.price

    accounts.prices = prices
    for _ in range(3):
        complete(bench, accounts)  # which moves the clock on by 1.5 s
    assert asked == [("openai", "gpt-5-mini")] * 3
    for _ in range(3):
        call = bench.call()
        attempt = bench.attempt(call)
        accounts.open_tab(call, bench.caller).opened(attempt)
    assert len(asked) == 4


def test_numbers_that_have_a_source_keep_it(bench, accounts):
    call = bench.call()
    tab = accounts.open_tab(call, bench.caller)
    attempt = bench.attempt(call)
    tab.opened(attempt)
    attempt.status = "complete"
    attempt.usage = Usage(input=1000, output=500)
    attempt.tokens_from = "estimated"
    tab.closed(attempt)
    assert (attempt.tokens_from, attempt.cost_from) == ("estimated", "estimated")
    second = bench.attempt(call)
    tab.opened(second)
    second.usage = Usage(cost=Decimal("0.25"))
    second.cost, second.cost_from = Decimal("0.5"), "provider"
    tab.closed(second)
    assert (second.cost, second.tokens_from) == (Decimal("0.5"), "none")


@pytest.mark.req("D25")
def test_the_ledger_goes_by_an_estimate_and_says_so(bench, accounts):
    call = bench.call()
    tab = accounts.open_tab(call, bench.caller)
    attempt = bench.attempt(call)
    tab.opened(attempt)
    attempt.status, attempt.usage = "complete", Usage(input=1000)
    attempt.estimated, attempt.tokens_from = Usage(input=1000, output=500), "estimated"
    tab.closed(attempt)
    assert (attempt.cost, attempt.cost_from) == (Decimal("0.00045"), "estimated")
    (_, closed) = journal_records(accounts)
    assert (closed.tokens.input, closed.tokens.output) == (1000, 500)
    assert (closed.tokens_from, closed.cost_from) == ("estimated", "estimated")
    assert attempt.usage == Usage(input=1000), "what was told is all that anybody else hears of"


def test_of_two_at_once_each_has_its_own_price(bench, accounts):
    from dragoman.core.provider import Candidate, Price, Provider

    prices = {"cheap": Price(input=Decimal(1)), "dear": Price(input=Decimal(100))}
    accounts.prices = lambda provider, model: prices[provider]
    call = bench.call()
    tab = accounts.open_tab(call, bench.caller)
    candidates = {
        name: Candidate(Provider(name, "chat", "http://x.test", {}), "m") for name in prices
    }
    for number, name in enumerate(prices):
        attempt = bench.attempt(call)
        attempt.id, attempt.provider, attempt.model = f"attempt-{number}", name, "m"
        tab.opened(attempt)
    usage = Usage(input=1_000_000)
    assert tab.cost(candidates["cheap"], usage) == 1
    assert tab.cost(candidates["dear"], usage) == 100


def test_a_model_without_a_price_has_no_cost(bench, accounts):
    accounts.prices = no_prices
    call, attempt = complete(bench, accounts)
    assert (attempt.cost, attempt.cost_from) == (None, "none")
    opened, closed = journal_records(accounts)
    assert (opened.price_source, closed.cost_pico) == ("", None)
    assert call.outcome.attempts == [attempt]


@pytest.mark.req("M11", "R-USE-013")
@pytest.mark.parametrize(
    "usage",
    [
        Usage(input=10**30, output=-5),
        Usage(input=True, output=2.5),
        Usage(input=1, output=1, cost=Decimal("NaN")),
        Usage(input=1, output=1, cost=Decimal(-3)),
        Usage(input="12", output=None),
    ],
    ids=range(5),
)
def test_hostile_usage_that_slipped_through_a_reader_never_breaks_or_charges(
    bench, accounts, usage
):
    call, _ = complete(bench, accounts, usage)
    assert asyncio.run(accounts.flush())
    row = bench.ledger.entries[call.id].request
    assert row.consumed.cost_pico is None or row.consumed.cost_pico >= 0
    assert row.consumed.input_tokens in {None, 1}
    assert row.status in {"complete", "unknown"}


@pytest.mark.req("R-USE-013")
def test_a_failure_to_account_is_noticed_and_breaks_nothing(bench, accounts, monkeypatch):
    call = bench.call()
    tab = accounts.open_tab(call, bench.caller)
    attempt = bench.attempt(call)
    tab.opened(attempt)

    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(accounts.journal, "append_or_hold", broken)
    tab.closed(attempt)
    tab.finish()
    assert [detail for _, detail in bench.heard.of("accounting_failed")] == [
        f"{call.id}: ZeroDivisionError()",
        f"{call.id}: ZeroDivisionError()",
    ]


@pytest.mark.req("D8")
def test_a_full_disk_refuses_a_call_before_it_costs_money(bench, accounts, monkeypatch):
    def full(descriptor, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    call = bench.call()
    tab = accounts.open_tab(call, bench.caller)
    attempt = bench.attempt(call)
    monkeypatch.setattr(accounts.journal, "_write", full)
    with pytest.raises(HouseError) as caught:
        tab.opened(attempt)
    assert (caught.value.status, caught.value.code) == (503, "storage_full")
    assert accounts.storage_full
    call.outcome.status, call.outcome.http_status = "house_error", 503
    tab.finish()
    assert bench.heard.of("records_held") == [(1, call.id)]
    monkeypatch.undo()
    asyncio.run(accounts.flush())
    (entry,) = bench.ledger.entries.values()
    assert (entry.request.status, entry.attempts) == ("house_error", ())


@pytest.mark.req("D8")
def test_a_full_disk_is_told_once_and_refused_calls_do_not_fill_memory(
    bench, accounts, monkeypatch
):
    def full(descriptor, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(subject, "MOST_HELD", 3)
    monkeypatch.setattr(accounts.journal, "_write", full)
    for _ in range(5):
        call = bench.call()
        tab = accounts.open_tab(call, bench.caller)
        with pytest.raises(HouseError):
            tab.opened(bench.attempt(call))
        tab.finish()
    assert accounts.journal.held == 3
    assert len(bench.heard.of("records_held")) == 1
    monkeypatch.undo()
    assert accounts.journal.write_held()
    assert accounts.journal.held == 0
    asyncio.run(accounts.flush())
    assert len(bench.ledger.entries) == 3
    finished = bench.call()
    accounts.open_tab(finished, bench.caller).finish()
    monkeypatch.setattr(accounts.journal, "_write", full)
    accounts.open_tab(bench.call(), bench.caller).finish()
    assert len(bench.heard.of("records_held")) == 2


@pytest.mark.req("D8")
def test_a_disk_that_fills_during_an_attempt_loses_nothing(bench, accounts, monkeypatch):
    def full(descriptor, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    call = bench.call()
    tab = accounts.open_tab(call, bench.caller)
    attempt = bench.attempt(call)
    tab.opened(attempt)
    monkeypatch.setattr(accounts.journal, "_write", full)
    attempt.status, attempt.usage = "complete", Usage(input=1, output=1)
    tab.closed(attempt)
    tab.finish()
    monkeypatch.undo()
    assert accounts.journal.write_held()
    assert len(journal_records(accounts)) == 2
    asyncio.run(accounts.flush())
    assert bench.ledger.entries[call.id].request.consumed.input_tokens == 1


def test_odd_text_of_providers_and_callers_is_written(bench, accounts):
    call = bench.call()
    call.outcome.requested_model = "x\ud800" * 500
    tab = accounts.open_tab(call, bench.caller)
    attempt = bench.attempt(call)
    tab.opened(attempt)
    attempt.upstream_id = "id\udfff"
    attempt.status = "complete"
    tab.closed(attempt)
    tab.finish()
    opened, closed = journal_records(accounts)
    assert opened.requested_model == "x?" * 128
    assert closed.upstream_id == "id?"
    assert bench.heard.of("accounting_failed") == []


def test_nothing_waits_for_the_disk_unless_the_operator_asked(bench, accounts):
    tab = accounts.open_tab(bench.call(), bench.caller)
    assert tab.kept() is None


@pytest.mark.parametrize("durability", ["process", "host"])
def test_on_leaving_everything_is_in_sql_and_nothing_in_the_journal(bench, durability):
    async def story() -> None:
        async with open_accountant(
            bench.folder, bench.ledger, clock=bench.clock, durability=durability
        ) as accounts:
            call = bench.call()
            tab = accounts.open_tab(call, bench.caller)
            attempt = bench.attempt(call)
            tab.opened(attempt)
            if durability == "host":
                await tab.kept()
            attempt.status = "complete"
            tab.closed(attempt)
            if durability == "host":
                await tab.kept()
            tab.finish()
            assert bench.ledger.entries == {}
        assert list(bench.ledger.entries) == [call.id]
        assert list(bench.folder.iterdir()) == []

    asyncio.run(story())


def test_host_durability_syncs_though_nobody_waits_for_it(bench, monkeypatch):
    synced: list[int] = []
    fdatasync = os.fdatasync

    def watch(descriptor: int) -> None:
        fdatasync(descriptor)
        synced.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(GroupSync.__init__, "__defaults__", (watch,))

    async def story() -> None:
        async with open_accountant(
            bench.folder, bench.ledger, clock=bench.clock, durability="host"
        ) as accounts:
            call = bench.call()
            tab = accounts.open_tab(call, bench.caller)
            attempt = bench.attempt(call)
            tab.opened(attempt)
            attempt.status = "complete"
            tab.closed(attempt)
            tab.finish()
            size = accounts.journal.path_of(1).stat().st_size
        assert synced[-1] == size

    asyncio.run(story())


@pytest.mark.req("M1")
def test_the_journals_of_the_dead_are_drained_at_the_start_and_again_and_on_demand(
    bench, opened, closed
):
    def die(tag: str) -> None:
        journal = Journal(bench.folder, tag)
        journal.append(opened(f"call-{tag}", f"attempt-{tag}"))
        journal.append(closed(f"call-{tag}", f"attempt-{tag}"))
        journal.close()

    async def story() -> None:
        die("a")
        async with open_accountant(
            bench.folder,
            bench.ledger,
            clock=bench.clock,
            notice=bench.heard,
            drain_every_s=0.01,
        ):
            async with asyncio.timeout(5):
                while "call-a" not in bench.ledger.entries:  # noqa: ASYNC110 -- polls another task
                    await asyncio.sleep(0.005)
                die("b")
                while "call-b" not in bench.ledger.entries:  # noqa: ASYNC110 -- polls another task
                    await asyncio.sleep(0.005)
        async with open_accountant(
            bench.folder, bench.ledger, clock=bench.clock, drain_every_s=60
        ) as accounts:
            await accounts.drain()
            die("c")
            assert await accounts.flush()
            assert "call-c" in bench.ledger.entries

    asyncio.run(story())


def test_a_drain_that_fails_is_told_and_flush_says_so(bench, opened):
    async def story() -> None:
        journal = Journal(bench.folder, "dead")
        journal.append(opened())
        journal.close()
        bench.ledger.down = 1
        async with open_accountant(
            bench.folder, bench.ledger, clock=bench.clock, notice=bench.heard
        ) as accounts:
            assert not await accounts.flush()
            assert bench.heard.of("flush_failed") == [(0, "HouseError")]
            assert await accounts.flush()
            assert list(bench.ledger.entries) == ["call-1"]

    asyncio.run(story())


def test_a_call_that_is_open_at_the_end_stays_in_the_journal(bench):
    async def story() -> None:
        async with open_accountant(bench.folder, bench.ledger, clock=bench.clock) as accounts:
            call = bench.call()
            accounts.open_tab(call, bench.caller).opened(bench.attempt(call))
        assert bench.ledger.entries == {}
        (path,) = bench.folder.glob("*.journal")
        (record,) = read(path.read_bytes()).records
        assert path.read_bytes() == frame(record)
        async with open_accountant(bench.folder, bench.ledger, clock=bench.clock) as accounts:
            assert await accounts.flush()
        assert bench.ledger.entries[call.id].request.status == "unknown"

    asyncio.run(story())


def test_a_folder_that_takes_no_journal_is_said_in_plain_words(bench, tmp_path):
    (tmp_path / "file").write_text("no folder")

    async def story():
        async with open_accountant(tmp_path / "file" / "journal", bench.ledger, clock=bench.clock):
            raise AssertionError

    with pytest.raises(HouseError) as caught:
        asyncio.run(story())
    assert caught.value.code == "configuration_error"
    assert "DRAGOMAN_HOME" in caught.value.message
