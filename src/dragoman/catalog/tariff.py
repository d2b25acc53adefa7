"""From prices by unit, as genai-prices lists them, to one ``Price``; nothing is left out unsaid.

A model that also charges by something that no reply counts for us (images, hours, pages) has no
price here, for its cost could only be told wrongly.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeAlias

import msgspec

from dragoman.core.provider import Price

Units: TypeAlias = dict[str, Any]
"""Unit → Decimal, or a record of ``base`` and ``tiers``."""

_MEMBER = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "audio_input",
    "output_audio_mtok": "audio_output",
    "input_image_mtok": "image_input",
    "output_image_mtok": "image_output",
}
_THOUSANDS = {"requests_kcount": "per_request", "web_searches_kcount": "per_search"}
_NEVER_SHOWN = frozenset(
    {"storage_searches_kcount", "cache_audio_read_mtok", "cache_image_read_mtok"}
)
"""Charged beside the tokens; ``cost_of`` knows what it cannot tell because of them."""


def price_of(units: Mapping[str, Any], source: str, effective_from: str) -> Price | None:
    """The price, with its tiers; None where a unit is not one that we can count."""
    if not units or not units.keys() <= _MEMBER.keys() | _THOUSANDS.keys() | _NEVER_SHOWN:
        return None
    starts = sorted({tier.start for value in units.values() for tier in _tiers(value)})
    above = tuple((start, _flat(units, start, source, effective_from)) for start in starts)
    flat = _flat(units, None, source, effective_from)
    if not above:
        return flat
    return msgspec.structs.replace(flat, above=above)


def _flat(
    units: Mapping[str, Any], reached: int | None, source: str, effective_from: str
) -> Price:
    members: dict[str, Decimal] = {}
    for unit, value in units.items():
        amount = _at(value, reached)
        if unit in _MEMBER:
            members[_MEMBER[unit]] = amount
        elif unit in _THOUSANDS:
            members[_THOUSANDS[unit]] = amount / 1000
    return msgspec.structs.replace(Price(source=source, effective_from=effective_from), **members)


def _tiers(value: Any) -> list[Any]:
    return [] if isinstance(value, Decimal) else list(value.tiers)


def _at(value: Any, reached: int | None) -> Decimal:
    """The amount of the highest tier that begins at ``reached`` or before."""
    amount: Decimal = value if isinstance(value, Decimal) else value.base
    if reached is None:
        return amount
    for tier in sorted(_tiers(value), key=lambda item: item.start):
        if tier.start <= reached:
            amount = tier.price
    return amount


def times(price: Price, factor: Decimal) -> Price:
    """The price with its tokens so much dearer; what is charged by the piece stays as it is."""
    dearer = {
        member: factor * said
        for member in _MEMBER.values()
        if (said := getattr(price, member)) is not None
    }
    above = tuple((start, times(step, factor)) for start, step in price.above)
    return msgspec.structs.replace(price, above=above, **dearer)
