"""The headers of an answer, and an error as an answer, each in one place."""

from __future__ import annotations

import math
import time
from functools import lru_cache

from dragoman.admission.headers import headers_of
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
from dragoman.dialects.base import ErrorContext, ErrorReply
from dragoman.dialects.registry import DIALECTS

Headers = list[tuple[bytes, bytes]]

_ALWAYS: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
]
_STREAM: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


def answer_headers(
    call: Call,
    content_type: str,
    length: int | None,
    now: float,
    extra: dict[str, str] | None = None,
) -> Headers:
    """Everything that is told beside the body (R-ADD-030 and the ``x-dragoman-*`` family).

    Args:
        call: with its outcome so far.
        content_type: of the body.
        length: of the body in bytes, None for a stream.
        now: monotonic seconds.
        extra: further headers.
    """
    outcome = call.outcome
    request_id = call.request_id.encode()
    found: Headers = [
        *(_STREAM if length is None else _ALWAYS),
        (b"content-type", content_type.encode()),
        (b"x-request-id", request_id),
        (b"x-trace-id", call.trace_id.encode()),
        (b"x-dragoman-call-id", call.id.encode()),
        (b"x-latency-ms", b"%.1f" % ((now - call.received) * 1000)),
        (b"server-timing", timing(call, now)),
    ]
    if length is not None:
        found.append((b"content-length", b"%d" % length))
    if call.dialect == "anthropic":
        found.append((b"request-id", request_id))
    attempt = outcome.served
    if attempt is not None:
        provider, model = _names(attempt.provider, attempt.model)
        found += (
            (b"x-dragoman-provider", provider),
            (b"x-provider", provider),
            (b"x-dragoman-model", model),
            (b"x-dragoman-attempts", b"%d" % len(outcome.attempts)),
            (b"x-fallback-attempted", b"true" if fell_back(call) else b"false"),
        )
        if attempt.upstream_request:
            found.append((b"x-dragoman-upstream-id", _visible(attempt.upstream_request)))
        if length is not None and attempt.cost is not None:
            cost = plain(attempt.cost).encode()
            found += ((b"x-dragoman-cost-usd", cost), (b"x-cost-usd", cost))
    elif outcome.origin is not None:
        found += _told_again(outcome.origin, whole=length is not None)
        if outcome.cache != "hit" and "idempotency-key" in call.headers:
            found.append((b"idempotent-replayed", b"true"))
    if outcome.cache is not None:
        found.append((b"x-dragoman-cache", outcome.cache.encode()))
        if outcome.cache == "hit":
            found.append((b"age", b"%d" % outcome.age_s))
    if outcome.requested_model:
        found.append((b"x-dragoman-requested-model", _visible(outcome.requested_model)))
    if outcome.losses:
        found.append((b"x-dragoman-dropped", losses_header(outcome.losses).encode()))
    if outcome.adjusted:
        found.append((b"x-dragoman-adjusted", b", ".join(map(_visible, outcome.adjusted))))
    if outcome.estimated:
        found.append((b"x-dragoman-estimated", b"true"))
    if call.allowed is not None and call.allowed is not UNLIMITED:
        limits = headers_of(call.allowed, call.dialect, call.wall + now - call.received)
        found += [(name.encode(), value.encode()) for name, value in limits.items()]
    if extra:
        found += [(name.encode(), value.encode("latin-1")) for name, value in extra.items()]
    return found


def timing(call: Call, now: float) -> bytes:
    """The value of ``server-timing``: ours, and what was waited for, in milliseconds up to the head.

    ``body`` is the request's arrival, ``upstream`` providers' time, ``pause`` what lay between
    attempts; ``gw`` is all the rest.
    """
    outcome = call.outcome
    upstream = until = 0.0
    for attempt in outcome.attempts:
        took = attempt.answered_s or attempt.duration_s
        end = now if took is None else attempt.started + took
        # Attempts may overlap, where one is hedged.
        if end > until:
            upstream += end - max(attempt.started, until)
            until = end
    ours = now - call.received - call.read_s - upstream - outcome.paused_s
    told = b"gw;dur=%.2f, body;dur=%.2f" % (max(0.0, ours) * 1000, call.read_s * 1000)
    if until:
        told += b", upstream;dur=%.2f" % (upstream * 1000)
    if outcome.paused_s:
        told += b", pause;dur=%.2f" % (outcome.paused_s * 1000)
    return told


def _told_again(origin: Origin, *, whole: bool) -> Headers:
    """Of an answer that is given again: who made it, for which call, and that nothing was spent on it."""
    found: Headers = [(b"x-dragoman-replay-of", _visible(origin.call_id))]
    if origin.provider:
        provider, model = _names(origin.provider, origin.model)
        found += [
            (b"x-dragoman-provider", provider),
            (b"x-provider", provider),
            (b"x-dragoman-model", model),
            (b"x-dragoman-attempts", b"%d" % origin.attempts),
            (b"x-fallback-attempted", b"true" if origin.fell_back else b"false"),
        ]
    if origin.upstream_request:
        found.append((b"x-dragoman-upstream-id", _visible(origin.upstream_request)))
    if whole:
        found += [(b"x-dragoman-cost-usd", b"0"), (b"x-cost-usd", b"0")]
    return found


def fell_back(call: Call) -> bool | None:
    """Whether another provider or model was tried than the first; None where none was."""
    served = call.outcome.served
    if served is None:
        return None
    first = call.outcome.attempts[0]
    # A plan never comes back to a candidate that it has left.
    return (first.provider, first.model) != (served.provider, served.model)


@lru_cache(maxsize=1024)
def _names(provider: str, model: str) -> tuple[bytes, bytes]:
    """A provider's name and ``provider/model``, as they stand in headers."""
    return _visible(provider), _visible(f"{provider}/{model}")


def _visible(text: str) -> bytes:
    """Header-safe: anything but visible ASCII percent-encoded (P145)."""
    if text.isascii() and text.isprintable():
        return text[:512].encode()
    return b"".join(
        character.encode()
        if " " <= character <= "~"
        else b"".join(b"%%%02X" % byte for byte in character.encode("utf-8", "replace"))
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
        "x-error-code": _visible(code_of(error)).decode(),
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


def now() -> float:
    """Monotonic seconds."""
    return time.monotonic()
