"""Chat's ``usage`` in both directions (`dialects.md` §3.2, usage mapping)."""

from __future__ import annotations

from decimal import Decimal
from operator import itemgetter
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import astuple, replace

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


def read_usage(wire: UsageWire, *, checked: bool = False) -> Usage:
    """The counts in canonical form; ``checked``: each of them is known to be one that may be charged."""
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
    # By position, as names cost three times as much; those between are told elsewhere or never.
    usage = Usage(
        wire.prompt_tokens,
        read,
        written,
        None,
        wire.completion_tokens,
        None,
        reasoning,
        prompt.audio_tokens,
        completion.audio_tokens,
        completion.accepted_prediction_tokens,
        completion.rejected_prediction_tokens,
        wire.total_tokens,
        None,
        None,
        prompt.image_tokens,
        completion.image_tokens,
    )
    if not (checked or are_counts(counts := astuple(usage))):
        told: list[Any] = [each and count(each) for each in counts]
        usage = Usage(*told)
    if (
        reasoning
        or wire.cost is not ABSENT
        or wire.prompt_audio_seconds is not None
        or wire.cost_in_usd_ticks is not None
    ):
        return _with_rarer(usage, wire)
    return usage


def _with_rarer(usage: Usage, wire: UsageWire) -> Usage:
    """What few replies tell beside: reasoning that is apart, seconds of sound, the cost."""
    given, output, sound = usage.input, usage.output, usage.audio_input
    seconds = wire.prompt_audio_seconds
    if seconds and sound and given is not None and usage.total == given + sound + (output or 0):
        given += sound  # Mistral counts them beside the others
    reasoning = usage.reasoning
    return replace(
        usage,
        input=given,
        apart=_apart(given, output, reasoning, usage.total) if reasoning else None,
        cost=_cost(wire),
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


_RARER = itemgetter(
    *[
        place
        for place, name in enumerate(Usage.__struct_fields__)
        if name.startswith(("audio_", "image_")) or name in TOLD | {"cost"}
        if name not in {"cache_read", "cache_write", "audio_seconds"}
    ]
)
_NO_RARER = _RARER(astuple(Usage()))


def write_usage(usage: Usage) -> dict[str, object]:
    """The counts in OpenAI's shape: unknown numbers that it requires are 0, others are left out."""
    given, output, total = usage.input or 0, usage.output or 0, usage.total
    if total is None:
        total = given + (usage.billed_output or 0 if usage.apart else output)
    wire: dict[str, object] = {
        "prompt_tokens": given,
        "completion_tokens": output,
        "total_tokens": total,
    }
    rarer = _RARER(astuple(usage)) != _NO_RARER
    prompt: dict[str, int] = {}
    if usage.cache_read is not None:
        prompt["cached_tokens"] = usage.cache_read
    if usage.cache_write is not None:
        prompt["cache_write_tokens"] = usage.cache_write
    if rarer:
        if usage.audio_input is not None:
            prompt["audio_tokens"] = usage.audio_input
        if usage.image_input is not None:
            prompt["image_tokens"] = usage.image_input
    if prompt:
        wire["prompt_tokens_details"] = prompt
    if rarer:
        _write_rarer(wire, usage)
    return wire


def _write_rarer(wire: dict[str, object], usage: Usage) -> None:
    """What few replies tell of their output, and their cost."""
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


def with_cost(usage: Raw, cost: str) -> bytes:
    """A raw ``usage`` object with its cost as a JSON number; one that is there stays (P132)."""
    members = msgspec.json.decode(usage, type=dict[str, Raw])
    members.setdefault("cost", Raw(cost.encode()))
    return msgspec.json.encode(members)
