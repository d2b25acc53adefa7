"""The spans of a call that is over: itself, each try, each fetch; written from what its outcome says anyway.

So nothing is done for a trace while the call is under way. There is no word of a prompt or an answer here;
what callers choose (models' names, ids) is cut.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import Raw

from dragoman.core.call import NO_FAILURE, Attempt, Call, Fetching, Outcome
from dragoman.core.money import plain
from dragoman.core.trace import read_tracestate, span_of
from dragoman.core.usage import Usage
from dragoman.telemetry.gen_ai import finish_word, operation_of, provider_word
from dragoman.telemetry.otlp import Value, attribute, attributes, beginning, count, span

Addresses = Callable[[str], str | None]
"""A provider's base URL."""

NS = 1_000_000_000
LONGEST = 200
"""Characters of what callers choose."""
_NUMBERS = {
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens",
    "max_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "seed": "gen_ai.request.seed",
    "n": "gen_ai.request.choice.count",
}
_ASKED = frozenset(_NUMBERS)
"""Members of a request that are told of."""
_WHOLE = frozenset(
    {"gen_ai.request.max_tokens", "gen_ai.request.seed", "gen_ai.request.choice.count"}
)
_MOST = 2**53
_FIGURES = 32
"""Bytes of a number that are looked at."""
_NUMBER = msgspec.json.Decoder(int | float)
_UUID = 36
CALL_ID = beginning("dragoman.call_id", _UUID)
"""A call's id, up to its text."""


def spans_of(call: Call, duration_s: float, addresses: Addresses) -> list[bytes]:
    """All spans of a call whose tries have ended, encoded; its own is the first."""
    own = span_of(call.id)
    found = [_entry(call, duration_s, own)]
    found += tries_of(call, addresses)
    found += [_fetching(call, each, own) for each in call.fetches]
    return found


def tries_of(call: Call, addresses: Addresses) -> list[bytes]:
    """The spans of a call's tries alone."""
    own, outcome = span_of(call.id), call.outcome
    operation = operation_of(call)
    found: list[bytes] = []
    before: Attempt | None = None
    numbers = numbers_of(call.asked) if call.asked else b""
    for attempt in outcome.attempts:
        found.append(
            _try(call, attempt, own, operation, numbers, addresses, _cause(attempt, before))
        )
        before = attempt
    return found


def _cause(attempt: Attempt, before: Attempt | None) -> str:
    """Why there was this try."""
    if before is None:
        return "first"
    if before.duration_s is None or attempt.started < before.started + before.duration_s:
        return "hedge"
    same = (attempt.provider, attempt.model) == (before.provider, before.model)
    return "retry" if same else "fallback"


def _entry(call: Call, duration_s: float, own: str) -> bytes:
    start = int(call.wall * NS)
    return span(
        call.trace_id,
        own,
        call.parent_id,
        f"{call.method} {call.route}",
        "server",
        start,
        start + int(duration_s * NS),
        (
            said_alike(call),
            CALL_ID + call.id.encode()
            if len(call.id) == _UUID
            else attribute("dragoman.call_id", call.id),
            said_apart(call),
        ),
        failed=has_failed(call.outcome),
        is_entry=True,
        state=read_tracestate(call.headers) if call.parent_id else "",
    )


def said_alike(call: Call) -> bytes:
    """What a call's own span says as those of many calls do."""
    outcome, caller = call.outcome, call.caller
    return _call_block(
        call.method,
        call.route,
        operation_of(call),
        outcome.http_status,
        outcome.error_code,
        outcome.requested_model[:LONGEST],
        outcome.stream,
        caller.tenant if caller else None,
        caller.key_id if caller else None,
        outcome.status,
        len(outcome.attempts),
        outcome.cache,
    )


def said_apart(call: Call) -> bytes:
    """What only some calls say."""
    outcome, said = call.outcome, b""
    if "x-request-id" in call.headers:
        said = attribute("dragoman.request_id", call.request_id)
    if outcome.origin is not None:
        said += attribute("dragoman.replay_of", outcome.origin.call_id)
    return said


def has_failed(outcome: Outcome) -> bool:
    """Whether a call's own span is one of an error."""
    return outcome.http_status >= 500 or outcome.status in _BROKEN


_BROKEN = frozenset({"upstream_cut", "timeout", "house_error", "upstream_error"})


@lru_cache(maxsize=2048)
def _call_block(
    method: str,
    route: str,
    operation: str,
    status: int,
    error: str | None,
    requested: str,
    stream: bool,  # noqa: FBT001  the key of a cache
    tenant: str | None,
    key_id: str | None,
    word: str,
    attempts: int,
    cache: str | None,
) -> bytes:
    """What many calls say alike."""
    return attributes(
        {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status or None,
            "gen_ai.operation.name": operation,
            "gen_ai.request.model": requested or None,
            "gen_ai.request.stream": stream or None,
            "error.type": error,
            "dragoman.status": word,
            "dragoman.attempts": attempts,
            "dragoman.tenant": tenant,
            "dragoman.key_id": key_id,
            "dragoman.cache": cache,
        }
    )


