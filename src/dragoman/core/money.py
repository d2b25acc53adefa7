"""Money is Decimal in code, an integer of 10⁻¹² USD at rest, a plain string on the wire (D24)."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache

PICO = Decimal(10) ** 12
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
_MOST_PLACES = 60


def is_amount(usd: Decimal, most: Decimal) -> bool:
    """Whether somebody else's number is an amount from 0 to ``most``, of a length that can be written out.

    ``1e-999999999`` is a dozen characters and a gigabyte of digits (M11).
    """
    exponent = usd.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -_MOST_PLACES and 0 <= usd <= most


def to_pico(usd: Decimal) -> int:
    """The amount at rest: 10⁻¹² USD, rounded half to even once."""
    product = _EXACT.multiply(usd, PICO)
    whole = int(product)
    return whole if whole == product else int(product.to_integral_value(ROUND_HALF_EVEN))


def from_pico(pico: int) -> Decimal:
    """The amount in USD."""
    return _EXACT.divide(Decimal(pico), PICO)


@lru_cache(1024)
def plain(usd: Decimal) -> str:
    """The amount as people and JSON read it: no exponent, no trailing zeros.

    Remembered, as a call's cost is written in several places; equal amounts are written alike.
    """
    text = str(usd)
    if "E" in text:
        text = f"{usd:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text if text not in {"", "-0"} else "0"
