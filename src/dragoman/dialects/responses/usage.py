"""Token counts of this dialect ↔ canonical usage (`dialects.md` §3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Raw, Struct

from dragoman.core.money import plain
from dragoman.core.usage import Usage, count
from dragoman.dialects.told_cost import ABSENT, told_cost


class _Input(Struct, frozen=True, gc=False):
    cached_tokens: Any = None
    cache_write_tokens: Any = None
    audio_tokens: Any = None
    image_tokens: Any = None


class _Output(Struct, frozen=True, gc=False):
    reasoning_tokens: Any = None
    audio_tokens: Any = None
    image_tokens: Any = None


class WireUsage(Struct, frozen=True, gc=False):
    """``usage`` of a response; numbers are checked by ``core.usage.count`` (M11)."""

    input_tokens: Any = None
    input_tokens_details: _Input | None = None
    output_tokens: Any = None
    output_tokens_details: _Output | None = None
    total_tokens: Any = None
    cost: Raw = ABSENT
    cost_in_usd_ticks: Any = None
    cost_details: Raw = ABSENT
    is_byok: Any = None


def read_usage(wire: WireUsage | None, made_by_tools: Sequence[str] = ()) -> Usage | None:
    """Canonical counts; None if there is no usage at all.

    What tools of the provider have made is billed beside the tokens and not counted in them: it is told by
    the kinds of the reply's items.
    """
    if wire is None:
        return None
    given, made = wire.input_tokens_details or _Input(), wire.output_tokens_details or _Output()
    return Usage(
        input=count(wire.input_tokens),
        cache_read=count(given.cached_tokens),
        cache_write=count(given.cache_write_tokens),
        output=count(wire.output_tokens),
        reasoning=count(made.reasoning_tokens),
        audio_input=count(given.audio_tokens),
        audio_output=count(made.audio_tokens),
        total=count(wire.total_tokens),
        web_searches=made_by_tools.count("web_search_call") or None,
        cost=told_cost(wire.cost, wire.cost_in_usd_ticks, wire.is_byok, wire.cost_details),
        image_input=count(given.image_tokens),
        image_output=count(made.image_tokens),
        images=made_by_tools.count("image_generation_call") or None,
    )


TOLD = frozenset({"cache_read", "cache_write", "reasoning"})
"""The counts that this dialect has a word for, beside tokens in and out."""


def write_usage(usage: Usage | None) -> dict[str, object]:
    """The counts: OpenAI's own client requires each of them, hence the unknown are 0 (P146)."""
    usage = usage or Usage()
    given, made = usage.input or 0, usage.output or 0
    total = usage.total if usage.total is not None else given + (usage.billed_output or 0)
    details = {
        "cached_tokens": usage.cache_read or 0,
        "cache_write_tokens": usage.cache_write or 0,
    }
    wire: dict[str, object] = {
        "input_tokens": given,
        "input_tokens_details": details,
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
        "total_tokens": total,
    }
    if usage.cost is not None:
        wire["cost"] = Raw(plain(usage.cost).encode())
    return wire
