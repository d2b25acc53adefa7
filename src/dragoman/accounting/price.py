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
from dragoman.core.usage import Usage

MOST_USD = Decimal(10_000)
"""No single attempt costs more; such a number is a provider's error, hence unknown (M11)."""
_MOST_PICO = to_pico(MOST_USD)

_MOST_PINNED = 1000
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


class Pinned(Struct, frozen=True, gc=False):
    """A price as it was when an attempt began (M8), ready for what is asked of it at its end."""

    price: Price | None
    source: str
    effective_from: str
    says: CostFrom
    """Where a cost comes from that is reckoned by it."""
    tariff: Tariff | None
    """None: the catalogue's own way is the only one."""
    above: tuple[tuple[int, Tariff], ...] = ()
    """Those of more input tokens than the number, falling."""


UNPRICED = Pinned(None, "", "", "none", None)

_pinned: dict[int, Pinned] = {}
"""By the identity of a price, which the one within keeps from being another's."""


def pinned(price: Price | None) -> Pinned:
    """The price, made ready."""
    if price is None:
        return UNPRICED
    known = _pinned.get(id(price))
    if known is None:
        known = _pinned[id(price)] = _pin(price)
        if len(_pinned) > _MOST_PINNED:
            _pinned.clear()
    return known


def _pin(price: Price) -> Pinned:
    says: CostFrom = "estimated" if price.estimate else "priced"
    lowest = tariff_of(price)
    above = [(start, tariff_of(dearer)) for start, dearer in reversed(price.above)]
    whole = [(start, tariff) for start, tariff in above if tariff is not None]
    if len(whole) < len(above):
        lowest = None
    return Pinned(price, price.source, price.effective_from, says, lowest, tuple(whole))


def settle(
    usage: Usage | None, price: Price | None, *, estimated: bool = False
) -> tuple[Decimal | None, CostFrom]:
    """The cost of ``usage`` in USD, and where the number comes from."""
    if usage is None:
        return None, "none"
    cost, source, _ = settle_at(usage, sound_tokens(usage), pinned(price), estimated=estimated)
    return cost, source


def settle_at(
    usage: Usage, tokens: Tokens | None, price: Pinned, *, estimated: bool
) -> tuple[Decimal | None, CostFrom, int | None]:
    """The cost of ``usage`` in USD, where the number comes from, and the same in whole 10⁻¹² USD.

    ``tokens`` are the same counts where all of them are sound (``counts.sound_tokens``).
    """
    tariff = price.tariff
    if tokens is not None and tariff is not None and usage.cost is None:
        if price.above:
            tariff = _dearer(price, tokens) or tariff
        pico = _whole(tokens, tariff)
        if pico is not None and pico <= _MOST_PICO:
            cost = Decimal(pico).scaleb(-_PLACES)
            return cost, "estimated" if estimated else price.says, pico
    return _settle_unusual(usage, price, estimated=estimated)


def _dearer(price: Pinned, tokens: Tokens) -> Tariff | None:
    """The tariff of so many input tokens, where it is another than the lowest."""
    read = tokens.input or 0
    return next((tariff for start, tariff in price.above if read > start), None)


def _settle_unusual(
    usage: Usage, price: Pinned, *, estimated: bool
) -> tuple[Decimal | None, CostFrom, int | None]:
    if usage.cost is not None and _is_sound(usage.cost):
        return usage.cost, "provider", to_pico(usage.cost)
    cost = None if price.price is None else cost_of(usage, price.price)
    if cost is None or not _is_sound(cost):
        return None, "none", None
    return cost, "estimated" if estimated else price.says, to_pico(cost)


def _is_sound(cost: Decimal) -> bool:
    return cost.is_finite() and 0 <= cost <= MOST_USD


def tariff_of(price: Price) -> Tariff | None:
    """The price before its steps in whole numbers; None where it has fractions, or lacks an ordinary kind.

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
    return Tariff(*map(int, amounts))


_FIRST_RARE = Tokens.__struct_fields__.index("audio_input")
_rare = itemgetter(slice(_FIRST_RARE, None))
"""Counts of kinds that have prices of their own, which a tariff does not have."""


def _whole(tokens: Tokens, tariff: Tariff) -> int | None:
    """The cost of sound counts in 10⁻¹² USD; None for what only ``cost_of`` may judge."""
    read, written = tokens.input, tokens.output
    if read is None or written is None or any(_rare(astuple(tokens))):
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
