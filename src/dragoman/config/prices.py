"""The operator's own prices: `[prices."provider/model"]` of ``dragoman.toml``, read strictly."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from dragoman.config.settings import ConfigError
from dragoman.core.provider import Price

_MONEY = (
    "input",
    "output",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "audio_input",
    "audio_output",
    "image_input",
    "image_output",
    "per_request",
    "per_search",
    "per_image",
    "per_audio_second",
)


def read_prices(tables: Mapping[str, dict[str, Any]]) -> dict[str, Price]:
    """The prices by ``provider/model``.

    Raises:
        ConfigError: a member is unknown, or no number.
    """
    return {name: _price(row, name) for name, row in tables.items()}


def _price(row: dict[str, Any], name: str) -> Price:
    usual = _of_tier({member: said for member, said in row.items() if member != "tiers"}, name)
    tiers = row.get("tiers")
    if tiers is None:
        return usual
    if not isinstance(tiers, dict) or not all(isinstance(said, dict) for said in tiers.values()):
        raise ConfigError(f"[prices.{name!r}.tiers]: a table for each service tier.")
    since = {"effective_from": usual.effective_from}
    said = {
        tier.lower(): _of_tier(since | one, f"{name}.tiers.{tier}") for tier, one in tiers.items()
    }
    return replace(usual, tiers=said)


def _of_tier(row: dict[str, Any], name: str) -> Price:
    known = (*_MONEY, "effective_from")
    unknown = [member for member in row if member not in known]
    if unknown:
        raise ConfigError(f"[prices.{name!r}]: unknown member {unknown[0]!r}; known: {known}.")
    try:
        money = {member: Decimal(str(row[member])) for member in _MONEY if member in row}
    except ArithmeticError:
        raise ConfigError(f"[prices.{name!r}]: prices are numbers as strings.") from None
    return replace(
        Price(source="dragoman.toml", effective_from=str(row.get("effective_from", ""))), **money
    )
