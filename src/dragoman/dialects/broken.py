"""What every dialect says of a provider's bytes that end too early or cannot be understood."""

from __future__ import annotations

from dragoman.core.errors import GatewayError, UpstreamError

_INVALID_REPLY = "upstream_invalid_reply"


def truncated() -> UpstreamError:
    """A stream that ended before its own sign of an end (P14)."""
    return UpstreamError(
        "upstream",
        "The provider's stream ended before the answer was complete.",
        code="upstream_truncated",
        retryable=True,
    )


def not_understood(what: str) -> UpstreamError:
    """Bytes that are no reply of the provider's dialect (U10)."""
    return UpstreamError(
        "upstream",
        f"The provider sent {what} that is not valid in its own dialect.",
        code=_INVALID_REPLY,
        retryable=True,
    )


def is_garbled(error: GatewayError) -> bool:
    """Whether the error says that bytes were not understood."""
    return error.code == _INVALID_REPLY
