"""Failures in this dialect's words, both ways (`dialects.md` §1.4, §3.2, D10)."""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec

from dragoman.core.errors import (
    GatewayError,
    Kind,
    UpstreamError,
    code_of,
    retries_spent,
    told_wait,
)
from dragoman.dialects.base import ErrorContext, ErrorReply
from dragoman.dialects.error_members import error_members
from dragoman.dialects.gemini import wire
from dragoman.dialects.gemini.wire import encode
from dragoman.dialects.redact import redact
from dragoman.dialects.retry_after import read_retry_after
from dragoman.dialects.status_kinds import OURS, RETRYABLE, kind_of_status

LONGEST = 1000
"""Characters of a provider's message that are passed on."""

_TYPES = "type.googleapis.com/google.rpc."

_KIND_OF_WORD: dict[str, Kind] = {
    "INVALID_ARGUMENT": "invalid_request",
    "FAILED_PRECONDITION": "invalid_request",
    "OUT_OF_RANGE": "invalid_request",
    "UNAUTHENTICATED": "authentication",
    "PERMISSION_DENIED": "permission",
    "NOT_FOUND": "not_found",
    "ABORTED": "conflict",
    "ALREADY_EXISTS": "conflict",
    "RESOURCE_EXHAUSTED": "rate_limit",
    "CANCELLED": "server",
    "INTERNAL": "server",
    "UNKNOWN": "server",
    "DATA_LOSS": "server",
    "UNAVAILABLE": "overloaded",
    "DEADLINE_EXCEEDED": "timeout",
}
_STATUS_OF_WORD = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
_TOO_LONG = ("exceeds the maximum number of tokens", "input token count", "context window")
_ANY = msgspec.json.Decoder()


def reported(body: bytes) -> dict[str, Any] | None:
    """The ``error`` object of a body, also of one wrapped in a list (P141); None if it has none."""
    try:
        value = _ANY.decode(body)
    except wire.BAD_JSON:
        return None
    if isinstance(value, list) and value:
        value = value[0]
    error = value.get("error") if isinstance(value, dict) else None
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, dict) else None


def read_error(status: int, headers: dict[str, str], body: bytes) -> UpstreamError:
    """A provider's refusal as the gateway's own."""
    error = reported(body) or {}
    said = error.get("message")
    message = said if isinstance(said, str) and said else _plain(body)
    message = redact(message or f"The provider answered with status {status}.")
    details = [one for one in _list(error.get("details")) if isinstance(one, dict)]
    kind = _kind(status, error.get("status"), message, details)
    shown: int | None = None
    code: str | None = None
    own_body: bytes | None = redact(body.decode("utf-8", "replace")).encode()
    if kind in OURS:
        message = f"The provider refused the gateway's own credential ({status}): {message}"
        kind, code, shown, own_body = "upstream", "upstream_auth", 502, None
    elif kind == "context_length":
        code = "context_length_exceeded"
    elif status < 400:
        kind, shown = "upstream", 502
    elif kind in {"invalid_request", "conflict", "unprocessable"}:
        shown = status if 400 <= status < 500 else None
    quotas = _quotas(details)
    return UpstreamError(
        kind,
        message[:LONGEST],
        upstream_status=status,
        status=shown,
        code=code,
        retry_after_s=_retry_after(headers, details),
        retryable=kind in RETRYABLE and code != "upstream_auth",
        body=own_body,
        details={"quota_ids": quotas} if quotas else None,
    )


def read_stream_error(data: bytes) -> UpstreamError:
    """An error inside a stream, as if it had come with the status that it names."""
    error = reported(data) or {}
    code = error.get("code")
    if not (isinstance(code, int) and 400 <= code < 600):
        code = _STATUS_OF_WORD.get(str(error.get("status")), 500)
    return read_error(code, {}, data)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _plain(body: bytes) -> str | None:
    """A body that is no JSON, as far as it is made for programs (P141)."""
    text = body.decode("utf-8", "replace").strip()
    return None if not text or text[:1] in {"<", "{", "["} else text


def _kind(status: int, word: object, message: str, details: list[dict[str, Any]]) -> Kind:
    by_status = kind_of_status(status)
    kind = by_status
    if by_status in {"server", "invalid_request"}:
        kind = _KIND_OF_WORD.get(word if isinstance(word, str) else "", by_status)
    if any(one.get("reason") in {"API_KEY_INVALID", "API_KEY_EXPIRED"} for one in details):
        return "authentication"
    lowered = message.lower()
    if kind == "invalid_request" and "api key not valid" in lowered:
        return "authentication"
    if kind == "invalid_request" and any(words in lowered for words in _TOO_LONG):
        return "context_length"
    return kind


