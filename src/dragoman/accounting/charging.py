"""What a tenant is charged for a call: another number than what it costs, in a column of its own.

A call costs what all its attempts cost, and only the one whose answer the caller got is charged (`reliability.md`
M7). The operator's `[[charges]]` say by how much more or less; the first that fits counts. Its terms are pinned at
the attempt's beginning, beside the price (M8), as the text that the ledger keeps:

    ""                what it costs
    "1.2"             that, times 1.2
    "1.2 0.001"       and 0.001 USD for each call besides
    "own 0"           the credential is the tenant's own, and nothing is charged
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias

from msgspec import Struct

from dragoman.core.money import plain, to_pico

OWN = "own"
AT_COST = ""
OWN_UNSAID = "own 0"
"""Who brings its own credential has paid its provider; unless the operator says otherwise that is all."""
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
_ONE = Decimal(1)
_MOST_PINNED = 10_000

Credentials: TypeAlias = Literal["any", "own", "ours"]


class Rule(Struct, frozen=True):
    """One of the operator's `[[charges]]`: whom it is about (empty: anybody), and what they pay."""

    factor: Decimal = _ONE
    per_request: Decimal = Decimal(0)
    """USD."""
    tenant: str = ""
    tier: str = ""
    model: str = ""
    """``provider/model``, with ``*`` and ``?`` for what may be anything."""
    credentials: Credentials = "any"

    def fits(self, tenant: str, tier: str, model: str, *, own: bool) -> bool:
        """Whether it is about such an attempt."""
        return (
            self.tenant in {"", tenant}
            and self.tier in {"", tier}
            and self.credentials in {"any", "own" if own else "ours"}
            and (not self.model or fnmatchcase(model, self.model))
        )


class Charging:
    """The operator's rules, and what they say of those who were asked about last."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self._pinned: dict[tuple[str, str, str, str, bool], str] = {}

    def terms(self, tenant: str, tier: str | None, provider: str, model: str, *, own: bool) -> str:
        """The terms of an attempt, as text."""
        key = (tenant, tier or "", provider, model, own)
        known = self._pinned.get(key)
        if known is None:
            if len(self._pinned) >= _MOST_PINNED:
                self._pinned.clear()
            known = self._pinned[key] = self._terms(*key[:2], f"{provider}/{model}", own=own)
        return known

    def _terms(self, tenant: str, tier: str, model: str, *, own: bool) -> str:
        for rule in self.rules:
            if rule.fits(tenant, tier, model, own=own):
                return terms_text(rule.factor, rule.per_request, own=own)
        return OWN_UNSAID if own else AT_COST


def terms_text(factor: Decimal, per_request: Decimal, *, own: bool) -> str:
    """Terms as the ledger keeps them."""
    words = [OWN] if own else []
    if own or factor != _ONE or per_request:
        words.append(plain(factor))
    if per_request:
        words.append(plain(per_request))
    return " ".join(words)


def charge_of(cost_pico: int | None, terms: str) -> int | None:
    """What is charged for an attempt of that cost, in 10⁻¹² USD; None where that has to be known and is not."""
    if not terms:
        return cost_pico
    words = terms.removeprefix(f"{OWN} ").split()
    factor = Decimal(words[0])
    fee = to_pico(Decimal(words[1])) if len(words) > 1 else 0
    if cost_pico is None:
        return fee if not factor else None
    charged = _EXACT.multiply(Decimal(cost_pico), factor).to_integral_value(ROUND_HALF_EVEN)
    return int(charged) + fee
