"""The tree of failures, by whose fault they are.

    GatewayError
    ├── CallerError     the request is wrong, or may not be made
    ├── UpstreamError   the provider refused, broke or lied
    └── HouseError      we failed

Each carries what every dialect needs to tell it in its own words: a kind, a status, a code,
a message of one sentence, perhaps the member at fault and when to come back. The message
never holds a secret or a stack trace. Surfaces turn them into bodies with
``write_error`` of the caller's dialect; nothing else does.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

Kind: TypeAlias = Literal[
    "invalid_request",
    "unsupported_feature",
    "authentication",
    "billing",
    "permission",
    "not_found",
    "conflict",
    "too_large",
    "unprocessable",
    "rate_limit",
    "quota",
    "timeout",
    "server",
    "overloaded",
    "content_policy",
    "context_length",
    "upstream",
]
"""What went wrong, in the words of `dialects.md` §3.2's error table."""

STATUS: dict[Kind, int] = {
    "invalid_request": 400,
    "unsupported_feature": 400,
    "authentication": 401,
    "billing": 402,
    "permission": 403,
    "not_found": 404,
    "conflict": 409,
    "too_large": 413,
    "unprocessable": 422,
    "rate_limit": 429,
    "quota": 429,
    "timeout": 504,
    "server": 500,
    "overloaded": 503,
    "content_policy": 400,
    "context_length": 400,
    "upstream": 502,
}

INFRASTRUCTURE: frozenset[Kind] = frozenset(
    {"rate_limit", "quota", "timeout", "server", "overloaded", "upstream"}
)
"""What R-ADD-024 calls ``infra_error``; the rest is ``semantic_error``."""

_CODE: dict[Kind, str] = {
    "authentication": "invalid_api_key",
    "billing": "insufficient_quota",
    "permission": "insufficient_permissions",
    "not_found": "model_not_found",
    "too_large": "request_too_large",
    "rate_limit": "rate_limit_exceeded",
    "quota": "insufficient_quota",
    "server": "server_error",
    "content_policy": "content_policy_violation",
    "context_length": "context_length_exceeded",
    "upstream": "provider_error",
}
"""The code of a failure that brings none; that of the other kinds is their own word."""


class GatewayError(Exception):
    """A failure that can be told in any dialect."""

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
        provider: str | None = None,
        provider_request_id: str | None = None,
        retryable: bool = False,
        body: bytes | None = None,
        details: dict[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.kind: Kind = kind
        self.message = message
        self.status = status if status is not None else STATUS[kind]
        self.code = code
        self.param = param
        self.retry_after_s = retry_after_s
        self.provider = provider
        self.provider_request_id = provider_request_id
        self.retryable = retryable
        self.body = body
        """The provider's own error body, for a caller of the same dialect."""
        self.details = details

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.kind!r}, {self.status}, {self.message!r})"


class CallerError(GatewayError):
    """The caller's request is at fault, or the caller may not make it."""


class UpstreamError(GatewayError):
    """The provider answered with a failure, broke off, or could not be reached.

    ``upstream_status`` is the provider's own status, None where there was no answer.
    ``sent`` says how far the request got: ``no`` (nothing reached the provider),
    ``maybe`` (it may be working on it, and bill it), ``yes`` (it answered).
    """

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        upstream_status: int | None = None,
        sent: Literal["no", "maybe", "yes"] = "yes",
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
        provider: str | None = None,
        provider_request_id: str | None = None,
        retryable: bool = False,
        body: bytes | None = None,
        details: dict[str, object] | None = None,
    ) -> None:
        super().__init__(
            kind,
            message,
            status=status,
            code=code,
            param=param,
            retry_after_s=retry_after_s,
            provider=provider,
            provider_request_id=provider_request_id,
            retryable=retryable,
            body=body,
            details=details,
        )
        self.upstream_status = upstream_status
        self.sent: Literal["no", "maybe", "yes"] = sent


class HouseError(GatewayError):
    """We are at fault; the message says nothing of the inside."""


def code_of(error: GatewayError) -> str:
    """The one word for a failure: in header, body, log and ledger."""
    return error.code or _CODE.get(error.kind, error.kind)


def may_try_again(error: GatewayError) -> bool:
    """Whether the same request may sensibly come once more, now or after the wait that is told."""
    return error.retryable or (error.kind == "rate_limit" and error.retry_after_s is not None)


def retries_spent(error: GatewayError) -> bool:
    """Whether the house has tried again in vain, so that the caller should not (D10).

    A rate limit is the caller's to wait out, and so is the rest that we give a provider: of that
    we say ourselves when it ends, and nothing was tried. A quota of ours no second try changes.
    """
    if isinstance(error, CallerError):
        return error.kind == "quota"
    if not isinstance(error, UpstreamError) or error.kind == "rate_limit":
        return False
    resting = error.upstream_status is None and error.retry_after_s is not None
    return error.status >= 500 and not resting


def told_wait(error: GatewayError) -> float | None:
    """When to come back, in seconds to the millisecond."""
    return None if error.retry_after_s is None else round(error.retry_after_s, 3)


def unsupported(message: str, param: str) -> CallerError:
    """A refusal of a feature that the target cannot express (policy REJECT, `dialects.md` §5)."""
    return CallerError("unsupported_feature", message, code="unsupported_feature", param=param)


def invalid(message: str, param: str | None = None, code: str = "invalid_request") -> CallerError:
    """A refusal of a malformed request, naming the member at fault."""
    return CallerError("invalid_request", message, code=code, param=param)
