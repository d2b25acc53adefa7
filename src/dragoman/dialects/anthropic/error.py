"""Failures in this dialect's words, both ways (`dialects.md` §1.3, §3.2, D10)."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from dragoman.core.errors import (
    GatewayError,
    Kind,
    UpstreamError,
    retries_spent,
)
from dragoman.dialects.anthropic import wire
from dragoman.dialects.anthropic.wire import encode
from dragoman.dialects.base import ErrorContext, ErrorReply
from dragoman.dialects.error_members import error_members
from dragoman.dialects.redact import redact
from dragoman.dialects.retry_after import read_retry_after
from dragoman.dialects.status_kinds import OURS, RETRYABLE, kind_of_status

LONGEST = 1000
"""Characters of a provider's message that are passed on; the rest of an HTML page is no help."""

# --------------------------------------------------------------------------- from the provider

_KIND_OF_TYPE: dict[str, Kind] = {
    "invalid_request_error": "invalid_request",
    "authentication_error": "authentication",
    "billing_error": "billing",
    "permission_error": "permission",
    "not_found_error": "not_found",
    "conflict_error": "conflict",
    "request_too_large": "too_large",
    "rate_limit_error": "rate_limit",
    "timeout_error": "timeout",
    "api_error": "server",
    "overloaded_error": "overloaded",
}

_TOO_LONG = ("prompt is too long", "context window", "context limit", "context_length")


class _Error(Struct, frozen=True):
    type: str | None = None
    message: str | None = None
    details: Raw = wire.NULL


class _Body(Struct, frozen=True):
    error: _Error
    request_id: str | None = None


class _Loose(Struct, frozen=True):
    """How proxies and other servers spell errors."""

    error: str | None = None
    message: str | None = None
    detail: str | None = None


_BODY = msgspec.json.Decoder(_Body)
_LOOSE = msgspec.json.Decoder(_Loose)
_DETAILS = msgspec.json.Decoder(dict[str, object])


def read_error(status: int, headers: dict[str, str], body: bytes) -> UpstreamError:
    """A provider's refusal as the gateway's own."""
    parsed = _parsed(body)
    kind = _kind(status, parsed.error)
    message = redact(parsed.error.message or f"The provider answered with status {status}.")
    details = _details(parsed.error.details)
    code = details.get("error_code") if details else None
    shown: int | None = None
    own_body: bytes | None = redact(body.decode("utf-8", "replace")).encode()
    ours = kind in OURS
    if ours:
        message = f"The provider refused the gateway's own credential ({status}): {message}"
        kind, code, shown, own_body = "upstream", "upstream_auth", 502, None
    elif kind == "context_length":
        code = code or "context_length_exceeded"
    elif status < 400:
        kind, shown = "upstream", 502
    elif kind in {"invalid_request", "conflict", "unprocessable"}:
        shown = status if 400 <= status < 500 else None
    asked = headers.get("x-should-retry")
    return UpstreamError(
        kind,
        message[:LONGEST],
        upstream_status=status,
        status=shown,
        code=code if isinstance(code, str) else None,
        retry_after_s=read_retry_after(headers),
        provider_request_id=headers.get("request-id") or parsed.request_id,
        retryable=asked == "true"
        if asked in {"true", "false"}
        else kind in RETRYABLE and not ours,
        body=own_body,
        details=details,
    )


def _parsed(body: bytes) -> _Body:
    try:
        return _BODY.decode(body)
    except wire.BAD_JSON:
        pass
    try:
        loose = _LOOSE.decode(body)
    except wire.BAD_JSON:
        text = body.decode("utf-8", "replace").strip()
        # A page for people says nothing that a program's user could use (P141).
        return _Body(_Error(message=None if text.startswith("<") else text or None))
    return _Body(_Error(message=loose.message or loose.error or loose.detail))


def _kind(status: int, error: _Error) -> Kind:
    by_status = kind_of_status(status)
    kind = _KIND_OF_TYPE.get(error.type or "", by_status)
    if kind in {"server", "invalid_request"} and by_status not in {"server", "invalid_request"}:
        kind = by_status
    message = (error.message or "").lower()
    if kind == "invalid_request" and any(words in message for words in _TOO_LONG):
        return "context_length"
    return kind


def _details(raw: Raw) -> dict[str, object] | None:
    try:
        return _DETAILS.decode(raw)
    except wire.BAD_JSON:
        return None


_STREAM_STATUS: dict[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}


def read_stream_error(data: bytes) -> UpstreamError:
    """An ``error`` event, as if it had come with the status that belongs to its type."""
    status = _STREAM_STATUS.get(_parsed(data).error.type or "", 500)
    return read_error(status, {}, data)


# --------------------------------------------------------------------------- to the caller

_TYPE: dict[Kind, str] = {
    "invalid_request": "invalid_request_error",
    "unsupported_feature": "invalid_request_error",
    "authentication": "authentication_error",
    "billing": "billing_error",
    "permission": "permission_error",
    "not_found": "not_found_error",
    "conflict": "conflict_error",
    "too_large": "request_too_large",
    "unprocessable": "invalid_request_error",
    "rate_limit": "rate_limit_error",
    "quota": "rate_limit_error",
    "timeout": "timeout_error",
    "server": "api_error",
    "overloaded": "overloaded_error",
    "content_policy": "invalid_request_error",
    "context_length": "invalid_request_error",
    "upstream": "api_error",
}


def write_error(error: GatewayError, context: ErrorContext) -> ErrorReply:
    """The error as a response of this dialect."""
    return ErrorReply(
        error_status(error), encode(_body(error, context, spent=retries_spent(error)))
    )


def error_frame(error: GatewayError, context: ErrorContext) -> bytes:
    """The error as the one event that ends a stream (D3)."""
    return b"event: error\ndata: " + encode(_body(error, context, spent=False)) + b"\n\n"


def error_status(error: GatewayError) -> int:
    """The status of ``write_error``'s reply."""
    if (
        isinstance(error, UpstreamError)
        and error.upstream_status is not None
        and _native(error) is not None
    ):
        return error.upstream_status
    if error.kind == "overloaded":
        return 529
    return error.status


def _native(error: GatewayError) -> _Error | None:
    """The provider's own words, if it spoke this dialect."""
    if error.body is None or wire.kind(Raw(error.body)) != "error":
        return None
    try:
        return _BODY.decode(error.body).error
    except wire.BAD_JSON:
        return None


def _body(error: GatewayError, context: ErrorContext, *, spent: bool) -> dict[str, object]:
    native = _native(error)
    message = error.message
    if native is not None and native.message:
        message = native.message
    elif error.kind == "context_length" and "prompt is too long" not in message.lower():
        # Programs of this dialect know a full context by these words and shorten it (P142).
        message = f"prompt is too long: {message}"
    told: dict[str, object] = {
        "type": (native.type if native is not None else None) or _TYPE[error.kind],
        "message": message,
    }
    if error.details is not None:
        told["details"] = error.details
    told["dragoman"] = error_members(error, context, spent=spent)
    return {"type": "error", "error": told, "request_id": context.request_id}
