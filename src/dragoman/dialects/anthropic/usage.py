"""Token counts of this dialect ↔ canonical usage: the cache is left out here and added up there (P125)."""

from __future__ import annotations

from msgspec.structs import replace

from dragoman.core.usage import USUAL_TIERS, Usage, count
from dragoman.dialects.anthropic.wire import Iteration, WireUsage

JsonUsage = dict[str, object]


def read_usage(usage: WireUsage | None, earlier: WireUsage | None = None) -> Usage | None:
    """Canonical counts; None if there is no usage at all.

    Later numbers of a stream replace earlier ones member by member, they do not add to
    them (P126): ``input`` is a sum of three members, hence the earlier ones are needed.
    """
    if usage is None:
        return None
    plain = count(usage.input_tokens)
    read = count(usage.cache_read_input_tokens)
    write = count(usage.cache_creation_input_tokens)
    if earlier is not None:
        plain = count(earlier.input_tokens) if plain is None else plain
        read = count(earlier.cache_read_input_tokens) if read is None else read
        write = count(earlier.cache_creation_input_tokens) if write is None else write
    total = None if plain is None else plain + (read or 0) + (write or 0)
    writes, details, server = (
        usage.cache_creation,
        usage.output_tokens_details,
        usage.server_tool_use,
    )
    counted = Usage(
        input=total,
        cache_read=read,
        cache_write=write,
        cache_write_1h=count(writes.ephemeral_1h_input_tokens) if writes else None,
        output=count(usage.output_tokens),
        reasoning=count(details.thinking_tokens) if details else None,
        web_searches=count(server.web_search_requests) if server else None,
    )
    if usage.inference_geo not in _ANYWHERE:
        counted = replace(counted, tier=_at(usage, usage.inference_geo))
    return _with_compaction(counted, usage.iterations) if usage.iterations else counted


_ANYWHERE = (None, "global", "not_available")


def _at(usage: WireUsage, place: object) -> str:
    """Under what name a place has prices of its own, beside those of a tier."""
    tier = served_in(usage)
    return str(place) if tier is None or tier in USUAL_TIERS else f"{tier} {place}"


def _with_compaction(counted: Usage, iterations: list[Iteration]) -> Usage:
    """Adds the runs that compacted the context: they are billed, and the totals leave them out (P127).

    Runs of another model (an advisor, a fallback) have another price and are not added.
    """
    runs = [run for run in iterations if run.type == "compaction"]
    if not runs:
        return counted

    def more(known: int | None, *names: str) -> int | None:
        extra = sum(count(getattr(run, name)) or 0 for run in runs for name in names)
        return (known or 0) + extra if known is not None or extra else None

    read, write = "cache_read_input_tokens", "cache_creation_input_tokens"
    return replace(
        counted,
        input=more(counted.input, "input_tokens", read, write),
        cache_read=more(counted.cache_read, read),
        cache_write=more(counted.cache_write, write),
        output=more(counted.output, "output_tokens"),
    )


def tier_of(tier: str | None, speed: object) -> str | None:
    """How it was served: ``fast`` has prices of its own, as a tier has, and is told beside it."""
    return "fast" if speed == "fast" else tier


def served_in(usage: WireUsage | None) -> str | None:
    """The service tier that an answer tells."""
    return None if usage is None else tier_of(usage.service_tier, usage.speed)


TOLD = frozenset({"cache_read", "cache_write", "reasoning", "web_searches"})
"""The counts that this dialect has a word for, beside tokens in and out."""


def write_usage(usage: Usage | None, *, tier: str | None = None) -> JsonUsage:
    """The usage of a whole reply: required counts are 0 where they are unknown, others left out."""
    usage = usage or Usage()
    written: JsonUsage = {"input_tokens": usage.uncached or 0}
    written.update(_cache(usage))
    written["output_tokens"] = usage.output or 0
    written.update(_details(usage))
    if tier is not None:
        written["service_tier"] = tier
    return written


def write_delta_usage(usage: Usage | None) -> JsonUsage:
    """The usage of ``message_delta``, with input and cache where they are known (R-XLATE-039)."""
    usage = usage or Usage()
    written: JsonUsage = {}
    if usage.uncached is not None:
        written["input_tokens"] = usage.uncached
    written.update(_cache(usage))
    written["output_tokens"] = usage.output or 0
    written.update(_details(usage))
    return written


def _cache(usage: Usage) -> JsonUsage:
    written: JsonUsage = {}
    if usage.cache_write is not None:
        written["cache_creation_input_tokens"] = usage.cache_write
    if usage.cache_read is not None:
        written["cache_read_input_tokens"] = usage.cache_read
    if usage.cache_write_1h is not None:
        written["cache_creation"] = {
            "ephemeral_5m_input_tokens": max(0, (usage.cache_write or 0) - usage.cache_write_1h),
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        }
    return written


def _details(usage: Usage) -> JsonUsage:
    written: JsonUsage = {}
    if usage.reasoning is not None:
        written["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    if usage.web_searches is not None:
        written["server_tool_use"] = {"web_search_requests": usage.web_searches}
    return written
