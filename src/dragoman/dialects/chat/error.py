"""Failures in chat's words, in both directions (`dialects.md` §3.2, error mapping; D10).

Reading decides whose fault a failure is. A provider that refuses *our* credential or account
(401, 402, 403) is a bad gateway to the caller, whose own key is fine (P144); the provider's
status stays in ``upstream_status`` for those who choose what to do next. What a code or a
sentence says counts more than the status: context overflow (P142), spent quota (P143),
content policy.
"""

from __future__ import annotations

import re

import msgspec

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
from dragoman.dialects.base import Context, ErrorContext, ErrorReply
from dragoman.dialects.chat.envelope import Envelope, open_envelope
from dragoman.dialects.retry_after import read_retry_after

_ENCODER = msgspec.json.Encoder()

DONE = b"data: [DONE]\n\n"

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
    "provider_overloaded": "overloaded",
    "overloaded_error": "overloaded",
    "invalid_request_error": "invalid_request",
    "server_error": "server",
    "internal_server_error": "server",
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


def read_error(status: int, headers: dict[str, str], body: bytes) -> UpstreamError:
    """A provider's answer of 400 or more as an error; header names are lower case."""
    return upstream_error(status, open_envelope(body), headers=headers, body=body)


def upstream_error(
    status: int,
    envelope: Envelope,
    *,
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
) -> UpstreamError:
    """The error of an envelope; inside a 200 its own number or word stands for the status (P140)."""
    headers = headers or {}
    heading = status if status >= 400 else envelope.number or _status_of(envelope)
    kind, outward, code = _judge(heading, envelope)
    ours = code in _OURS.values()
    return UpstreamError(
        kind,
        _message(heading, envelope, ours=ours),
        upstream_status=status,
        status=outward,
        code=code,
        param=envelope.param,
        retry_after_s=read_retry_after(headers),
        provider_request_id=headers.get("x-request-id") or headers.get("request-id"),
        retryable=kind not in {*_STRONG, "billing"} and heading in _RETRYABLE,
        body=None if ours else body,
        details=_details(envelope),
    )


def _judge(status: int, envelope: Envelope) -> tuple[Kind, int, str | None]:
    """Kind, status for the caller, code."""
    word = _strong_word(status, envelope)
    if word == "quota":
        return "quota", 429, "insufficient_quota"
    if word == "context_length":
        return word, 400, "context_length_exceeded"
    if word == "content_policy":
        return word, 400, envelope.code or "content_policy_violation"
    if status in _OURS:
        return "upstream", 502, _OURS[status]
    kind, outward = _BY_STATUS.get(
        status, ("invalid_request", 400) if status < 500 else ("upstream", 502)
    )
    return kind, outward, envelope.code


def _strong_word(status: int, envelope: Envelope) -> Kind | None:
    """What a code, a type or the sentence says more exactly than the status."""
    for kind in _kinds(envelope):
        if kind in _STRONG:
            return kind
    message = envelope.message or ""
    if status in {400, 413, 422, 500} and _TOO_LONG.search(message):
        return "context_length"
    if status in {402, 429} and _QUOTA.search(message):
        return "quota" if status == 429 else None
    return None


def _status_of(envelope: Envelope) -> int:
    """The status that an error inside a 200 would have had, by its own words."""
    statuses: dict[Kind, int] = {
        "invalid_request": 400,
        "not_found": 404,
        "rate_limit": 429,
        "overloaded": 503,
        "server": 500,
    }
    for kind in _kinds(envelope):
        if kind in statuses:
            return statuses[kind]
    return 502


def _kinds(envelope: Envelope) -> list[Kind]:
    """The kinds that code, type and OpenRouter's ``metadata.error_type`` name."""
    metadata = envelope.details.get("metadata")
    said = metadata.get("error_type") if isinstance(metadata, dict) else None
    words = (envelope.code, envelope.type, said)
    found = (_KIND_OF_WORD.get(word.lower()) for word in words if isinstance(word, str))
    return [kind for kind in found if kind is not None]


def _message(status: int, envelope: Envelope, *, ours: bool) -> str:
    """One sentence; of a refused credential the provider's own words are not shown."""
    if ours and status == 401:
        return "The provider refused the gateway's credential (status 401)."
    if ours:
        said = f": {envelope.message}" if envelope.message else "."
        return f"The provider refused the gateway's account (status {status}){said}"
    return envelope.message or f"The provider answered with status {status} and no reason."


