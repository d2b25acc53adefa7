"""The headers of an answer, and an error as an answer, each in one place."""

from __future__ import annotations

import math
import time
from functools import lru_cache
from typing import TypeAlias

from dragoman.admission.headers import limit_text
from dragoman.core.call import UNLIMITED, Call, Origin, Outcome
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
from dragoman.core.timing import upstream_of
from dragoman.dialects.base import ErrorContext, ErrorReply
from dragoman.dialects.registry import DIALECTS

Headers = list[tuple[bytes, bytes]]

Text: TypeAlias = tuple[str, int]
"""Headers as they stand on the wire, each with its line's end, and how many they are."""

_WHOLE = (
    "x-content-type-options: nosniff\r\n"
    "cache-control: no-store\r\n"
    # Text of a model is data: opened in a browser it runs nothing, and stands in nobody's frame.
    "content-security-policy: default-src 'none'; frame-ancestors 'none'\r\n"
)
_STREAM = (
    "x-content-type-options: nosniff\r\n"
    "cache-control: no-cache, no-transform\r\n"
    "x-accel-buffering: no\r\n"
)
_LONGEST = 128
"""Characters of a model's name that is kept with who has served it: callers may ask for any."""


def answer_headers(
    call: Call,
    content_type: str,
    length: int | None,
    now: float,
    extra: dict[str, str] | None = None,
) -> Headers:
    """``answer_text`` as ASGI wants it."""
    return as_headers(answer_text(call, content_type, length, now, extra))


def as_headers(told: Text) -> Headers:
    """Text as pairs of bytes.

    Raises:
        ValueError: a header holds a line break.
    """
    text, number = told
    lines = text.encode("latin-1").split(b"\r\n")
    if len(lines) != number + 1:
        raise ValueError("A header of an answer holds a line break.")
    pairs = (line.partition(b": ") for line in lines[:-1])
    return [(name, value) for name, _, value in pairs]


def answer_text(
    call: Call,
    content_type: str,
    length: int | None,
    now: float,
    extra: dict[str, str] | None = None,
) -> Text:
    """Everything that is told beside the body (R-ADD-030 and the ``x-dragoman-*`` family).

    Args:
        call: with its outcome so far.
        content_type: of the body.
        length: of the body in bytes, None for a stream.
        now: monotonic seconds.
        extra: further headers.
    """
    outcome = call.outcome
    attempts = outcome.attempts
    request_id = call.request_id
    elapsed = now - call.received
    upstream = upstream_of(attempts, now)
    ours = max(0.0, elapsed - call.read_s - upstream - outcome.paused_s)
    if length is None:
        start, number = f"{_STREAM}content-type: {content_type}\r\n", 9
    else:
        start, number = f"{_WHOLE}content-type: {content_type}\r\ncontent-length: {length}\r\n", 10
    text = (
        f"{start}"
        f"x-request-id: {request_id}\r\n"
        f"x-trace-id: {call.trace_id}\r\n"
        f"x-dragoman-call-id: {call.id}\r\n"
        f"x-latency-ms: {elapsed * 1000:.1f}\r\n"
        # Up to the head: ours is what is neither the request's arrival, nor providers' time, nor a pause.
        f"server-timing: gw;dur={ours * 1000:.2f}, body;dur={call.read_s * 1000:.2f}"
        f"{f', upstream;dur={upstream * 1000:.2f}' if attempts else ''}"
        f"{f', pause;dur={outcome.paused_s * 1000:.2f}' if outcome.paused_s else ''}\r\n"
    )
    if call.dialect == "anthropic":
        text += f"request-id: {request_id}\r\n"
        number += 1
    requested = outcome.requested_model
    if attempts:
        attempt = outcome.standing or attempts[-1]
        if len(attempts) == 1 and len(requested) <= _LONGEST:
            served, more = _served(attempt.provider, attempt.model, requested)
        else:
            tries = _tries(len(attempts), again=fell_back(call))
            served = _names(attempt.provider, attempt.model) + tries + _requested(requested)
            more = 6 if requested else 5
        text += served
        number += more
        if attempt.upstream_request:
            text += f"x-dragoman-upstream-id: {_visible(attempt.upstream_request)}\r\n"
            number += 1
        cost = attempt.cost
        # An estimate would look like what was told (D25).
        if length is not None and cost is not None and attempt.cost_from != "estimated":
            usd = plain(cost)
            text += f"x-dragoman-cost-usd: {usd}\r\nx-cost-usd: {usd}\r\n"
            number += 2
    else:
        if outcome.origin is not None:
            again = _told_again(call, outcome.origin, whole=length is not None)
            text, number = _joined(text, number, again)
        if requested:
            text += _requested(requested)
            number += 1
    if outcome.cache is not None:
        text, number = _joined(text, number, _of_cache(outcome))
    if outcome.losses or outcome.adjusted or outcome.estimated:
        text, number = _joined(text, number, _changed(outcome))
    allowed = call.allowed
    if allowed is not None and allowed is not UNLIMITED:
        limits, more = limit_text(allowed, call.dialect, call.wall + elapsed)
        text += limits
        number += more
    if extra:
        text, number = _joined(text, number, list(map(": ".join, extra.items())))
    return text, number


