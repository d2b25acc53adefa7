"""What the provider would invoice for a request: its own prices, its own sum.

Written from price lists alone and sharing no line with the gateway's pricing, so that the two
can disagree. Amounts are exact: nothing here rounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal

from msgspec import Struct

from dragoman.mock.answer import Billed

__all__ = ["Rates", "amount", "rates_of", "spelled"]

_EXACT = Context(prec=60)
_MILLION = Decimal(1_000_000)


class Rates(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """USD for a million tokens; what the cache gave or took costs as input unless it is said."""

    input: Decimal = Decimal(1)
    output: Decimal = Decimal(1)
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None


_USUAL = Rates()
"""A millionth of a dollar for each token."""


def rates_of(model: str, prices: Mapping[str, Rates]) -> Rates:
    """The rates of the longest name in the list that ``model`` begins with."""
    named = [name for name in prices if model.startswith(name)]
    return prices[max(named, key=len)] if named else _USUAL


def amount(billed: Billed, rates: Rates) -> Decimal:
    """USD for an answer."""
    read = rates.input if rates.cache_read is None else rates.cache_read
    written = rates.input if rates.cache_write is None else rates.cache_write
    plain = billed.input - billed.cached - billed.cache_write
    total = Decimal(0)
    for count, rate in (
        (plain, rates.input),
        (billed.cached, read),
        (billed.cache_write, written),
        (billed.output, rates.output),
    ):
        total = _EXACT.add(total, _EXACT.multiply(Decimal(count), rate))
    return _EXACT.divide(total, _MILLION)


def spelled(usd: Decimal) -> str:
    """The amount as a plain decimal: no exponent, no zeros behind it."""
    text = f"{usd:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
