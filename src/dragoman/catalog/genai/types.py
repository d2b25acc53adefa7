"""The words of ``genai_prices.types`` as plain records: what ``data.py`` is written in.

Names and members are that package's; only what is read in ``models.py`` is kept.
"""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal
from typing import TypeAlias

from msgspec import Struct

__all__ = (
    "ArrayMatch",
    "ClauseAnd",
    "ClauseContains",
    "ClauseEndsWith",
    "ClauseEquals",
    "ClauseOr",
    "ClauseRegex",
    "ClauseStartsWith",
    "ConditionalPrice",
    "ModelInfo",
    "ModelPrice",
    "PriceVariant",
    "Provider",
    "StartDateConstraint",
    "Tier",
    "TieredPrices",
    "TimeOfDateConstraint",
    "UsageExtractor",
    "UsageExtractorMapping",
)


class ClauseStartsWith(Struct):
    """Ids that begin so."""

    starts_with: str


class ClauseEndsWith(Struct):
    """Ids that end so."""

    ends_with: str


class ClauseContains(Struct):
    """Ids that hold this."""

    contains: str


class ClauseRegex(Struct):
    """Ids that match."""

    regex: str


class ClauseEquals(Struct):
    """One id."""

    equals: str


class ClauseOr(Struct):
    """Any of several."""

    or_: list[Clause]


class ClauseAnd(Struct):
    """All of several."""

    and_: list[Clause]


Clause: TypeAlias = (
    ClauseStartsWith
    | ClauseEndsWith
    | ClauseContains
    | ClauseRegex
    | ClauseEquals
    | ClauseOr
    | ClauseAnd
)


class Tier(Struct):
    """A price from a number of input tokens on."""

    start: int
    price: Decimal


class TieredPrices(Struct):
    """A price that depends on the number of input tokens; the tier reached holds for all tokens."""

    base: Decimal
    tiers: list[Tier]


class ModelPrice:
    """Prices by the name of their unit (``input_mtok``)."""

    def __init__(self, **prices: Decimal | TieredPrices | None) -> None:
        self.prices = prices


class StartDateConstraint(Struct):
    """From a day on, UTC."""

    start_date: date


class TimeOfDateConstraint(Struct):
    """Between two times of the day."""

    start_time: time
    end_time: time


class ConditionalPrice(Struct):
    """Prices and when they hold; of several the last that holds counts."""

    prices: ModelPrice
    constraint: StartDateConstraint | TimeOfDateConstraint | None = None


class PriceVariant(Struct):
    """Other prices for a service tier or a batch."""

    when: dict[str, str]
    prices: ModelPrice
    constraint: StartDateConstraint | TimeOfDateConstraint | None = None


class ModelInfo(Struct, kw_only=True):
    """One model of a provider."""

    id: str
    match: Clause
    prices: ModelPrice | list[ConditionalPrice] = []
    name: str | None = None
    description: str | None = None
    context_window: int | None = None
    price_comments: str | None = None
    deprecated: bool | None = None
    price_variants: list[PriceVariant] | None = None


class Provider(Struct, kw_only=True):
    """One provider and its models."""

    id: str
    name: str
    api_pattern: str
    pricing_urls: list[str] | None = None
    description: str | None = None
    price_comments: str | None = None
    model_match: Clause | None = None
    provider_match: Clause | None = None
    extractors: object = None
    fallback_model_providers: list[str] | None = None
    models: list[ModelInfo] = []


class _Unread:
    """How usage is found in replies: our own dialects know that."""

    def __init__(self, **_: object) -> None: ...


class UsageExtractor(_Unread):
    """How to find usage in a reply."""


class UsageExtractorMapping(_Unread):
    """One number of it."""


class ArrayMatch(_Unread):
    """Where in a list it stands."""
