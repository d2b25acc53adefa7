"""Failures in Ollama's words, both ways: ``{"error": "a sentence"}`` (`dialects.md` §1.5, D10).

The same object is an answer's body and, with the status 200 already sent, a line of its stream.
"""

from __future__ import annotations

import re

import msgspec
from msgspec import Raw, Struct

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
from dragoman.dialects.halves import mend
from dragoman.dialects.ollama.wire import BAD_JSON, NULL, encode, is_nothing

LONGEST = 1000
"""Characters of a provider's message that are passed on."""

# --------------------------------------------------------------------------- from the provider

_KIND_OF_STATUS: dict[int, Kind] = {
    400: "invalid_request",
    401: "authentication",
    402: "billing",
    403: "permission",
    404: "not_found",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    422: "unprocessable",
    429: "rate_limit",
    500: "server",
    502: "upstream",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}
_OURS: frozenset[Kind] = frozenset({"authentication", "billing", "permission"})
"""Refusals of the gateway's own credential, of which the caller's is not to blame (P144)."""
_RETRYABLE: frozenset[Kind] = frozenset(
    {"rate_limit", "timeout", "server", "overloaded", "upstream", "conflict"}
)
_TOO_LONG = ("context length", "context window", "context size", "context_length", "num_ctx")

_KEY = re.compile(
    r"\b(?:(?:sk|pk|rk|gsk|xai|drg|ghp)[-_]|AIza|AKIA|eyJ)[A-Za-z0-9][A-Za-z0-9_.\-]{12,}"
    r"|\b(?i:bearer)\s+[A-Za-z0-9_.\-]{16,}"
)
"""Keys by the beginnings that their makers give them, and whatever follows the word bearer."""


class _Body(Struct, frozen=True):
    error: Raw = NULL
    message: str | None = None
    detail: str | None = None
    status: int | None = None


class _Inner(Struct, frozen=True):
    """How proxies and OpenAI's compatible servers spell the same."""

    message: str | None = None


_BODY = msgspec.json.Decoder(_Body)
_INNER = msgspec.json.Decoder(_Inner)
_WORDS = msgspec.json.Decoder(str)


def redact(text: str) -> str:
    """The text with everything that looks like a key cut out (K8)."""
    return _KEY.sub("[redacted]", text)


def read_error(status: int, headers: dict[str, str], body: bytes) -> UpstreamError:
    """A provider's refusal as the gateway's own."""
    said, number = _said(body)
    if status < 400:
        status = number if number is not None and 400 <= number < 600 else 500
    message = redact(mend(said or f"The provider answered with status {status}."))
    kind = _kind(status, message)
    code: str | None = None
    shown: int | None = None
    own_body: bytes | None = redact(body.decode("utf-8", "replace")).encode()
    ours = kind in _OURS
    if ours:
        message = f"The provider refused the gateway's own credential ({status}): {message}"
        kind, code, shown, own_body = "upstream", "upstream_auth", 502, None
    elif kind == "context_length":
        code = "context_length_exceeded"
    elif kind in {"invalid_request", "conflict", "unprocessable"}:
        shown = status
    return UpstreamError(
        kind,
        message[:LONGEST],
        upstream_status=status,
        status=shown,
        code=code,
        retry_after_s=_retry_after(headers),
        provider_request_id=headers.get("x-request-id"),
        retryable=kind in _RETRYABLE and not ours,
        body=own_body,
    )


def _said(body: bytes) -> tuple[str | None, int | None]:
    """The sentence in an error body, and a status that it repeats."""
    try:
        parsed = _BODY.decode(body)
    except BAD_JSON:
        text = body.decode("utf-8", "replace").strip()
        # A page for people says nothing that a program's user could use (P141).
        return (None if text.startswith("<") else text[:LONGEST] or None), None
    return _sentence(parsed.error) or parsed.message or parsed.detail, parsed.status


def _sentence(raw: Raw) -> str | None:
    try:
        return _WORDS.decode(raw)
    except BAD_JSON:
        pass
    try:
        return _INNER.decode(raw).message
    except BAD_JSON:
        return None


def _kind(status: int, message: str) -> Kind:
    kind = _KIND_OF_STATUS.get(status)
    if kind is None:
        kind = "server" if status >= 500 else "invalid_request"
    low = message.lower()
    if kind == "invalid_request" and any(words in low for words in _TOO_LONG):
        return "context_length"
    return kind


def _retry_after(headers: dict[str, str]) -> float | None:
    """Seconds to wait; dates are left to whoever has a clock."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        if 0 <= seconds < 86_400 * 366:
            return seconds
    return None


def is_error(raw: Raw) -> bool:
    """Whether the member ``error`` of a line or a reply says that there is one."""
    return not is_nothing(raw) and bytes(raw) != b"false"


def read_line_error(data: bytes) -> UpstreamError:
    """An error inside an answer of status 200."""
    return read_error(200, {}, data)


# --------------------------------------------------------------------------- to the caller

_STATUS: dict[Kind, int] = {"unprocessable": 400}
"""Statuses that Ollama does not know, by those that it does (`dialects.md` §3.2)."""


def write_error(error: GatewayError, context: ErrorContext) -> ErrorReply:
    """The error as a response of this dialect."""
    status = _STATUS.get(error.kind, error.status)
    if isinstance(error, UpstreamError) and error.upstream_status is not None and _native(error):
        status = error.upstream_status
    return ErrorReply(status, encode(_body(error, context, spent=retries_spent(error))))


def error_line(error: GatewayError, context: Context) -> bytes:
    """The error as the one line that ends a stream (D3)."""
    told = ErrorContext(context.request_id or context.call_id, context.trace_id)
    return encode(_body(error, told, spent=False)) + b"\n"


def _native(error: GatewayError) -> str | None:
    """The provider's own words, if it spoke this dialect."""
    if error.body is None:
        return None
    try:
        return _WORDS.decode(_BODY.decode(error.body).error) or None
    except BAD_JSON:
        return None


def _body(error: GatewayError, context: ErrorContext, *, spent: bool) -> dict[str, object]:
    members: dict[str, object] = {
        "code": code_of(error),
        "type": "infra_error" if error.kind in INFRASTRUCTURE else "semantic_error",
        "request_id": context.request_id,
        "trace_id": context.trace_id,
        "retryable": may_try_again(error) and not spent,
    }
    optional = (
        ("fallback_attempted", context.fallback),
        ("provider", error.provider),
        ("param", error.param),
        ("provider_request_id", error.provider_request_id),
        ("retry_after", told_wait(error)),
    )
    members |= {name: said for name, said in optional if said is not None}
    # The sentence has to be a string here: R-ADD-024's members stand beside it (D10).
    return {"error": mend(_native(error) or error.message), "dragoman": members}
