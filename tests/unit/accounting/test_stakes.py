"""What budgets set aside is written with each attempt, and a dead process's is read back."""

from __future__ import annotations

import asyncio
import errno
from dataclasses import dataclass, field
from decimal import Decimal
from types import SimpleNamespace

import msgspec
import pytest

from dragoman.accounting.account import Accountant
from dragoman.accounting.charging import Charging
from dragoman.accounting.drain import drain
from dragoman.accounting.entry import entry_of
from dragoman.accounting.explain import explain
from dragoman.accounting.journal import Journal, journal_files
from dragoman.accounting.ledger import Writer
from dragoman.accounting.records import Closed, Opened, frame, read
from dragoman.core.budget import Charge, Payer, Stake
from dragoman.core.errors import HouseError
from dragoman.core.usage import Usage

PAYERS = (Payer("team", ""), Payer("people", "acme/me"))
STAKE = Stake("p1", 700, PAYERS)


@dataclass
class Purse:
    """Remembers what it was told."""

    heard: list[str] = field(default_factory=list)

    def affords_now(self, candidate):
        return False

    async def affords(self, candidate) -> bool:
        raise NotImplementedError

    def stake(self, attempt) -> Stake:
        self.heard.append("stake")
        return STAKE

    def unmade(self, attempt) -> None:
        self.heard.append("unmade")

    def closed(self, attempt, spent) -> int:
        self.heard.append(f"closed {spent}")
        return 300

    def finish(self) -> None:
        self.heard.append("finish")


@pytest.fixture
def accounts(bench):
    journal = Journal(bench.folder, "a")
    writer = Writer(journal, bench.ledger, bench.heard)
    yield Accountant(
        journal, writer, clock=bench.clock, prices=lambda *_: bench.price, notice=bench.heard
    )
    journal.close()


def test_a_purse_hears_of_each_attempt_and_its_words_are_kept(bench, accounts):
    call = bench.call()
    tab = accounts.open_tab(call, bench.caller)
    tab.purse = purse = Purse()
    attempt = bench.attempt(call)
    tab.opened(attempt)
    attempt.usage = Usage(input=1000, output=500)
    tab.closed(attempt)
    tab.closed(attempt)
    tab.finish()
    tab.finish()
    assert purse.heard == ["stake", "closed 450000000", "finish"]
    paths = journal_files(accounts.journal.folder, "a")
    opened, closed, _ = [record for path in paths for record in read(path.read_bytes()).records]
    assert isinstance(opened, Opened)
    assert opened.stake == STAKE
    assert isinstance(closed, Closed)
    assert closed.held_pico == 300


def test_an_attempt_that_outlives_its_caller_ends_the_purse(bench, accounts):
    call = bench.call()
    tab = accounts.open_tab(call, bench.caller)
    tab.purse = purse = Purse()
    attempt = bench.attempt(call)
    tab.opened(attempt)
    tab.finish()
    assert "finish" not in purse.heard
    tab.closed(attempt)
    assert purse.heard[-1] == "finish"


