"""Why an answer is not given again, in words."""

from __future__ import annotations

from dragoman.core.errors import CallerError, HouseError
from dragoman.reuse.wish import KEY, LAST_EVENT, RESUMABLE

COME_BACK_S = 5.0


def differs() -> CallerError:
    """The key names another request."""
    return CallerError(
        "unprocessable",
        "This Idempotency-Key was used for another request; make a new key for each request, and send "
        "a repeated one unchanged.",
        code="idempotency_key_reused",
        param=KEY,
    )


def still_under_way(waited_s: float) -> CallerError:
    """Its answer is being made elsewhere, and takes longer than anybody waits."""
    return CallerError(
        "conflict",
        f"The first request with this Idempotency-Key is still being answered after {waited_s:g} seconds; "
        "ask again with the same key.",
        code="request_in_progress",
        param=KEY,
        retry_after_s=COME_BACK_S,
        retryable=True,
    )


def not_allowed(*, keyed: bool) -> CallerError:
    """The operator has nothing kept for callers (D30)."""
    what = "An Idempotency-Key" if keyed else "A resumable stream"
    return CallerError(
        "invalid_request",
        f"{what} asks the gateway to keep the answer, and this one keeps nothing for its callers "
        "(allow_client_storage is off); leave the header out.",
        code="storage_not_allowed",
        param=KEY if keyed else RESUMABLE,
    )


def no_stream(call_id: str) -> CallerError:
    """Nothing can be resumed: another tenant's, never there, cut too long ago, or no stream of events."""
    return CallerError(
        "not_found",
        f"There is no stream of the call {call_id[:40]!r} that could be resumed; ask for it anew, without "
        "Last-Event-ID.",
        code="stream_not_found",
        param=LAST_EVENT,
    )


def unresumable(reason: str) -> CallerError:
    """What was asked for with ``x-dragoman-strict``, and cannot be."""
    return CallerError(
        "unsupported_feature",
        f"x-dragoman-strict is set, and the answer cannot be resumable: {reason}.",
        code="unsupported_feature",
        param=RESUMABLE,
    )


def not_cached() -> CallerError:
    """``only-if-cached``, and it is not (RFC 9111, 5.2.1.7)."""
    return CallerError(
        "timeout",
        "The cache has no answer to this request, and cache-control says only-if-cached.",
        code="not_cached",
        param="cache-control",
    )


def interrupted() -> HouseError:
    """The recording was ended before there was an answer."""
    return HouseError(
        "overloaded",
        "The answer was given up before it was there; ask again.",
        code="server_draining",
        retryable=True,
    )
