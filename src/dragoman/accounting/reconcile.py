"""Asks providers later what nobody knew at the time, and settles the ledger by what they tell (R-USE-002, D25).

What is open stands in the database beside the rows, so that it survives whoever dies; one process asks, for all.
A provider that does not know yet, or cannot be asked, is asked again, each time after longer, and in the end no
more: the row then stays as it is. Once a day, providers whose admin key is there are asked what the day before
has cost.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct

from dragoman.accounting.entry import Entry
from dragoman.accounting.settling import Compared, Question, Settlement, Spent, compared, settled
from dragoman.core import money
from dragoman.core.clock import Clock
from dragoman.core.errors import GatewayError
from dragoman.core.provider import Price
from dragoman.core.usage import Usage

TURN = "reconcile"
TURN_S = 10.0
"""Who dies in its turn has it no longer than that. Two who ask at once would settle once."""
AT_ONCE = 4
IN_A_ROUND = 40
WAITS_S = (2.0, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0, 21_600.0, 43_200.0)
"""Between the tries; after the last of them nobody is asked any more."""
REPORT_AFTER_S = 6 * 3600
"""How long after a day's end providers have its costs."""
REPORTS_EVERY_S = 900.0
_DAY_S = 86_400

Result: TypeAlias = Literal["settled", "agreed", "waiting", "failed", "given_up"]


class Settled(Protocol):
    """Where what is open stands, and is settled."""

    async def due(self, now_ms: int, limit: int) -> list[Question]:
        """What is to be asked now."""
        ...

    async def later(self, attempt_id: str, due_ms: int, tries: int) -> None:
        """It is asked about again at that time."""
        ...

    async def drop(self, attempt_id: str) -> None:
        """Nobody will tell."""
        ...

    async def settle(
        self,
        question: Question,
        decide: Callable[[Entry], tuple[Settlement | None, Compared | None]],
    ) -> Settlement | None:
        """Settles it as ``decide`` says; None: it was done already, or nothing changes."""
        ...

    async def has_day(self, day: int, provider: str) -> bool:
        """Whether the provider's report of that day is there."""
        ...

    async def note_day(
        self, day: int, provider: str, found: Mapping[str, tuple[int, int, int]]
    ) -> None:
        """Keeps a provider's report: model → calls, ours, theirs."""
        ...

    async def spent_of_day(self, day: int, providers: Sequence[str]) -> dict[str, Spent]:
        """What attempts at any of them came to on a day, by model."""
        ...


class Sources(Struct, frozen=True):
    """How providers are asked, and what a model's price was; failures are ``GatewayError``."""

    generation: Callable[[Question], Awaitable[Usage | None]]
    """What an answer came to; None: not known yet."""
    reporting: Callable[[], tuple[str, ...]]
    """Providers whose days can be asked about."""
    report: Callable[[str, int], Awaitable[Mapping[str, Decimal]]]
    """What a day has cost at a provider, in USD by its names of models."""
    price: Callable[[str, str, float], Price | None]
    """The price of a provider's model at a Unix time."""
    folded: Callable[[str, str], str]
    """One name for all spellings of a provider's model."""
    billed_by: Callable[[str], tuple[str, ...]] = lambda name: (name,)
    """Whose calls stand in a provider's report: its own, and of those that share its keys."""
    knows: Callable[[str, str], bool] = lambda _, __: False
    """Whether the catalogue has a provider's model."""


