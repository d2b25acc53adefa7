"""Failures in Ollama's words, both ways: ``{"error": "a sentence"}`` (`dialects.md` §1.5, D10).

The same object is an answer's body and, with the status 200 already sent, a line of its stream.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from dragoman.core.errors import (
    GatewayError,
    Kind,
    UpstreamError,
    retries_spent,
)
from dragoman.dialects.base import Context, ErrorContext, ErrorReply
from dragoman.dialects.error_members import error_members, told
from dragoman.dialects.halves import mend
from dragoman.dialects.ollama.wire import BAD_JSON, NULL, encode, is_nothing
from dragoman.dialects.redact import redact
from dragoman.dialects.retry_after import read_retry_after
from dragoman.dialects.status_kinds import OURS, RETRYABLE, kind_of_status

LONGEST = 1000
"""Characters of a provider's message that are passed on."""

# --------------------------------------------------------------------------- from the provider

_TOO_LONG = ("context length", "context window", "context size", "context_length", "num_ctx")


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
    ours = kind in OURS
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
        retry_after_s=read_retry_after(headers),
        provider_request_id=headers.get("x-request-id"),
        retryable=kind in RETRYABLE and not ours,
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
    kind = kind_of_status(status)
    low = message.lower()
    if kind == "invalid_request" and any(words in low for words in _TOO_LONG):
        return "context_length"
    return kind


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
    body = encode(_body(error, context, spent=retries_spent(error)))
    return ErrorReply(error_status(error), body)


def error_status(error: GatewayError) -> int:
    """The status of ``write_error``'s reply."""
    if isinstance(error, UpstreamError) and error.upstream_status is not None and _native(error):
        return error.upstream_status
    return _STATUS.get(error.kind, error.status)


def error_line(error: GatewayError, context: Context) -> bytes:
    """The error as the one line that ends a stream (D3)."""
    return encode(_body(error, told(context), spent=False)) + b"\n"


def _native(error: GatewayError) -> str | None:
    """The provider's own words, if it spoke this dialect."""
    if error.body is None:
        return None
    try:
        return _WORDS.decode(_BODY.decode(error.body).error) or None
    except BAD_JSON:
        return None


def _body(error: GatewayError, context: ErrorContext, *, spent: bool) -> dict[str, object]:
    # The sentence has to be a string here: R-ADD-024's members stand beside it (D10).
    return {
        "error": mend(_native(error) or error.message),
        "dragoman": error_members(error, context, spent=spent),
    }
