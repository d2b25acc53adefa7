"""What a provider itself says that a reply has cost, in the spellings of those that say it.

OpenRouter writes ``cost`` as a JSON number of USD, taken by its digits (P132); where the key of the provider
behind it is the operator's own (``is_byok``), that is its fee alone, and ``cost_details`` says what the provider
charges beside it. Perplexity writes an object with ``total_cost``, xAI whole 10⁻¹⁰ USD in ``cost_in_usd_ticks``.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec
from msgspec import Raw, Struct

from dragoman.core.money import is_amount

ABSENT = Raw(b"")
_TICK = -10
_MOST_USD = Decimal(10) ** 9
"""More is no cost of a reply, whoever says it."""


class _Total(Struct):
    total_cost: Decimal | None = None


class _Details(Struct):
    upstream_inference_cost: Decimal | None = None


_COST: msgspec.json.Decoder[Decimal | _Total | None] = msgspec.json.Decoder(
    Decimal | _Total | None
)
_DETAILS = msgspec.json.Decoder(_Details | None)
_BAD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def told_cost(
    cost: Raw, ticks: object = None, byok: object = None, details: Raw = ABSENT
) -> Decimal | None:
    """USD; None where nobody says it, or no number that a cost can be (M11)."""
    if cost is ABSENT:
        if type(ticks) is not int:
            return None
        amount = Decimal(ticks).scaleb(_TICK)
        return amount if is_amount(amount, _MOST_USD) else None
    told = _read(cost)
    if told is None or byok is not True or details is ABSENT:
        return told
    try:
        more = _DETAILS.decode(details)
    except _BAD:
        return None  # the provider has charged something, and how much is not to be read
    behind = more.upstream_inference_cost if more is not None else None
    return told if behind is None or not is_amount(behind, _MOST_USD) else told + behind


def _read(cost: Raw) -> Decimal | None:
    try:
        told = _COST.decode(cost)
    except _BAD:
        return None
    amount = told.total_cost if isinstance(told, _Total) else told
    return amount if amount is not None and is_amount(amount, _MOST_USD) else None