def _joined(text: str, number: int, lines: list[str]) -> Text:
    return text + "".join([f"{line}\r\n" for line in lines]), number + len(lines)


def _told_again(call: Call, origin: Origin, *, whole: bool) -> list[str]:
    """Of an answer that is given again: who made it, for which call, and that nothing was spent on it."""
    found = [f"x-dragoman-replay-of: {_visible(origin.call_id)}"]
    if origin.provider:
        text = _names(origin.provider, origin.model) + _tries(
            origin.attempts, again=origin.fell_back
        )
        found += text.split("\r\n")[:-1]
    if origin.upstream_request:
        found.append(f"x-dragoman-upstream-id: {_visible(origin.upstream_request)}")
    if whole:
        found += ("x-dragoman-cost-usd: 0", "x-cost-usd: 0")
    if call.outcome.cache != "hit" and "idempotency-key" in call.headers:
        found.append("idempotent-replayed: true")
    return found


def _of_cache(outcome: Outcome) -> list[str]:
    """What the cache has done about the call."""
    told = [f"x-dragoman-cache: {outcome.cache}"]
    return [*told, f"age: {outcome.age_s}"] if outcome.cache == "hit" else told


def _changed(outcome: Outcome) -> list[str]:
    """Where the answer is not quite what was asked for."""
    found = []
    if outcome.losses:
        found.append(f"x-dragoman-dropped: {losses_header(outcome.losses)}")
    if outcome.adjusted:
        found.append(f"x-dragoman-adjusted: {', '.join(map(_visible, outcome.adjusted))}")
    if outcome.estimated:
        found.append("x-dragoman-estimated: true")
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
def _served(provider: str, model: str, requested: str) -> Text:
    """Who answers as the first that was asked, and what was asked for."""
    told = _requested(requested)
    return _names(provider, model) + _tries(1, again=False) + told, 6 if told else 5


def _requested(model: str) -> str:
    return f"x-dragoman-requested-model: {_visible(model)}\r\n" if model else ""


def _tries(number: int, *, again: bool | None) -> str:
    told = "true" if again else "false"
    return f"x-dragoman-attempts: {number}\r\nx-fallback-attempted: {told}\r\n"


@lru_cache(maxsize=1024)
def _names(provider: str, model: str) -> str:
    """Who answers, and with which model."""
    name = _visible(provider)
    return (
        f"x-dragoman-provider: {name}\r\n"
        f"x-provider: {name}\r\n"
        f"x-dragoman-model: {_visible(f'{provider}/{model}')}\r\n"
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
