"""The verb of this room: a tab is opened for a call, and every attempt is written on it.

All that a tab does is synchronous and cheap, as it stands on the data path: a record in the
journal before an attempt's upstream call, one before the answer's last frame. SQL is fed
behind its back (``ledger.py``). The order that makes an answered call appear once, whatever
dies when (`reliability.md` §4.6):

    tab = accountant.open_tab(call, caller)
    tab.opened(attempt)      before the upstream call; a HouseError if the disk is full
    tab.kept()               with usage_durability = "host": to be awaited, for the disk; else None
    tab.closed(attempt)      before the last frame, with outcome.http_status set
    tab.kept()
    tab.finish()             before an error's body, else at the very end

``closed`` settles the attempt's cost and writes it on the attempt, for headers and usage.
A failure to account never breaks an answer (R-USE-013): it is noticed, and the call goes on;
only a full disk refuses the *next* call, as nothing may be consumed unrecorded.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from dragoman.accounting.charging import OWN_UNSAID, Charging
from dragoman.accounting.choice import choice_text
from dragoman.accounting.drain import Drained, drain
from dragoman.accounting.durability import GroupSync
from dragoman.accounting.figures import settle_attempt
from dragoman.accounting.fitting import LONGEST_NAME, are_names, fit
from dragoman.accounting.journal import ROTATE_BYTES, Journal
from dragoman.accounting.ledger import MOST, Settled, Writer
from dragoman.accounting.ports import Ledger, Notice, Purse, silent
from dragoman.accounting.price import Pinned, pinned, settle
from dragoman.accounting.records import (
    About,
    Closed,
    Finished,
    Opened,
    Record,
)
from dragoman.core import ids
from dragoman.core.call import Attempt, Call, Caller, Outcome
from dragoman.core.caller_name import caller_named
from dragoman.core.clock import Clock
from dragoman.core.errors import HouseError
from dragoman.core.loss import header
from dragoman.core.provider import Candidate, Price
from dragoman.core.usage import Usage

Prices: TypeAlias = Callable[[str, str], Price | None]
"""The price of a provider's model, as it holds now."""

DRAIN_EVERY_S = 10.0
MOST_HELD = 10_000
"""Records that wait in memory for a full disk; beyond it refused calls leave none."""


def no_prices(provider: str, model: str) -> None:
    """No model has a price."""


class Accountant:
    """One process's accounts: its journal, its buffer, and the way to SQL."""

    def __init__(
        self,
        journal: Journal,
        writer: Writer,
        *,
        clock: Clock,
        prices: Prices = no_prices,
        notice: Notice = silent,
        sync: GroupSync | None = None,
    ) -> None:
        self.journal = journal
        self.writer = writer
        self.clock = clock
        self.prices = prices
        self.notice = notice
        self.sync = sync
        self.charging: Charging | None = None
        """What tenants are charged beside what it costs; None: the operator says nothing of it."""
        self._priced: dict[tuple[str, str], Pinned] = {}
        self._priced_at = 0
        self._draining = asyncio.Lock()
        self.told_full = False
        """Whether it was told that the disk is full."""
        self.drained: Drained | None = None

    @property
    def storage_full(self) -> bool:
        """Whether the journal's disk refused its last record; new calls are then refused."""
        return self.journal.full

    def tell_full(self, call_id: str) -> None:
        """Tells that the disk has filled, once until there is room again."""
        full = self.journal.full
        if full and not self.told_full:
            self.notice("records_held", 1, call_id)
        self.told_full = full

    def open_tab(self, call: Call, caller: Caller) -> Tab:
        """Begins the account of an authenticated call; its ``outcome`` is read as it fills."""
        about = About(
            call.id,
            call.request_id,
            call.trace_id,
            caller.tenant,
            caller.key_id,
            caller_named(call.headers, caller.name),
            call.dialect,
            call.operation,
            call.wall,
            caller.project,
        )
        return Tab(self, call, call.outcome, about, caller.tier)

    def price_now(self, candidate: Candidate) -> Price | None:
        """What the candidate costs in this second."""
        return self.pinned_at(self.clock.wall(), candidate.provider.name, candidate.model).price

    def pinned_at(self, wall: float, provider: str, model: str) -> Pinned:
        """The price as it holds in the second of ``wall``, made ready; a busy process asks once a second."""
        second = int(wall)
        if second != self._priced_at:
            self._priced.clear()
            self._priced_at = second
        known = self._priced.get((provider, model))
        return known if known is not None else self._pin(provider, model)

    def _pin(self, provider: str, model: str) -> Pinned:
        found = self._priced[provider, model] = pinned(self.prices(provider, model))
        return found

    def forget_prices(self) -> None:
        """Has prices asked for anew: there are others from now on."""
        self._priced.clear()

    async def flush(self) -> bool:
        """Brings SQL up to date with this process and with dead ones; whether it is now (D26)."""
        drained = await self.drain()
        return await self.writer.flush() and drained

    async def drain(self) -> bool:
        """Brings dead processes' journals into SQL; whether that worked. Never raises."""
        async with self._draining:
            try:
                await drain(self.journal.folder, self.writer.ledger, self.notice, self.drained)
            except Exception as error:  # noqa: BLE001 -- the journals stay; the next try comes
                self.notice("flush_failed", 0, type(error).__name__)
                return False
        return True


