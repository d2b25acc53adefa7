"""The headers of an answer, and an error as an answer, each in one place."""

from __future__ import annotations

import math
import time
from functools import lru_cache

from dragoman.admission.headers import limit_lines
from dragoman.core.call import UNLIMITED, Call, Origin
from dragoman.core.errors import (
    INFRASTRUCTURE,
    GatewayError,
    HouseError,
    code_of,
    retries_spent,
)
from dragoman.core.loss import header as losses_header
from dragoman.core.money import plain
from dragoman.core.provider import Family
from dragoman.core.timing import shares_of
from dragoman.dialects.base import ErrorContext, ErrorReply
from dragoman.dialects.registry import DIALECTS

Headers = list[tuple[bytes, bytes]]

_ALWAYS = (
    "x-content-type-options: nosniff",
    "cache-control: no-store",
    # Text of a model is data: opened in a browser it runs nothing, and stands in nobody's frame.
    "content-security-policy: default-src 'none'; frame-ancestors 'none'",
)
_STREAM = (
    "x-content-type-options: nosniff",
    "cache-control: no-cache, no-transform",
    "x-accel-buffering: no",
)


def answer_headers(
    call: Call,
    content_type: str,
    length: int | None,
    now: float,
    extra: dict[str, str] | None = None,
) -> Headers:
    """``answer_lines`` as ASGI wants them."""
    lines = answer_lines(call, content_type, length, now, extra)
    return as_headers(lines)


def as_headers(lines: list[str]) -> Headers:
    """Lines as pairs of bytes."""
    pairs = (line.encode("latin-1").partition(b": ") for line in lines)
    return [(name, value) for name, _, value in pairs]


def answer_lines(
    call: Call,
    content_type: str,
    length: int | None,
    now: float,
    extra: dict[str, str] | None = None,
) -> list[str]:
    """Everything that is told beside the body (R-ADD-030 and the ``x-dragoman-*`` family), ``name: value``.

    Args:
        call: with its outcome so far.
        content_type: of the body.
        length: of the body in bytes, None for a stream.
        now: monotonic seconds.
        extra: further headers.
    """
    outcome = call.outcome
    request_id = call.request_id
    found = [
        *(_STREAM if length is None else _ALWAYS),
        f"content-type: {content_type}",
        f"x-request-id: {request_id}",
        f"x-trace-id: {call.trace_id}",
        f"x-dragoman-call-id: {call.id}",
        f"x-latency-ms: {(now - call.received) * 1000:.1f}",
        f"server-timing: {timing(call, now)}",
    ]
    if length is not None:
        found.append(f"content-length: {length}")
    if call.dialect == "anthropic":
        found.append(f"request-id: {request_id}")
    attempt = outcome.served
    if attempt is not None:
        found += (
            *_names(attempt.provider, attempt.model),
            f"x-dragoman-attempts: {len(outcome.attempts)}",
            f"x-fallback-attempted: {'true' if fell_back(call) else 'false'}",
        )
        if attempt.upstream_request:
            found.append(f"x-dragoman-upstream-id: {_visible(attempt.upstream_request)}")
        if length is not None and attempt.cost is not None and attempt.estimated is None:
            cost = plain(attempt.cost)
            found += (f"x-dragoman-cost-usd: {cost}", f"x-cost-usd: {cost}")
    elif outcome.origin is not None:
        found += _told_again(outcome.origin, whole=length is not None)
        if outcome.cache != "hit" and "idempotency-key" in call.headers:
            found.append("idempotent-replayed: true")
    if outcome.cache is not None:
        found.append(f"x-dragoman-cache: {outcome.cache}")
        if outcome.cache == "hit":
            found.append(f"age: {outcome.age_s}")
    if outcome.requested_model:
        found.append(f"x-dragoman-requested-model: {_visible(outcome.requested_model)}")
    if outcome.losses:
        found.append(f"x-dragoman-dropped: {losses_header(outcome.losses)}")
    if outcome.adjusted:
        found.append(f"x-dragoman-adjusted: {', '.join(map(_visible, outcome.adjusted))}")
    if outcome.estimated:
        found.append("x-dragoman-estimated: true")
    if call.allowed is not None and call.allowed is not UNLIMITED:
        found += limit_lines(call.allowed, call.dialect, call.wall + now - call.received)
    if extra:
        found += [f"{name}: {value}" for name, value in extra.items()]
    return found