def _retry_after(headers: dict[str, str], details: list[dict[str, Any]]) -> float | None:
    """Seconds to wait, from the headers or ``RetryInfo``, whole ones (P201)."""
    if (seconds := read_retry_after(headers)) is not None:
        return seconds
    for one in details:
        delay = one.get("retryDelay")
        if isinstance(delay, str) and re.fullmatch(r"\d{1,8}(\.\d{1,9})?s", delay):
            return float(math.ceil(float(delay[:-1])))
    return None


def _quotas(details: list[dict[str, Any]]) -> list[str]:
    found = [v for one in details for v in _list(one.get("violations")) if isinstance(v, dict)]
    return [str(v["quotaId"]) for v in found if "quotaId" in v]


# --------------------------------------------------------------------------- to the caller

_WORD: dict[Kind, str] = {
    "invalid_request": "INVALID_ARGUMENT",
    "unsupported_feature": "INVALID_ARGUMENT",
    "authentication": "UNAUTHENTICATED",
    "billing": "FAILED_PRECONDITION",
    "permission": "PERMISSION_DENIED",
    "not_found": "NOT_FOUND",
    "conflict": "ABORTED",
    "too_large": "INVALID_ARGUMENT",
    "unprocessable": "INVALID_ARGUMENT",
    "rate_limit": "RESOURCE_EXHAUSTED",
    "quota": "RESOURCE_EXHAUSTED",
    "timeout": "DEADLINE_EXCEEDED",
    "server": "INTERNAL",
    "overloaded": "UNAVAILABLE",
    "content_policy": "INVALID_ARGUMENT",
    "context_length": "INVALID_ARGUMENT",
    "upstream": "UNAVAILABLE",
}


def write_error(error: GatewayError, context: ErrorContext) -> ErrorReply:
    """The error as a response of this dialect."""
    status = error_status(error)
    return ErrorReply(status, error_json(error, context, status, spent=retries_spent(error)))


def error_status(error: GatewayError) -> int:
    """The status of ``write_error``'s reply."""
    if isinstance(error, UpstreamError) and error.upstream_status and _native(error) is not None:
        return error.upstream_status
    return error.status


def error_json(
    error: GatewayError, context: ErrorContext, status: int | None = None, *, spent: bool = False
) -> bytes:
    """The error object, ``error`` first (P161)."""
    native = _native(error)
    code = error.status if status is None else status
    if native is not None and isinstance(native.get("code"), int) and status is None:
        code = native["code"]
    message = native.get("message") if native is not None else None
    word = native.get("status") if native is not None else None
    details = _list(native.get("details")) if native is not None else []
    told = {
        "code": code,
        "message": message if isinstance(message, str) and message else error.message,
        "status": word if isinstance(word, str) else _WORD[error.kind],
        "details": [*details, _info(error, context, spent=spent), *_wait(error, details)],
    }
    return encode({"error": told})


def _native(error: GatewayError) -> dict[str, Any] | None:
    """The provider's own words, if it spoke this dialect."""
    native = reported(error.body) if error.body is not None else None
    return native if native is not None and isinstance(native.get("status"), str) else None


def _info(error: GatewayError, context: ErrorContext, *, spent: bool) -> dict[str, object]:
    """R-ADD-024's members, as the strings that ``ErrorInfo`` holds (D10)."""
    members = error_members(error, context, spent=spent)
    return {
        "@type": f"{_TYPES}ErrorInfo",
        "reason": re.sub(r"[^A-Z0-9]+", "_", code_of(error).upper()),
        "domain": "dragoman",
        "metadata": {name: _as_text(said) for name, said in members.items()},
    }


def _as_text(said: object) -> object:
    match said:
        case bool():
            return "true" if said else "false"
        case int() | float():
            return f"{said:g}"
        case _:
            return said


def _wait(error: GatewayError, details: list[Any]) -> list[dict[str, object]]:
    wait = told_wait(error)
    given = any(isinstance(one, dict) and "retryDelay" in one for one in details)
    if wait is None or given:
        return []
    return [{"@type": f"{_TYPES}RetryInfo", "retryDelay": f"{wait:g}s"}]
