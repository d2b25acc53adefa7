"""Chat's ``usage`` in both directions (`dialects.md` §3.2, usage mapping)."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from msgspec import Raw

from dragoman.core.money import plain
from dragoman.core.usage import Usage, are_counts, count
from dragoman.dialects.chat.reply_wire import ReplyWire, TokenDetails, UsageWire
from dragoman.dialects.told_cost import ABSENT, told_cost

_NONE = TokenDetails()


def usage_of(reply: ReplyWire) -> Usage | None:
    """What a chunk or a reply says of usage, wherever it says it (P130)."""
    if reply.usage is not None:
        return read_usage(reply.usage)
    if reply.x_groq is not None and reply.x_groq.usage is not None:
        return read_usage(reply.x_groq.usage)
    return None


def read_usage(wire: UsageWire) -> Usage:
    """The counts in canonical form; 0 and unknown are what they are and need no ``count``."""
    prompt = wire.prompt_tokens_details or _NONE
    completion = wire.completion_tokens_details or _NONE
    read, written = prompt.cached_tokens, prompt.cache_write_tokens
    if read is None:
        read = _first(
            wire.prompt_cache_hit_tokens, wire.num_cached_tokens, wire.cache_read_input_tokens
        )
    if written is None:
        written = wire.cache_creation_input_tokens
    reasoning = completion.reasoning_tokens
    if reasoning is None:
        reasoning = wire.reasoning_tokens
    counts: tuple[int | None, ...] = (
        wire.prompt_tokens,
        wire.completion_tokens,
        wire.total_tokens,
        read,
        written,
        reasoning,
        prompt.audio_tokens,
        completion.audio_tokens,
        completion.accepted_prediction_tokens,
        completion.rejected_prediction_tokens,
        prompt.image_tokens,
        completion.image_tokens,
    )
    if not are_counts(counts):
        counts = tuple([each and count(each) for each in counts])
    given, output, total, read, written, reasoning, sound, spoken, accepted, rejected, *images = (
        counts
    )
    seconds = wire.prompt_audio_seconds
    if seconds and sound and given is not None and total == given + sound + (output or 0):
        given += sound  # Mistral counts them beside the others
    return Usage(
        input=given,
        cache_read=read,
        cache_write=written,
        output=output,
        apart=_apart(given, output, reasoning, total) if reasoning else None,
        reasoning=reasoning,
        audio_input=sound,
        audio_output=spoken,
        accepted_prediction=accepted,
        rejected_prediction=rejected,
        total=total,
        cost=_cost(wire),
        image_input=images[0],
        image_output=images[1],
        audio_seconds=seconds and count(seconds),
    )


def _cost(wire: UsageWire) -> Decimal | None:
    if wire.cost is ABSENT and wire.cost_in_usd_ticks is None:
        return None
    return told_cost(wire.cost, wire.cost_in_usd_ticks, wire.is_byok, wire.cost_details)


def _first(*values: int | None) -> int | None:
    for value in values:
        if value is not None:
            return value
    return None


def _apart(given: int | None, output: int | None, reasoning: int, total: int | None) -> int | None:
    """Reasoning that ``completion_tokens`` leaves out, as xAI does: the total gives it away."""
    if given is None or output is None or total is None:
        return None
    return reasoning if total == given + output + reasoning else None


TOLD = frozenset(
    {
        "cache_read",
        "cache_write",
        "reasoning",
        "audio_input",
        "audio_output",
        "accepted_prediction",
        "rejected_prediction",
    }
)
"""The counts that this dialect has a word for, beside tokens in and out."""


def write_usage(usage: Usage) -> dict[str, object]:
    """The counts in OpenAI's shape: unknown numbers that it requires are 0, others are left out."""
    given, output = usage.input or 0, usage.output or 0
    total = usage.total if usage.total is not None else given + (usage.billed_output or 0)
    wire: dict[str, object] = {
        "prompt_tokens": given,
        "completion_tokens": output,
        "total_tokens": total,
    }
    prompt: dict[str, int] = {}
    if usage.cache_read is not None:
        prompt["cached_tokens"] = usage.cache_read
    if usage.cache_write is not None:
        prompt["cache_write_tokens"] = usage.cache_write
    if usage.audio_input is not None:
        prompt["audio_tokens"] = usage.audio_input
    if usage.image_input is not None:
        prompt["image_tokens"] = usage.image_input
    if prompt:
        wire["prompt_tokens_details"] = prompt
    completion: dict[str, int] = {}
    if usage.reasoning is not None:
        completion["reasoning_tokens"] = usage.reasoning
    if usage.audio_output is not None:
        completion["audio_tokens"] = usage.audio_output
    if usage.image_output is not None:
        completion["image_tokens"] = usage.image_output
    if usage.accepted_prediction is not None:
        completion["accepted_prediction_tokens"] = usage.accepted_prediction
    if usage.rejected_prediction is not None:
        completion["rejected_prediction_tokens"] = usage.rejected_prediction
    if completion:
        wire["completion_tokens_details"] = completion
    if usage.cost is not None:
        wire["cost"] = Raw(plain(usage.cost).encode())
    return wire


def with_cost(usage: Raw, cost: str) -> bytes:
    """A raw ``usage`` object with its cost as a JSON number; one that is there stays (P132)."""
    members = msgspec.json.decode(usage, type=dict[str, Raw])
    members.setdefault("cost", Raw(cost.encode()))
    return msgspec.json.encode(members)
