"""A span of time in a query, and sums over it as they are shown."""

from __future__ import annotations

from typing import Any

import msgspec
from pydantic import BaseModel, Field

from dragoman.accounting.ports import Sums
from dragoman.accounting.report import parse_moment, totals
from dragoman.core.errors import invalid


class EstimatedShown(BaseModel):
    """Sums of numbers that nobody reported."""

    requests: int
    input_tokens: int
    output_tokens: int
    cost_usd: str | None


class SumsShown(BaseModel):
    """Sums over calls; amounts are decimal strings, null where no part is known."""

    requests: int
    failed_requests: int
    input_tokens: int
    output_tokens: int
    total_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_usd: str | None
    charged_usd: str | None = Field(description="What tenants are charged for it")
    estimated: EstimatedShown
    unknown_usage: int = Field(description="Calls of which nobody told the tokens")
    unknown_cost: int
    other_cost_usd: str = Field(description="What tries have cost that served nobody")
    audio_input_tokens: int
    audio_output_tokens: int
    image_input_tokens: int
    image_output_tokens: int
    web_searches: int
    images: int = Field(description="Pictures that were made")
    audio_seconds: int


def sums_shown(sums: Sums) -> dict[str, Any]:
    """The members of ``SumsShown``."""
    found: dict[str, Any] = msgspec.to_builtins(totals(sums))
    return found


def span(since: str | None, until: str | None) -> tuple[int | None, int | None]:
    """Unix microseconds of both ends.

    Raises:
        CallerError: one is no moment, or they are the wrong way round.
    """
    first, last = (parse_moment(name, text) for name, text in (("since", since), ("until", until)))
    if first is not None and last is not None and first > last:
        raise invalid("since is later than until; swap them.", "since", "invalid_field_value")
    return first, last
