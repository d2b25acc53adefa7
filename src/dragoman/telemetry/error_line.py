"""What is told of a call that failed, for whoever looks for errors alone (R-STOR-008): no word of it, no key."""

from __future__ import annotations

import msgspec

from dragoman.core.call import Call
from dragoman.core.caller_name import caller_named
from dragoman.core.client_address import Networks, address_of
from dragoman.telemetry.log import timestamp
from dragoman.telemetry.redact import redact

_LONGEST = 160
"""Characters of a model's name, which its caller chooses."""
_INSIDE = 500


class Try(msgspec.Struct, frozen=True, omit_defaults=True):
    """One attempt of the call."""

    provider: str
    model: str
    status: str
    upstream_status: int | None = None
    error: str | None = None


class ErrorLine(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One failed call."""

    timestamp: str
    status: int
    error: str
    method: str
    route: str
    origin: str | None = None
    """The address that it came from; of a proxy that is not trusted, where one stands before the gateway."""
    request_id: str
    call_id: str
    trace_id: str
    duration_ms: float
    key: str | None = None
    tenant: str | None = None
    requested_model: str | None = None
    caller: str | None = None
    """Whom the request names, as ``a->b->c`` too (R-USE-014), else the name of the key."""
    dialect: str | None = None
    stream: bool | None = None
    detail: str | None = None
    """The message, only with LOG_SENSITIVE_PAYLOADS: it may quote the request."""
    attempts: tuple[Try, ...] = ()


_encode = msgspec.json.Encoder().encode


def error_line(call: Call, duration_s: float, proxies: Networks = ()) -> bytes | None:
    """The line of a failed call, as JSON; None for one that did not fail, or that nobody of ours made.

    Calls that show no key are refused by the thousand where somebody scans, and would push out the rest.
    """
    outcome, caller = call.outcome, call.caller
    if outcome.error_code is None or (caller is None and outcome.http_status < _INSIDE):
        return None
    tries = tuple(
        Try(
            provider=each.provider,
            model=_shown(each.model),
            status=each.status,
            upstream_status=each.upstream_status,
            error=_shown(each.error_code or each.error_kind or "") or None,
        )
        for each in outcome.attempts
    )
    return _encode(
        ErrorLine(
            timestamp=timestamp(call.wall),
            status=outcome.http_status,
            error=_shown(outcome.error_code),
            method=call.method,
            route=call.route,
            origin=address_of(call, proxies),
            request_id=_shown(call.request_id),
            call_id=call.id,
            trace_id=call.trace_id,
            duration_ms=round(duration_s * 1000, 3),
            key=caller.key_id if caller else None,
            tenant=caller.tenant if caller else None,
            requested_model=_shown(outcome.requested_model) or None,
            caller=_shown(caller_named(call.headers, caller.name)) or None if caller else None,
            dialect=call.dialect,
            stream=outcome.stream,
            detail=redact(call.shown.error) or None if call.shown is not None else None,
            attempts=tries,
        )
    )


def _shown(text: str) -> str:
    clean = redact(text.encode("utf-8", "replace").decode())
    return clean if len(clean) <= _LONGEST else clean[:_LONGEST] + "…"
