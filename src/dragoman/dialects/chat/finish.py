"""Why a choice ended, in chat's words and in ours (`dialects.md` §3.2)."""

from __future__ import annotations

from typing import Literal, assert_never

from dragoman.core.errors import UpstreamError
from dragoman.core.response import Finish, FinishReason

ChatFinish = Literal["stop", "length", "tool_calls", "content_filter"]

_READ: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",  # Together
    "length": "length",
    "model_length": "length",  # Mistral
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


def read_finish(raw: str | None, *, has_calls: bool) -> Finish:
    """The finish of a choice, in accord with what was called in it (P46).

    ``length`` and ``content_filter`` are never turned into tool calls: the call may be cut.
    An unknown word is ``unknown`` and kept (P22).
    """
    reason = _READ.get(raw, "unknown") if raw else "unknown"
    if has_calls and reason in {"stop", "unknown"}:
        reason = "tool_calls"
    elif reason == "tool_calls" and not has_calls:
        reason = "stop"
    return Finish(reason, raw or None)


def failed_finish(raw: str) -> UpstreamError | None:
    """The failure that a finish reason says, if it says one."""
    if raw == "error":
        return UpstreamError(
            "upstream",
            "The provider ended the answer with an error.",
            upstream_status=200,
            code="provider_error",
            retryable=True,
        )
    if raw == "insufficient_system_resource":  # DeepSeek
        return UpstreamError(
            "overloaded",
            "The provider ran out of resources while it answered.",
            upstream_status=200,
            code="upstream_overloaded",
            retryable=True,
        )
    return None


def write_finish(finish: Finish, *, has_calls: bool) -> ChatFinish:
    """Chat's word for the end of a choice, in accord with what was called in it (P46).

    Raises:
        UpstreamError: the finish is a failure, which chat has no finish reason for (P137).
    """
    match finish.reason:
        case "stop" | "stop_sequence" | "pause" | "unknown":
            return "tool_calls" if has_calls else "stop"
        case "tool_calls":
            return "tool_calls" if has_calls else "stop"
        case "length" | "context_overflow":
            return "length"
        case "content_filter" | "refusal":
            return "content_filter"
        case "malformed_tool_call":
            raise UpstreamError(
                "upstream",
                "The model wrote a tool call that its provider could not read.",
                code="upstream_malformed_tool_call",
                upstream_status=200,
                retryable=True,
            )
        case "error":
            raise UpstreamError(
                "upstream",
                "The provider ended the answer with an error.",
                code="provider_error",
                upstream_status=200,
                retryable=True,
            )
        case _:
            assert_never(finish.reason)
