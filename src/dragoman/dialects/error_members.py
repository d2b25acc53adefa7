"""What we say of a failure beside the words of a dialect (R-ADD-024)."""

from __future__ import annotations

from dragoman.core.errors import INFRASTRUCTURE, GatewayError, code_of, may_try_again, told_wait
from dragoman.dialects.base import Context, ErrorContext


def told(context: Context) -> ErrorContext:
    """What an error inside a stream says of the request."""
    return ErrorContext(context.request_id or context.call_id, context.trace_id)


def error_members(error: GatewayError, context: ErrorContext, *, spent: bool) -> dict[str, object]:
    """The members that are known of a failure; ``spent`` where no retry of ours is left."""
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
    return members | {name: said for name, said in optional if said is not None}
