"""Failures in OpenAI's words, in both directions (`dialects.md` §3.2, error mapping; D10).

Reading decides whose fault a failure is. A provider that refuses *our* credential or account
(401, 402, 403) is a bad gateway to the caller, whose own key is fine (P144); the provider's
status stays in ``upstream_status`` for those who choose what to do next. What a code or a
sentence says counts more than the status: context overflow (P142), spent quota (P143),
content policy.
"""

from __future__ import annotations

import re

from dragoman.core.errors import (
    INFRASTRUCTURE,
    GatewayError,
    Kind,
    UpstreamError,
    code_of,
    may_try_again,
    retries_spent,
    told_wait,
)
from dragoman.dialects.base import Context, ErrorContext
from dragoman.dialects.openai_error_body import Told, read_body
from dragoman.dialects.retry_after import read_retry_after

# --------------------------------------------------------------------------- reading

_BY_STATUS: dict[int, tuple[Kind, int]] = {
    400: ("invalid_request", 400),
    404: ("not_found", 404),
    405: ("not_found", 404),
    408: ("timeout", 504),
    409: ("conflict", 409),
    410: ("not_found", 404),
    413: ("too_large", 413),
    415: ("invalid_request", 400),
    422: ("unprocessable", 422),
    429: ("rate_limit", 429),
    498: ("overloaded", 503),  # Groq: flex capacity exceeded
    500: ("server", 500),
    502: ("upstream", 502),
    503: ("overloaded", 503),
    504: ("timeout", 504),
    524: ("timeout", 504),  # Cloudflare
    529: ("overloaded", 503),
}
"""Kind and status for the caller; the rest: 4xx as 400, 5xx as 502."""

_OURS: dict[int, str] = {401: "upstream_auth", 402: "upstream_billing", 403: "upstream_auth"}
_RETRYABLE = frozenset({408, 425, 429, 498, 500, 502, 503, 504, 529, *range(520, 525)})

_KIND_OF_WORD: dict[str, Kind] = {
    "context_length_exceeded": "context_length",
    "exceed_context_size_error": "context_length",
    "too_many_prompt_tokens": "context_length",
    "string_above_max_length": "context_length",
    "insufficient_quota": "quota",
    "billing_hard_limit_reached": "quota",
    "content_filter": "content_policy",
    "content_policy_violation": "content_policy",
    "responsibleaipolicyviolation": "content_policy",
    "moderation_blocked": "content_policy",
    "rate_limit_exceeded": "rate_limit",
    "rate_limit_error": "rate_limit",
    "image_content_policy_violation": "content_policy",
    "provider_overloaded": "overloaded",
    "server_overloaded": "overloaded",
    "server_is_overloaded": "overloaded",
    "overloaded_error": "overloaded",
    "invalid_request_error": "invalid_request",
    "invalid_prompt": "invalid_request",
    "server_error": "server",
    "internal_server_error": "server",
    "vector_store_timeout": "timeout",
    "model_not_found": "not_found",
}
"""What a code or a type says by itself; statuses refine the last ones."""

_STRONG: frozenset[Kind] = frozenset({"context_length", "quota", "content_policy"})

_TOO_LONG = re.compile(
    r"maximum context length|context (?:length|size|window)|(?:prompt|input) is too long"
    r"|prompt too long|too many (?:prompt |input )?tokens|messages is too long"
    r"|reduce the length of the messages",
    re.IGNORECASE,
)
_QUOTA = re.compile(r"exceeded your current quota|insufficient (?:quota|credits)", re.IGNORECASE)

_STATUS_OF_KIND: dict[Kind, int] = {
    "invalid_request": 400,
    "not_found": 404,
    "rate_limit": 429,
    "overloaded": 503,
    "server": 500,
    "timeout": 504,
}


def read_error(status: int, headers: dict[str, str], body: bytes) -> UpstreamError:
    """A provider's answer as an error; header names are lower case.

    Inside a 200 the body's own number or word stands for the status (P140).
    """
    told = read_body(body)
    heading = status if status >= 400 else told.number or _status_of(told)
    kind, outward, code = _judge(heading, told)
    ours = code in _OURS.values()
    return UpstreamError(
        kind,
        _message(heading, told, ours=ours),
        upstream_status=status,
        status=outward,
        code=code,
        param=told.param,
        retry_after_s=read_retry_after(headers),
        provider_request_id=headers.get("x-request-id") or headers.get("request-id"),
        retryable=kind not in {*_STRONG, "billing"} and heading in _RETRYABLE,
        body=None if ours else body,
        details=_details(told),
    )