class Tab(Struct, eq=False):
    """The account of one call; a Struct, as one is made for every call."""

    _accounts: Accountant
    _call: Call
    _outcome: Outcome
    _about: About
    _tier: str | None
    _records: tuple[Record, ...] = ()
    _files: tuple[int, ...] = ()
    _file: int = 0
    """The last of these; 0: none yet."""
    _open: dict[str, Pinned] = {}
    _finishing: bool = False
    purse: Purse | None = None
    """What pays for the attempts, where a budget has to."""

    # What it holds is a caller's own.
    __repr__ = object.__repr__

    def label(self, end_user: str, tags: str) -> None:
        """What the request says of itself, for reports; before its first attempt."""
        end_user = end_user[:LONGEST_NAME]
        outcome = self._outcome
        outcome.end_user, outcome.tags = end_user, tags
        self._about = replace(self._about, end_user=end_user, tags=tags)

    def opened(self, attempt: Attempt) -> None:
        """Writes down that ``attempt`` is about to be made, and pins its price (M8).

        Raises ``HouseError`` (503 ``storage_full``) where that cannot be written.
        """
        accounts, outcome, purse = self._accounts, self._outcome, self.purse
        provider, model, requested = attempt.provider, attempt.model, outcome.requested_model
        price = accounts.pinned_at(attempt.wall, provider, model)
        if not are_names(requested, model):
            requested, model = fit(requested, LONGEST_NAME), fit(model, LONGEST_NAME)
        is_plain = accounts.charging is None and not attempt.own
        stake = None if purse is None else purse.stake(attempt)
        try:
            record = Opened(
                attempt.id,
                self._about,
                requested,
                outcome.stream,
                attempt.number,
                provider,
                model,
                attempt.credential,
                attempt.started - self._call.received,
                price.source,
                price.effective_from,
                choice_text(outcome.plan, outcome.passed) if attempt.number == 1 else "",
                stake,
                "" if is_plain else self._terms(attempt),
            )
            self._written(record, accounts.journal.append(record, self._file))
        except BaseException as error:
            if purse is not None:
                purse.unmade(attempt)
            if isinstance(error, OSError):
                raise _storage_full() from error
            raise
        self._open[attempt.id] = price

    def _terms(self, attempt: Attempt) -> str:
        charging, about = self._accounts.charging, self._about
        if charging is None:
            return OWN_UNSAID if attempt.own else ""
        return charging.terms(
            about.tenant, self._tier, attempt.provider, attempt.model, own=attempt.own
        )

    def cost(self, candidate: Candidate, usage: Usage) -> Decimal | None:
        """What ``usage`` costs at the candidate, at the price pinned for the attempt under way."""
        beside = len(self._open) > 1
        for attempt_id, price in self._open.items():
            if not beside or self._is_at(attempt_id, candidate):
                return settle(usage, price.price)[0]
        return settle(usage, self._accounts.prices(candidate.provider.name, candidate.model))[0]

    def _is_at(self, attempt_id: str, candidate: Candidate) -> bool:
        """Whether that attempt was opened at the candidate's model."""
        model = fit(candidate.model, LONGEST_NAME)
        return any(
            isinstance(record, Opened)
            and record.attempt_id == attempt_id
            and (record.provider, record.model) == (candidate.provider.name, model)
            for record in self._records
        )

    def closed(self, attempt: Attempt) -> None:
        """Settles ``attempt`` and writes down how it ended; a second time does nothing."""
        price = self._open.pop(attempt.id, None)
        if price is None:
            return
        try:
            self._keep(self._closed(attempt, price))
        except Exception as error:  # noqa: BLE001 -- R-USE-013: never breaks the answer
            self._accounts.notice("accounting_failed", 1, f"{self._call.id}: {error!r}")
        if self._finishing and not self._open:
            self._end()

    def _closed(self, attempt: Attempt, price: Pinned) -> Closed:
        outcome, call, purse = self._outcome, self._call, self.purse
        tokens, spent = settle_attempt(attempt, price)
        upstream_id, losses = attempt.upstream_id, outcome.losses
        usage = attempt.usage
        tier = None if usage is None else usage.tier
        return Closed(
            attempt.id,
            call.id,
            attempt.status,
            outcome.http_status,
            attempt.upstream_status,
            fit(upstream_id, LONGEST_NAME) if upstream_id else None,
            attempt.error_kind,
            tokens,
            attempt.tokens_from,
            spent,
            attempt.cost_from,
            attempt.first_event_s,
            attempt.duration_s,
            self._accounts.clock.monotonic() - call.received,
            header(losses) if losses else "",
            ", ".join(outcome.adjusted) if outcome.adjusted else "",
            choice_text(outcome.plan, outcome.passed) if outcome.passed else "",
            attempt.error_code,
            0 if purse is None else purse.closed(attempt, spent),
            fit(tier, LONGEST_NAME) if tier else "",
        )

    def finish(self) -> None:
        """Ends the account; a second time does nothing.

        An attempt may outlive its caller, where an abandoned stream is read on (D18): the account
        then ends with that attempt.
        """
        if self._finishing:
            return
        self._finishing = True
        if not self._open:
            self._end()

    def _end(self) -> None:
        accounts, purse, records = self._accounts, self.purse, self._records
        try:
            if purse is not None:
                purse.finish()
            last = records[-1] if records else None
            if type(last) is not Closed or last.status != "complete":
                self._keep(self._finished())
                records = self._records
            accounts.writer.add(Settled(records, self._files))
        except Exception as error:  # noqa: BLE001 -- R-USE-013: never breaks the answer
            accounts.notice("accounting_failed", 1, f"{self._call.id}: {error!r}")
        call, outcome = self._call, self._outcome
        if call.reserved is not None:
            call.reserved.end(outcome)
        for told in call.ended:
            told(outcome)

    def _finished(self) -> Finished:
        outcome = self._outcome
        origin = outcome.origin if outcome.cache == "hit" else None
        return Finished(
            self._about,
            fit(outcome.requested_model, LONGEST_NAME),
            outcome.stream,
            outcome.status,
            outcome.http_status,
            outcome.error_code,
            self._accounts.clock.monotonic() - self._call.received,
            header(outcome.losses) if outcome.losses else "",
            ", ".join(outcome.adjusted) if outcome.adjusted else "",
            choice_text(outcome.plan, outcome.passed),
            fit(origin.provider, LONGEST_NAME) or None if origin is not None else None,
            fit(origin.model, LONGEST_NAME) or None if origin is not None else None,
            origin is not None,
        )

    def kept(self) -> Awaitable[None] | None:
        """Over when what was written is as durable as the operator asked for; None: it is already."""
        sync = self._accounts.sync
        return None if sync is None else sync.kept()

    def _keep(self, record: Record) -> None:
        accounts = self._accounts
        journal = accounts.journal
        if not self._records and journal.held >= MOST_HELD:
            return  # nothing was consumed, and memory is no journal
        number = journal.append_or_hold(record, self._file)
        self._written(record, number)
        if journal.full is not accounts.told_full:
            accounts.tell_full(self._call.id)

    def _written(self, record: Record, number: int) -> None:
        """A record stands in the journal's file of that number."""
        if number != self._file:
            self._files += (number,)
            self._file = number
        sync = self._accounts.sync
        if sync is not None:
            sync.soon()
        self._records += (record,)


