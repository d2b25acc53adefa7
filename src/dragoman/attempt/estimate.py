"""Counting tokens for a provider that has no counter: bytes of the rendered request / 4 (D38).

The figure is labelled, is no number of the ledger, and costs nothing. It fetches nothing, either: a
medium at an address that would have to be fetched counts a flat figure.
"""

from __future__ import annotations

from functools import partial

from dragoman.attempt.aside import aside
from dragoman.attempt.embody import addresses_in, with_bytes
from dragoman.attempt.ports import Fetched, MediaKind
from dragoman.core.ask import Ask
from dragoman.core.call import Head
from dragoman.core.errors import UpstreamError
from dragoman.core.provider import Candidate, Family
from dragoman.core.request import Request
from dragoman.dialects.anthropic import estimate_tokens
from dragoman.dialects.base import Embodied, Target
from dragoman.dialects.registry import COUNTERS, DIALECTS, counter_of

PER_MEDIUM = 1000
"""Tokens that a medium at an address counts: what a picture of a million pixels takes, by and large."""

_STAND_INS: dict[MediaKind, str] = {
    "image": "image/png",
    "audio": "audio/wav",
    "video": "video/mp4",
    "document": "text/plain",
}
"""As what each kind is written where its bytes would stand: a few of them, to be counted with the words."""

_NOT_FOUND = 404
_NOT_SERVED = (405, 501)


def has_counter(candidate: Candidate) -> bool:
    """Whether the provider itself counts tokens."""
    provider = candidate.provider
    counter = COUNTERS.get(provider.family)
    return (
        "count_tokens" in provider.paths
        and counter is not None
        and counter.write_request is not None
    )


def lacks_counter(error: UpstreamError, candidate: Candidate, dialect: Family) -> bool:
    """Whether a provider that should count says that it does not.

    Other people's servers stand at a provider's address, too, and serve less than it does. Who
    speaks the provider's own dialect gets its own answer.
    """
    if candidate.provider.family == dialect or error.code == "model_not_found":
        return False
    if error.upstream_status == _NOT_FOUND:
        # Not every family's error tells a missing path from a missing model.
        return candidate.known or error.code is not None
    return error.upstream_status in _NOT_SERVED


async def estimate(ask: Ask, candidate: Candidate, dialect: Family) -> Head:
    """The answer to a count of tokens without asking anybody, in the caller's dialect.

    Raises:
        CallerError: the request cannot be read, or not be said to the candidate.
    """
    return await aside(len(ask.body), partial(_count, ask, candidate, dialect))


def _count(ask: Ask, candidate: Candidate, dialect: Family) -> Head:
    counter = counter_of(dialect)
    request = counter.read_request(ask.body)
    provider = candidate.provider
    target = Target(provider.name, candidate.model, provider.quirks, candidate.capability)
    dialect_there = DIALECTS[provider.family]
    media = 0
    if dialect_there.embodied is not None:
        request, media = _without_addresses(request, dialect_there.embodied)
    written = dialect_there.write_request(request, target)
    number = estimate_tokens(written.body) + media * PER_MEDIUM
    return Head(200, "application/json", counter.write_response(number))


def _without_addresses(request: Request, rules: Embodied) -> tuple[Request, int]:
    """The request with stand-ins for what would have to be fetched, and how many there are."""
    wanted = addresses_in(request, rules)
    stand_ins = {each.url: Fetched(each.kind, _STAND_INS[each.kind], "ICAg") for each in wanted}
    return with_bytes(request, rules, stand_ins).request or request, len(wanted)