def _judge(status: int, told: Told) -> tuple[Kind, int, str | None]:
    """Kind, status for the caller, code."""
    word = _strong_word(status, told)
    if word == "quota":
        return "quota", 429, "insufficient_quota"
    if word == "context_length":
        return word, 400, "context_length_exceeded"
    if word == "content_policy":
        return word, 400, told.code or "content_policy_violation"
    if status in _OURS:
        return "upstream", 502, _OURS[status]
    kind, outward = _BY_STATUS.get(
        status, ("invalid_request", 400) if status < 500 else ("upstream", 502)
    )
    return kind, outward, told.code


def _strong_word(status: int, told: Told) -> Kind | None:
    """What a code, a type or the sentence says more exactly than the status (P142, P143)."""
    for kind in _kinds(told):
        if kind in _STRONG:
            return kind
    message = told.message or ""
    if status in {400, 413, 422, 500} and _TOO_LONG.search(message):
        return "context_length"
    if status == 429 and _QUOTA.search(message):
        return "quota"
    return None


def _status_of(told: Told) -> int:
    """The status that an error inside a 200 would have had, by its own words."""
    for kind in _kinds(told):
        if kind in _STATUS_OF_KIND:
            return _STATUS_OF_KIND[kind]
    return 502


def _kinds(told: Told) -> list[Kind]:
    """The kinds that code, type and OpenRouter's ``metadata.error_type`` name."""
    metadata = told.details.get("metadata")
    said = metadata.get("error_type") if isinstance(metadata, dict) else None
    words = (told.code, told.type, said)
    found = (_KIND_OF_WORD.get(word.lower()) for word in words if isinstance(word, str))
    return [kind for kind in found if kind is not None]


def _message(status: int, told: Told, *, ours: bool) -> str:
    """One sentence; of a refused credential the provider's own words are not shown."""
    if ours and status == 401:
        return "The provider refused the gateway's credential (status 401)."
    if ours:
        said = f": {told.message}" if told.message else "."
        return f"The provider refused the gateway's account (status {status}){said}"
    return told.message or f"The provider answered with status {status} and no reason."


def _details(told: Told) -> dict[str, object] | None:
    found = dict(told.details)
    if told.type:
        found["upstream_type"] = told.type
    return found or None


# --------------------------------------------------------------------------- writing

_TYPE: dict[Kind, str] = {
    "billing": "insufficient_quota",
    "rate_limit": "rate_limit_error",
    "quota": "insufficient_quota",
    "timeout": "server_error",
    "server": "server_error",
    "overloaded": "server_error",
    "upstream": "server_error",
}
"""OpenAI's ``type``; that of the other kinds is ``invalid_request_error``."""

_CODELESS: frozenset[Kind] = frozenset({"invalid_request", "unprocessable"})
"""Kinds of which OpenAI itself says a code or null."""


def error_object(error: GatewayError, known: dict[str, object]) -> dict[str, object]:
    """The ``error`` member: OpenAI's four, and ours under ``dragoman``."""
    kind = _TYPE.get(error.kind, "invalid_request_error")
    upstream_type = (error.details or {}).get("upstream_type")
    if isinstance(upstream_type, str) and error.status < 500 and error.kind == "rate_limit":
        kind = upstream_type  # OpenAI says here which limit it was: requests, tokens
    return {
        "message": error.message,
        "type": kind,
        "param": error.param,
        "code": error.code if error.kind in _CODELESS else code_of(error),
        "dragoman": house_members(error, known),
    }


def house_members(error: GatewayError, known: dict[str, object]) -> dict[str, object]:
    """R-ADD-024's members: those that are known."""
    details = {n: said for n, said in (error.details or {}).items() if n != "upstream_type"}
    members: dict[str, object] = {
        "type": "infra_error" if error.kind in INFRASTRUCTURE else "semantic_error",
        "retryable": may_try_again(error),
        **known,
    }
    optional = {
        "provider": error.provider,
        "provider_request_id": error.provider_request_id,
        "retry_after": told_wait(error),
        "details": details or None,
    }
    members.update({name: value for name, value in optional.items() if value is not None})
    return members


def known_of_refusal(error: GatewayError, context: ErrorContext) -> dict[str, object]:
    """What an error that is the whole answer says of the request."""
    known: dict[str, object] = {"request_id": context.request_id}
    if context.trace_id:
        known["trace_id"] = context.trace_id
    if context.fallback is not None:
        known["fallback_attempted"] = context.fallback
    known["retryable"] = may_try_again(error) and not retries_spent(error)
    return known


def known_of(context: Context) -> dict[str, object]:
    """What an error inside a stream says of the request."""
    named = {"request_id": context.request_id, "trace_id": context.trace_id}
    return {"call_id": context.call_id, **{name: value for name, value in named.items() if value}}


# --------------------------------------------------------------------------- bytes that fail


def truncated() -> UpstreamError:
    """The bytes ended before the answer did (P14)."""
    return UpstreamError(
        "upstream",
        "The provider's stream ended before the answer was complete.",
        upstream_status=200,
        code="upstream_truncated",
        retryable=True,
    )