def _storage_full() -> HouseError:
    return HouseError(
        "overloaded",
        "The gateway cannot record usage because its disk is full; try again later.",
        code="storage_full",
        retry_after_s=5.0,
        retryable=True,
    )


def _open_journal(folder: Path, tag: str, *, rotate_bytes: int, host: bool) -> Journal:
    try:
        return Journal(folder, tag, rotate_bytes=rotate_bytes, remember_unsynced=host)
    except OSError as error:
        raise HouseError(
            "server",
            f"The journal cannot be kept in {folder} ({error.strerror}): "
            "check the folder's owner, or set DRAGOMAN_HOME.",
            code="configuration_error",
        ) from None


@asynccontextmanager
async def open_accountant(
    folder: Path,
    ledger: Ledger,
    *,
    clock: Clock,
    prices: Prices = no_prices,
    notice: Notice = silent,
    buffer_size: int = 100,
    flush_interval_s: float = 5.0,
    durability: Literal["process", "host"] = "process",
    rotate_bytes: int = ROTATE_BYTES,
    most_waiting: int = MOST,
    drain_every_s: float = DRAIN_EVERY_S,
    tag: str = "",
    drained: Drained | None = None,
) -> AsyncIterator[Accountant]:
    """Accounts kept in ``folder``; on leaving, everything is written to SQL if it can be reached.

    ``tag`` is what this process calls itself, a new id unless said; ``drained`` is told the tag of every
    dead process of which SQL has all.
    """
    host = durability == "host"
    tag = tag or ids.uuid7(clock.wall(), os.urandom)
    journal = _open_journal(folder, tag, rotate_bytes=rotate_bytes, host=host)
    writer = Writer(
        journal, ledger, notice, size=buffer_size, interval_s=flush_interval_s, most=most_waiting
    )
    sync = GroupSync(journal) if host else None
    accountant = Accountant(journal, writer, clock=clock, prices=prices, notice=notice, sync=sync)
    accountant.drained = drained
    tasks = [
        asyncio.create_task(writer.run(), name="ledger writer"),
        asyncio.create_task(_drain(accountant, drain_every_s), name="journal drain"),
    ]
    try:
        yield accountant
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await accountant.flush()
        if sync is not None:
            await sync.close()
        journal.close()


async def _drain(accountant: Accountant, every_s: float) -> None:
    """Drains dead processes' journals at once and then every so often."""
    while True:
        await accountant.drain()
        await asyncio.sleep(every_s)
