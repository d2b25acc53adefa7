"""What every dialect says of a provider's bytes that end too early or cannot be understood."""

from __future__ import annotations

from dragoman.core.errors import GatewayError, UpstreamError
from dragoman.core.events import End, Event, Failure

_INVALID_REPLY = "upstream_invalid_reply"
_MALFORMED = "upstream_malformed"


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


def malformed(wanted: str) -> UpstreamError:
    """A frame or a body of OpenAI's dialects that is not what was asked for."""
    return UpstreamError(
        "upstream",
        f"The provider's answer is not {wanted}.",
        upstream_status=200,
        code=_MALFORMED,
        retryable=True,
    )


def is_garbled(error: GatewayError) -> bool:
    """Whether the error says that bytes were not understood."""
    return error.code in {_INVALID_REPLY, _MALFORMED}


def told_the_end(events: list[Event]) -> bool:
    """Whether the last of the bytes told how the answer ended.

    A frame that could not be understood there was cut in half, which is no news after the cut
    itself: it is taken off.
    """
    match events[-1] if events else None:
        case End():
            return True
        case Failure(error=error) if not is_garbled(error):
            return True
        case Failure():
            events.pop()
        case _:
            pass
    return False
