"""Counting tokens for a provider that has no counter: bytes of the rendered request / 4 (D38).

The figure is labelled, is no number of the ledger, and costs nothing.
"""

from __future__ import annotations

import asyncio

from dragoman.attempt.policy import LARGE
from dragoman.core.ask import Ask
from dragoman.core.call import Head
from dragoman.core.provider import Candidate
from dragoman.dialects.anthropic import estimate_tokens, read_count_request, write_count
from dragoman.dialects.base import Target
from dragoman.dialects.registry import DIALECTS


def has_counter(candidate: Candidate) -> bool:
    """Whether the provider itself counts tokens."""
    return "count_tokens" in candidate.provider.paths and candidate.provider.family == "anthropic"


async def estimate(ask: Ask, candidate: Candidate) -> Head:
    """The answer to a count of tokens without asking anybody.

    Raises:
        CallerError: the request cannot be read, or not be said to the candidate.
    """
    if len(ask.body) > LARGE:
        return await asyncio.to_thread(_count, ask, candidate)
    return _count(ask, candidate)


def _count(ask: Ask, candidate: Candidate) -> Head:
    request = read_count_request(ask.body)
    provider = candidate.provider
    target = Target(provider.name, candidate.model, provider.quirks, candidate.capability)
    written = DIALECTS[provider.family].write_request(request, target)
    return Head(200, "application/json", write_count(estimate_tokens(written.body)))