class Reconciler:
    """Asks and settles, while it is this process's turn."""

    def __init__(
        self,
        store: Settled,
        sources: Sources,
        clock: Clock,
        take_turn: Callable[[str, float], Awaitable[bool]],
        told: Callable[[str, Result, str], None],
    ) -> None:
        """``told`` hears what came of each question: provider, result, and a word for the log."""
        self._store = store
        self._sources = sources
        self._clock = clock
        self._take_turn = take_turn
        self._told = told
        self._reports_at = 0.0

    async def run(self, every_s: float) -> None:
        """Goes on until it is cancelled; nothing that fails ends it."""
        while True:
            try:
                busy = await self.round()
            except GatewayError as error:
                self._told("", "failed", error.message)
                busy = False
            except Exception as error:  # noqa: BLE001  what is open stays open
                self._told("", "failed", type(error).__name__)
                busy = False
            await asyncio.sleep(0 if busy else every_s)

    async def round(self) -> bool:
        """Asks what is due; whether there may be more."""
        due = await self._store.due(int(self._clock.wall() * 1000), IN_A_ROUND)
        reports = self._clock.monotonic() >= self._reports_at and self._sources.reporting()
        if reports:
            # Also where another has its turn: to ask for one writes to the database.
            self._reports_at = self._clock.monotonic() + REPORTS_EVERY_S
        if not (due or reports) or not await self._take_turn(TURN, TURN_S):
            return False
        for start in range(0, len(due), AT_ONCE):
            await asyncio.gather(*map(self._one, due[start : start + AT_ONCE]))
            if start and not await self._take_turn(TURN, TURN_S):
                return False
        if reports:
            await self._reports()
        return len(due) == IN_A_ROUND

    async def _one(self, question: Question) -> None:
        try:
            usage = await self._sources.generation(question)
        except GatewayError as error:
            await self._again(question, "failed", error.message)
            return
        if usage is None:
            await self._again(question, "waiting", "")
            return
        done = await self._store.settle(question, partial(self._decide, question, usage))
        self._told(question.provider, "agreed" if done is None else "settled", question.attempt_id)

    def _decide(
        self, question: Question, usage: Usage, entry: Entry
    ) -> tuple[Settlement | None, Compared | None]:
        price = self._sources.price(
            question.provider, question.model, question.created_us / 1_000_000
        )
        return decided(question, usage, price, int(self._clock.wall() * 1_000_000), entry)

    async def _again(self, question: Question, result: Result, why: str) -> None:
        tries = question.tries + 1
        if tries > len(WAITS_S):
            await self._store.drop(question.attempt_id)
            self._told(question.provider, "given_up", question.attempt_id)
            return
        due = self._clock.wall() + WAITS_S[tries - 1]
        await self._store.later(question.attempt_id, int(due * 1000), tries)
        self._told(question.provider, result, why)

    async def _reports(self) -> None:
        """What yesterday has cost, once, when it is known."""
        day = int((self._clock.wall() - REPORT_AFTER_S) // _DAY_S) - 1
        for provider in self._sources.reporting():
            if await self._store.has_day(day, provider):
                continue
            try:
                theirs = await self._sources.report(provider, day)
            except GatewayError as error:
                self._told(provider, "failed", error.message)
                continue
            ours = await self._store.spent_of_day(day, self._sources.billed_by(provider))
            await self._store.note_day(day, provider, self._joined(provider, ours, theirs))

    def _joined(
        self, provider: str, ours: Mapping[str, Spent], theirs: Mapping[str, Decimal]
    ) -> dict[str, tuple[int, int, int]]:
        """Models by one name each; without those whose difference calls of unknown cost explain."""
        folded = self._sources.folded
        spent: defaultdict[str, Spent] = defaultdict(Spent)
        billed: defaultdict[str, int] = defaultdict(int)
        for model, each in ours.items():
            name = folded(provider, model)
            spent[name] = spent[name].and_also(each)
        for model, usd in theirs.items():
            billed[folded(provider, model)] += money.to_pico(usd)
        return {
            name: (spent[name].calls, spent[name].pico, billed[name])
            for name in sorted({*spent, *billed})
            if not spent[name].explains(billed[name])
        }


def decided(
    question: Question, usage: Usage, price: Price | None, now_us: int, entry: Entry
) -> tuple[Settlement | None, Compared | None]:
    """What becomes of a call now that its provider has told; None: nothing of it changes."""
    source = f"{question.provider} lookup"
    found = settled(entry, question.attempt_id, usage, price, source, now_us)
    if found is None:
        return None, None
    before = next(row.consumed for row in entry.attempts if row.attempt_id == question.attempt_id)
    after = found.attempt.consumed
    comparison = compared(before, after, price)
    same = (before.input_tokens, before.output_tokens, before.cost_pico) == (
        after.input_tokens,
        after.output_tokens,
        after.cost_pico,
    )
    # An estimate that was right by chance is none any more.
    guessed = before.tokens_from == "estimated" != after.tokens_from
    return (None if same and not guessed else found), comparison
