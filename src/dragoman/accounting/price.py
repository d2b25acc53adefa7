"""What an attempt cost, and who says so (D24, D25).

What the provider itself reports comes first; else the catalogue's price is asked, which knows
no answer as soon as a part is unknown: a sum that leaves something out would be a wrong
number, where none is an honest one. Everything is exact Decimal; rounding happens once, when
the amount becomes an integer of 10⁻¹² USD.
"""

from __future__ import annotations

from decimal import Decimal

from dragoman.accounting.records import CostFrom
from dragoman.catalog.price import cost_of
from dragoman.core.provider import Price
from dragoman.core.usage import Usage

MOST_USD = Decimal(10_000)
"""No single attempt costs more; such a number is a provider's error, hence unknown (M11)."""


def settle(
    usage: Usage | None, price: Price | None, *, estimated: bool = False
) -> tuple[Decimal | None, CostFrom]:
    """The cost of ``usage`` in USD, and where the number comes from."""
    if usage is None:
        return None, "none"
    if usage.cost is not None and _is_sound(usage.cost):
        return usage.cost, "provider"
    cost = cost_of(usage, price) if price is not None else None
    if cost is None or not _is_sound(cost):
        return None, "none"
    return cost, "estimated" if estimated else "priced"


def _is_sound(cost: Decimal) -> bool:
    return cost.is_finite() and 0 <= cost <= MOST_USD
