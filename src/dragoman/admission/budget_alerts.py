"""Tells the operator that a budget is nearly used up, or used up: once for each pot and share, by one process.

What has crossed a share is found when the ledger is written or a lease renewed, off the data path; the store
decides which of several processes tells it. Who listens is passed in: a log line and a metric, and webhooks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol, TypeAlias

from msgspec import Struct

from dragoman.admission.budget_rules import Rule
from dragoman.core import money
from dragoman.core.budget import Pot, ends_at, time_of
from dragoman.telemetry.numbers import Standing

WHOLE = 1_000_000
"""The share of a pot that is used up."""
MOST_TOLD = 10_000
_NEARLY = 10
"""A pot that refuses calls, and has less than this part left, counts as used up."""


class Alert(Struct, frozen=True):
    """A budget has reached a share of what it holds; amounts in 10⁻¹² USD."""

    pot: Pot
    share: int
    """Millionths."""
    limit: int
    used: int
    """Spent and held, as far as it was written when it was noticed."""


def told_of(alert: Alert) -> dict[str, object]:
    """The alert in words, for logs and whoever else is told."""
    end = ends_at(alert.pot)
    return {
        "budget": alert.pot.budget,
        "subject": alert.pot.subject,
        "window": alert.pot.span,
        "share": alert.share / WHOLE,
        "limit_usd": money.plain(money.from_pico(alert.limit)),
        "used_usd": money.plain(money.from_pico(alert.used)),
        "resets_at": None if end is None else time_of(end),
    }


Listener: TypeAlias = Callable[[Alert], None]
"""Whoever is to hear of it."""


class Memory(Protocol):
    """What all processes remember of what was told."""

    async def told(self, pot: Pot, share: int) -> bool:
        """Notes that a share of a pot is told of; whether nobody had done it."""
        ...


class Alerts:
    """What is to be told, and what was."""

    def __init__(self, listener: Listener) -> None:
        self.standings: dict[tuple[str, str], Standing] = {}
        """By budget and stretch; those that are divided have too many parts to be shown."""
        self.before: Callable[[Alert], Awaitable[object]] | None = None
        """Has it sent on, once whoever asks: before it is noted that it was told, so that none is lost."""
        self._listener = listener
        self._due: list[Alert] = []
        self._told: set[tuple[Pot, int]] = set()
        self.refusals: dict[str, int] = {}
        """By budget: how many calls it has refused."""

    def look(self, rules: Iterable[Rule], totals: Mapping[Pot, tuple[int, int]]) -> None:
        """Finds what has crossed a share, at so much spent and held in each pot."""
        named = {rule.name: rule for rule in rules}
        for pot, (spent, held) in totals.items():
            rule = named.get(pot.budget)
            limit = None if rule is None else dict(rule.bounds).get(pot.span)
            if rule is None or limit is None:
                continue
            if not pot.subject:
                self._stand(pot, limit, spent, held)
            for share in (*rule.alert_at, WHOLE):
                if (spent + held) * WHOLE >= share * limit:
                    self._note(Alert(pot, share, limit, spent + held))

    def refused(self, pot: Pot, limit: int, left: int) -> None:
        """A call was refused, as the pot has no more than so much.

        One that asks for too much of a full pot says nothing about the pot.
        """
        self.refusals[pot.budget] = self.refusals.get(pot.budget, 0) + 1
        if left * _NEARLY < limit:
            self._note(Alert(pot, WHOLE, limit, max(0, limit - left)))

    async def tell(self, memory: Memory) -> None:
        """Tells what is due, unless another process has."""
        while self._due:
            alert = self._due[-1]
            if self.before is not None:
                await self.before(alert)
            if await memory.told(alert.pot, alert.share):
                self._listener(alert)
            # Only now: what could not be noted is tried again.
            self._due.remove(alert)

    def _note(self, alert: Alert) -> None:
        key = (alert.pot, alert.share)
        if key in self._told:
            return
        if len(self._told) >= MOST_TOLD:
            self._told.clear()
        self._told.add(key)
        self._due.append(alert)

    def _stand(self, pot: Pot, limit: int, spent: int, held: int) -> None:
        before = self.standings.get((pot.budget, pot.span))
        if before is None or before.since <= pot.since:
            self.standings[pot.budget, pot.span] = Standing(pot.since, limit, spent, held)
