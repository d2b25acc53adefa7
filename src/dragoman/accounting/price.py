"""What an attempt cost, and who says so (D24, D25).

What the provider itself reports comes first; else the catalogue's price is asked, which knows
no answer as soon as a part is unknown: a sum that leaves something out would be a wrong
number, where none is an honest one. Everything is exact Decimal; rounding happens once, when
the amount becomes an integer of 10⁻¹² USD.

Nearly every price is a whole number of 10⁻¹² USD a token, so that the usual sum is one of
integers, as exact and a fifth of the time; whatever is unusual goes the catalogue's own way.
"""

from __future__ import annotations

from decimal import Decimal
from operator import itemgetter
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import astuple

from dragoman.accounting.counts import sound_tokens
from dragoman.accounting.records import CostFrom, Tokens
from dragoman.catalog.price import cost_of
from dragoman.core.money import to_pico
from dragoman.core.provider import Price
from dragoman.core.usage import LARGEST, Usage

MOST_USD = Decimal(10_000)
"""No single attempt costs more; such a number is a provider's error, hence unknown (M11)."""
_MOST_PICO = to_pico(MOST_USD)

_MOST_TARIFFS = 1000
_PLACES = 12
_PICO = Decimal(10) ** _PLACES
_PICO_A_TOKEN = Decimal(10) ** 6
"""10⁻¹² USD a token for each USD a million tokens."""


class Tariff(NamedTuple):
    """A price in whole 10⁻¹² USD: for each token of a kind, and for each request."""

    input: int
    output: int
    cache_read: int
    cache_write: int
    cache_write_1h: int
    request: int
    most: int = LARGEST
    """Up to how many tokens of input it holds: a price may rise in steps, and this is the first."""


class Pinned(Struct, frozen=True, gc=False):
    """A price as it was when an attempt began (M8), ready for what is asked of it at its end."""

    price: Price | None
    source: str
    effective_from: str
    tariff: Tariff | None
    says: CostFrom
    """Where a cost comes from that is reckoned by it."""


UNPRICED = Pinned(None, "", "", None, "none")

_tariffs: dict[int, tuple[Price, Tariff | None]] = {}
"""By the identity of a price, which the price beside it keeps from being another's."""


def pinned(price: Price | None) -> Pinned:
    """The price, made ready."""
    if price is None:
        return UNPRICED
    says: CostFrom = "estimated" if price.estimate else "priced"
    return Pinned(price, price.source, price.effective_from, tariff_of(price), says)


def settle_at(
    usage: Usage, tokens: Tokens | None, price: Pinned, *, estimated: bool
) -> tuple[Decimal | None, CostFrom, int | None]:
    """The cost of ``usage`` as ``settle`` has it, and in whole 10⁻¹² USD.

    ``tokens`` are the same counts where all of them are sound (``counts.sound_tokens``).
    """
    tariff = price.tariff
    if tokens is not None and tariff is not None and usage.cost is None and not usage.tier:
        pico = _whole(tokens, tariff)
        if pico is not None and pico <= _MOST_PICO:
            cost = Decimal(pico).scaleb(-_PLACES)
            return cost, "estimated" if estimated else price.says, pico
    told, source = settle(usage, price.price, estimated=estimated)
    return told, source, None if told is None else to_pico(told)


def settle(
    usage: Usage | None, price: Price | None, *, estimated: bool = False
) -> tuple[Decimal | None, CostFrom]:
    """The cost of ``usage`` in USD, and where the number comes from."""
    if usage is None:
        return None, "none"
    if usage.cost is not None and _is_sound(usage.cost):
        return usage.cost, "provider"
    if price is None:
        return None, "none"
    cost = _cost(usage, price)
    if cost is None or not _is_sound(cost):
        return None, "none"
    return cost, "estimated" if estimated or price.estimate else "priced"


def _is_sound(cost: Decimal) -> bool:
    return cost.is_finite() and 0 <= cost <= MOST_USD


def _cost(usage: Usage, price: Price) -> Decimal | None:
    if usage.tier:
        return cost_of(usage, price)
    known = _tariffs.get(id(price))
    if known is None:
        known = _tariffs[id(price)] = (price, tariff_of(price))
        if len(_tariffs) > _MOST_TARIFFS:
            _tariffs.clear()
    tariff = known[1]
    tokens = sound_tokens(usage) if tariff is not None else None
    pico = _whole(tokens, tariff) if tokens is not None and tariff is not None else None
    return cost_of(usage, price) if pico is None else Decimal(pico).scaleb(-_PLACES)


def tariff_of(price: Price) -> Tariff | None:
    """The price in whole numbers; None where it has fractions, or lacks an ordinary kind.

    A kind without a price of its own costs what the wider kind does, as ``cost_of`` has it.
    """
    if price.input is None or price.output is None:
        return None
    if price.image_output is not None:
        return None
    read = price.input if price.cache_read is None else price.cache_read
    write = price.input if price.cache_write is None else price.cache_write
    hour = write if price.cache_write_1h is None else price.cache_write_1h
    a_million = (price.input, price.output, read, write, hour)
    request = price.per_request or Decimal(0)
    amounts = [*(amount * _PICO_A_TOKEN for amount in a_million), request * _PICO]
    if not all(amount.is_finite() and amount >= 0 and amount == int(amount) for amount in amounts):
        return None
    tariff = Tariff(*map(int, amounts))
    return tariff._replace(most=price.above[0][0]) if price.above else tariff


_FIRST_RARE = Tokens.__struct_fields__.index("audio_input")
_rare = itemgetter(slice(_FIRST_RARE, None))
"""Counts of kinds that have prices of their own, which a tariff does not have."""


def _whole(tokens: Tokens, tariff: Tariff) -> int | None:
    """The cost of sound counts in 10⁻¹² USD; None for what only ``cost_of`` may judge."""
    read, written = tokens.input, tokens.output
    if read is None or written is None or read > tariff.most or any(_rare(astuple(tokens))):
        return None
    total = read * tariff.input + written * tariff.output + tariff.request
    if not (tokens.cache_read or tokens.cache_write):
        return total
    cached, kept, hour = (
        tokens.cache_read or 0,
        tokens.cache_write or 0,
        tokens.cache_write_1h or 0,
    )
    if hour > kept or cached + kept > read:
        return None
    return (
        total
        + cached * (tariff.cache_read - tariff.input)
        + kept * (tariff.cache_write - tariff.input)
        + hour * (tariff.cache_write_1h - tariff.cache_write)
    )
