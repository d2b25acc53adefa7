"""Refusals that hold until there can be room again: the counter is not asked for them twice."""

from __future__ import annotations

from dragoman.admission.ports import Short
from dragoman.admission.rules import CONCURRENCY, Rule, Unit
from dragoman.store.shared.leases import LEASE_S, is_leased

TOKENS_REFUSED_S = 0.25
"""How long a refusal of tokens holds at most: others may give some back."""
MOST_REMEMBERED = 10_000


class Refusals:
    """What was refused of late."""

    def __init__(self) -> None:
        self._refused: dict[tuple[str, Unit], tuple[float, Rule, int, Short]] = {}

    def of(self, key_id: str, rule: Rule, amount: int, now: float) -> Short | None:
        """The refusal that holds for so much, with what is left to wait."""
        name = (key_id, rule.unit)
        found = self._refused.get(name)
        if found is None:
            return None
        until, of, asked, short = found
        if now >= until or of != rule:
            del self._refused[name]
            return None
        if amount < asked:
            return None
        return Short(short.name, short.limit, short.free, until - now)

    def remember(self, key_id: str, rule: Rule, amount: int, short: Short, now: float) -> None:
        """So much was refused."""
        # Without a wait it depends on what was asked; places come back at any time.
        if short.wait_s is None or short.name == CONCURRENCY:
            return
        wait = short.wait_s if rule.unit == "requests" else min(short.wait_s, TOKENS_REFUSED_S)
        if is_leased(rule):
            wait = min(wait, LEASE_S)  # others may give back what is left of their leases
        if len(self._refused) >= MOST_REMEMBERED:
            self._refused.clear()
        self._refused[key_id, rule.unit] = (now + wait, rule, amount, short)

    def clear(self) -> None:
        """Forgets them all."""
        self._refused.clear()