def test_what_a_full_disk_refuses_is_not_made(bench):
    def full(descriptor, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    journal = Journal(bench.folder, "a", write=full)
    accounts = Accountant(journal, Writer(journal, bench.ledger, bench.heard), clock=bench.clock)
    call = bench.call()
    tab = accounts.open_tab(call, bench.caller)
    tab.purse = purse = Purse()
    with pytest.raises(HouseError):
        tab.opened(bench.attempt(call))
    assert purse.heard == ["stake", "unmade"]
    journal.close()


@pytest.mark.parametrize("fails", ["terms", "choice", "journal"])
def test_whatever_fails_once_the_stake_is_taken_gives_it_back(bench, accounts, monkeypatch, fails):
    class OddError(Exception):
        pass

    def raises(*_, **__):
        raise OddError

    call = bench.call()
    tab = accounts.open_tab(call, bench.caller)
    tab.purse = purse = Purse()
    attempt = bench.attempt(call)
    if fails == "terms":
        accounts.charging = Charging([SimpleNamespace(fits=raises)])
    elif fails == "choice":
        call.outcome.plan = object()
    else:
        monkeypatch.setattr(accounts.journal, "append", raises)
    with pytest.raises((OddError, AttributeError)):
        tab.opened(attempt)
    assert purse.heard.count("stake") == purse.heard.count("unmade")
    tab.finish()
    assert purse.heard[-1] == "finish"


@pytest.mark.req("D27", "M1")
def test_a_charge_is_the_ledgers_number_or_what_is_held(opened, closed):
    begin = msgspec.structs.replace(opened(), stake=STAKE)
    wall = begin.about.wall

    def charge(*ends):
        entry = entry_of([begin, *ends])
        assert entry is not None
        return entry.attempts[0].charge

    assert charge() == Charge(STAKE, wall, 0, 700), "it was under way when its process died"
    assert charge(closed()) == Charge(STAKE, wall, 27_000_000, 0)
    unknown = msgspec.structs.replace(closed(), cost_pico=None, cost_from="none", held_pico=300)
    assert charge(unknown) == Charge(STAKE, wall, 0, 300)
    assert charge(unknown).covered == 300
    assert charge(closed()).covered == 700
    entry = entry_of([opened(), closed()])
    assert entry is not None
    assert entry.attempts[0].charge is None


def test_parts_are_written_as_every_database_takes_them(opened):
    odd = Stake("p1", 7, (Payer("team", "a\0b"),))
    entry = entry_of([msgspec.structs.replace(opened(), stake=odd)])
    assert entry is not None
    assert entry.attempts[0].charge.stake == Stake("p1", 7, (Payer("team", "a\ufffdb"),))


def test_a_journal_of_before_there_were_budgets_is_read(opened, closed):
    old = msgspec.msgpack.decode(msgspec.msgpack.encode(opened()))[:-1]
    framed = frame(opened())
    assert read(framed).records == [opened()]
    assert msgspec.convert(old, Opened) == opened()
    assert (
        msgspec.convert(msgspec.msgpack.decode(msgspec.msgpack.encode(closed()))[:-1], Closed)
        == closed()
    )


@pytest.mark.req("M10")
def test_only_of_a_process_whose_journal_is_whole_the_lease_is_freed(bench, opened, closed):
    freed = []

    async def drained(tag: str) -> None:
        freed.append((tag, len(bench.ledger.entries)))

    for tag, tail in (("a", b""), ("b", b"torn")):
        journal = Journal(bench.folder, tag)
        journal.append(opened(f"call-{tag}", f"attempt-{tag}"))
        journal.close()
        if tail:
            with (bench.folder / f"{tag}.000001.journal").open("ab") as file:
                file.write(tail)
    asyncio.run(drain(bench.folder, bench.ledger, bench.heard, drained))
    assert freed == [("a", 1)], "of the other one nobody knows what it had spent"
    bench.ledger.refused = {"call-c"}
    journal = Journal(bench.folder, "c")
    journal.append(opened("call-c", "attempt-c"))
    journal.close()
    asyncio.run(drain(bench.folder, bench.ledger, bench.heard, drained))
    assert len(freed) == 1


@pytest.mark.req("R-TIER-008")
def test_explain_tells_what_was_set_aside_and_what_it_came_to(opened, closed):
    stake = Stake("p1", 5 * 10**8, PAYERS)
    entry = entry_of([msgspec.structs.replace(opened(), stake=stake), closed()])
    assert entry is not None
    paid = explain(entry).attempts[0].budget
    assert paid is not None
    assert paid.budgets == ["team", "people/acme/me"]
    assert (paid.reserved_usd, paid.spent_usd, paid.held_usd) == ("0.0005", "0.000027", "0")
    plain = entry_of([opened(), closed()])
    assert plain is not None
    assert explain(plain).attempts[0].budget is None
    assert Decimal(paid.spent_usd) == Decimal(str(explain(entry).cost_usd))