def _details(envelope: Envelope) -> dict[str, object] | None:
    found = dict(envelope.details)
    if envelope.type:
        found["upstream_type"] = envelope.type
    return found or None


# --------------------------------------------------------------------------- writing

_TYPE: dict[Kind, str] = {
    "invalid_request": "invalid_request_error",
    "unsupported_feature": "invalid_request_error",
    "authentication": "invalid_request_error",
    "billing": "insufficient_quota",
    "permission": "invalid_request_error",
    "not_found": "invalid_request_error",
    "conflict": "invalid_request_error",
    "too_large": "invalid_request_error",
    "unprocessable": "invalid_request_error",
    "rate_limit": "rate_limit_error",
    "quota": "insufficient_quota",
    "timeout": "server_error",
    "server": "server_error",
    "overloaded": "server_error",
    "content_policy": "invalid_request_error",
    "context_length": "invalid_request_error",
    "upstream": "server_error",
}
"""OpenAI's ``type``."""

_CODELESS: frozenset[Kind] = frozenset({"invalid_request", "unprocessable"})
"""Kinds of which OpenAI itself says a code or null."""


def write_error(error: GatewayError, context: ErrorContext) -> ErrorReply:
    """The error as an HTTP response for a chat client."""
    house: dict[str, object] = {"request_id": context.request_id}
    if context.trace_id:
        house["trace_id"] = context.trace_id
    if context.fallback is not None:
        house["fallback_attempted"] = context.fallback
    house["retryable"] = may_try_again(error) and not retries_spent(error)
    body = _ENCODER.encode({"error": error_object(error, house, context.flavour)})
    return ErrorReply(error.status, body)


def error_object(
    error: GatewayError, house: dict[str, object] | None = None, flavour: str = ""
) -> dict[str, object]:
    """The ``error`` member: OpenAI's four, and ours under ``dragoman``.

    OpenRouter's clients expect the status as ``code``, and the word for it in ``metadata``.
    """
    kind = _TYPE[error.kind]
    details = dict(error.details or {})
    upstream_type = details.pop("upstream_type", None)
    if isinstance(upstream_type, str) and error.status < 500 and error.kind == "rate_limit":
        kind = upstream_type  # OpenAI says here which limit it was: requests, tokens
    if flavour == "openrouter":
        metadata: dict[str, object] = {"error_type": code_of(error)}
        if error.provider is not None:
            metadata["provider_name"] = error.provider
        return {
            "code": error.status,
            "message": error.message,
            "metadata": metadata,
            "dragoman": _house(error, details, house or {}),
        }
    return {
        "message": error.message,
        "type": kind,
        "param": error.param,
        "code": error.code if error.kind in _CODELESS else code_of(error),
        "dragoman": _house(error, details, house or {}),
    }


def _house(
    error: GatewayError, details: dict[str, object], known: dict[str, object]
) -> dict[str, object]:
    """R-ADD-024's members: those that are known."""
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


def error_frames(error: GatewayError, house: dict[str, object], flavour: str = "") -> bytes:
    """The terminal error of a stream, and ``[DONE]`` behind it (D3)."""
    frame: dict[str, object] = {"error": error_object(error, house, flavour)}
    return b"data: " + _ENCODER.encode(frame) + b"\n\n" + DONE


# --------------------------------------------------------------------------- streams that fail


def known_of(context: Context) -> dict[str, object]:
    """What an error inside a stream says of the request."""
    named = {"request_id": context.request_id, "trace_id": context.trace_id}
    return {"call_id": context.call_id, **{name: value for name, value in named.items() if value}}


def truncated() -> UpstreamError:
    """The bytes ended before the answer did (P14)."""
    return UpstreamError(
        "upstream",
        "The provider's stream ended before the answer was complete.",
        upstream_status=200,
        code="upstream_truncated",
        retryable=True,
    )


def malformed(wanted: str = "a chat completion") -> UpstreamError:
    """A frame or a body that is not what was asked for."""
    return UpstreamError(
        "upstream",
        f"The provider's answer is not {wanted}.",
        upstream_status=200,
        code="upstream_malformed",
        retryable=True,
    )