def timing(call: Call, now: float) -> str:
    """The value of ``server-timing``: ours, and what was waited for, in milliseconds up to the head.

    ``body`` is the request's arrival, ``upstream`` providers' time, ``pause`` what lay between
    attempts; ``gw`` is all the rest.
    """
    outcome = call.outcome
    ours, upstream = shares_of(call, now)
    told = f"gw;dur={ours * 1000:.2f}, body;dur={call.read_s * 1000:.2f}"
    if outcome.attempts:
        told += f", upstream;dur={upstream * 1000:.2f}"
    if outcome.paused_s:
        told += f", pause;dur={outcome.paused_s * 1000:.2f}"
    return told


def _told_again(origin: Origin, *, whole: bool) -> list[str]:
    """Of an answer that is given again: who made it, for which call, and that nothing was spent on it."""
    found = [f"x-dragoman-replay-of: {_visible(origin.call_id)}"]
    if origin.provider:
        found += _names(origin.provider, origin.model)
        found.append(f"x-dragoman-attempts: {origin.attempts}")
        found.append(f"x-fallback-attempted: {'true' if origin.fell_back else 'false'}")
    if origin.upstream_request:
        found.append(f"x-dragoman-upstream-id: {_visible(origin.upstream_request)}")
    if whole:
        found += ("x-dragoman-cost-usd: 0", "x-cost-usd: 0")
    return found


def fell_back(call: Call) -> bool | None:
    """Whether another provider or model was tried than the first; None where none was."""
    served = call.outcome.served
    if served is None:
        return None
    first = call.outcome.attempts[0]
    if first is served:
        return False
    # A plan never comes back to a candidate that it has left.
    return (first.provider, first.model) != (served.provider, served.model)


@lru_cache(maxsize=1024)
def _names(provider: str, model: str) -> tuple[str, str, str]:
    """Who answers, and with which model."""
    name = _visible(provider)
    return (
        f"x-dragoman-provider: {name}",
        f"x-provider: {name}",
        f"x-dragoman-model: {_visible(f'{provider}/{model}')}",
    )


def _visible(text: str) -> str:
    """Header-safe: anything but visible ASCII percent-encoded (P145)."""
    if text.isascii() and text.isprintable():
        return text[:512]
    return "".join(
        character
        if " " <= character <= "~"
        else "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "replace"))
        for character in text[:256]
    )


def as_gateway_error(error: Exception) -> GatewayError:
    """Any failure as one that can be told; what is ours says nothing of the inside."""
    if isinstance(error, GatewayError):
        return error
    return HouseError(
        "server", "The gateway failed while serving this request.", code="internal_error"
    )


def error_reply(error: GatewayError, dialect: Family, call: Call) -> ErrorReply:
    """The error in the caller's dialect."""
    context = ErrorContext(call.request_id, call.trace_id, fell_back(call), call.flavour)
    return DIALECTS[dialect].write_error(error, context)


def error_headers(error: GatewayError) -> dict[str, str]:
    """What an error says beside its body."""
    found = {
        "x-error-code": _visible(code_of(error)),
        "x-error-type": "infra_error" if error.kind in INFRASTRUCTURE else "semantic_error",
    }
    if error.retry_after_s is not None:
        found["retry-after"] = str(max(0, math.ceil(error.retry_after_s)))
        if error.retry_after_s != math.ceil(error.retry_after_s):
            found["retry-after-ms"] = str(math.ceil(error.retry_after_s * 1000))
    if error.status == 401:
        found["www-authenticate"] = "Bearer"
    # Clients of the official SDKs would add their retries to ours (D10).
    if retries_spent(error):
        found["x-should-retry"] = "false"
    return found


now = time.monotonic
"""Monotonic seconds."""
