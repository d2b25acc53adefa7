"""What an answer says beside its words and the caller's dialect has no word for, as losses (D6).

Counts of zero and the usual service tier say nothing, so that nothing is lost with them.
"""

from __future__ import annotations

from collections.abc import Container
from functools import cache

import msgspec
from msgspec import Raw

from dragoman.core.loss import Loss
from dragoman.core.response import Finish
from dragoman.core.usage import USUAL_TIERS, Usage

_COUNTS = (
    "cache_read",
    "cache_write",
    "reasoning",
    "audio_input",
    "audio_output",
    "accepted_prediction",
    "rejected_prediction",
    "web_searches",
)


@cache
def _untold(told: frozenset[str]) -> tuple[str, ...]:
    return tuple(name for name in _COUNTS if name not in told)


def usage_losses(usage: Usage | None, told: frozenset[str]) -> list[Loss]:
    """The counts that are not among ``told``; tokens in and out every dialect tells."""
    if usage is None:
        return []
    return [
        Loss(f"usage.{name}", "not_in_dialect") for name in _untold(told) if getattr(usage, name)
    ]


def tier_losses(tier: str | None, told: Container[str] = ()) -> list[Loss]:
    """A service tier that is neither usual nor among ``told``."""
    if tier is None or tier in USUAL_TIERS or tier in told:
        return []
    return [Loss("service_tier", "not_in_dialect")]


def stop_losses(finish: Finish, at: str) -> list[Loss]:
    """Which stop sequence was met, where a dialect only says that the answer is over."""
    return [] if finish.stop_sequence is None else [Loss(f"{at}.stop_sequence", "not_in_dialect")]


def logprob_losses(logprobs: Raw | bytes | None) -> list[Loss]:
    """Log probabilities in OpenAI's shape, for a dialect that has none; some servers send empty ones."""
    if logprobs is None:
        return []
    try:
        told = msgspec.json.decode(logprobs)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        told = logprobs
    says = any(told.values()) if isinstance(told, dict) else bool(told)
    return [Loss("logprobs", "not_in_dialect")] if says else []