def _try(
    call: Call,
    attempt: Attempt,
    own: str,
    operation: str,
    numbers: bytes,
    addresses: Addresses,
    cause: str,
) -> bytes:
    said = [
        try_said(addresses(attempt.provider), *words_of(call, attempt, operation, cause)),
        numbers,
    ]
    if attempt.usage is not None:
        said.append(usage_said(attempt.usage))
    if attempt.upstream_id:
        said.append(attribute("gen_ai.response.id", attempt.upstream_id[:LONGEST]))
    if call.outcome.stream and attempt.first_event_s is not None:
        said.append(attribute("gen_ai.response.time_to_first_chunk", attempt.first_event_s))
    if attempt.cost is not None:
        said.append(cost_said(attempt.cost))
    start = int(attempt.wall * NS)
    return span(
        call.trace_id,
        span_of(attempt.id),
        own,
        f"{operation} {attempt.model[:LONGEST]}",
        "client",
        start,
        start + int((attempt.duration_s or 0.0) * NS),
        said,
        failed=attempt.status not in NO_FAILURE,
    )


Words: TypeAlias = tuple[
    str, str, str | None, str, bool, str | None, str, int | None, str | None, str, str, int
]
"""What a try says as many do, but for the address of its provider."""


def words_of(call: Call, attempt: Attempt, operation: str, cause: str) -> Words:
    """Those of a try."""
    finish, error = attempt.finish, None
    if attempt.status not in NO_FAILURE:
        error = attempt.error_code or attempt.error_kind or attempt.status
    return (
        attempt.provider,
        attempt.model[:LONGEST],
        None if attempt.answered is None else attempt.answered[:LONGEST],
        operation,
        call.outcome.stream,
        None if finish is None else finish.reason,
        attempt.status,
        attempt.upstream_status,
        error,
        cause,
        attempt.cost_from,
        attempt.number,
    )


@lru_cache(maxsize=4096)
def try_said(
    address: str | None,
    provider: str,
    model: str,
    answered: str | None,
    operation: str,
    stream: bool,  # noqa: FBT001  the key of a cache
    finish: str | None,
    status: str,
    upstream_status: int | None,
    error: str | None,
    cause: str,
    cost_from: str,
    number: int,
) -> bytes:
    """What many tries say alike."""
    host, port = _host_of(address)
    return attributes(
        {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": provider_word(provider),
            "gen_ai.request.model": model,
            "gen_ai.request.stream": stream or None,
            "gen_ai.response.model": answered or None,
            "gen_ai.response.finish_reasons": None if finish is None else [finish_word(finish)],
            "server.address": host,
            "server.port": port,
            "http.response.status_code": upstream_status,
            "error.type": error,
            "dragoman.provider": provider,
            "dragoman.attempt.status": status,
            "dragoman.attempt.cause": cause,
            "dragoman.attempt.number": number,
            "dragoman.cost_from": cost_from,
        }
    )


@lru_cache(maxsize=1024)
def cost_said(usd: Decimal) -> bytes:
    """What it cost."""
    return attribute("dragoman.cost_usd", plain(usd))


@lru_cache(maxsize=1024)
def usage_said(usage: Usage) -> bytes:
    """Tokens; short calls are often of the same size."""
    numbers = (
        usage.input,
        usage.billed_output,
        usage.cache_read,
        usage.cache_write,
        usage.reasoning,
    )
    told = zip(_USED, numbers, strict=True)
    return b"".join([count(name, number) for name, number in told if number is not None])


_USED = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.reasoning.output_tokens",
)


def _host_of(address: str | None) -> tuple[str | None, int | None]:
    """A provider's host and port; of an address no user, path or query is told."""
    if address is None:
        return None, None
    try:
        parts = urlsplit(address)
        return parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None, None


def _fetching(call: Call, each: Fetching, own: str) -> bytes:
    start = int(each.wall * NS)
    members: dict[str, Value | None] = {
        "dragoman.fetch.items": each.items,
        "dragoman.fetch.bytes": each.size,
        "error.type": each.error,
    }
    return span(
        call.trace_id,
        span_of(each.id),
        own,
        "fetch",
        "client",
        start,
        start + int(each.duration_s * NS),
        (attributes(members),),
        failed=each.error is not None,
    )


def told_of(members: dict[str, Raw] | None) -> dict[str, Raw]:
    """What a span tells of a request, without holding all of the request."""
    if members is None:
        return {}
    return {name: Raw(bytes(members[name])[:_FIGURES]) for name in _ASKED.intersection(members)}


def numbers_of(members: dict[str, Raw]) -> bytes:
    """The few numbers that a request sets at its top level; words are nobody's business."""
    found = b""
    for member in _ASKED.intersection(members):
        found += _number(member, bytes(members[member])[:_FIGURES])
    return found


@lru_cache(maxsize=1024)
def _number(member: str, raw: bytes) -> bytes:
    name = _NUMBERS[member]
    try:
        value = _NUMBER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return b""
    if not -_MOST <= value <= _MOST:
        return b""
    return attribute(name, int(value) if name in _WHOLE else float(value))
