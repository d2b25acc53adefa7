"""Why an answer ended: ``status`` and ``incomplete_details`` ↔ the canonical finish (`dialects.md` §3.2)."""

from __future__ import annotations

from dragoman.core.errors import UpstreamError
from dragoman.core.response import Finish, FinishReason

_INCOMPLETE: dict[str, FinishReason] = {
    "max_output_tokens": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
}

_REASON: dict[FinishReason, str] = {
    "length": "max_output_tokens",
    "context_overflow": "max_output_tokens",
    "content_filter": "content_filter",
    "refusal": "content_filter",
}

BROKEN: frozenset[FinishReason] = frozenset({"malformed_tool_call", "error"})
"""Ends that are failures and never told as a completion (P137)."""


def read_finish(status: str | None, reason: str | None, *, has_calls: bool) -> Finish:
    """The canonical finish; what is incomplete is never turned into tool calls."""
    if status == "incomplete":
        return Finish(
            _INCOMPLETE.get(reason or "", "length" if reason is None else "unknown"), reason
        )
    return Finish("tool_calls" if has_calls else "stop", status)


def incomplete_reason(finish: Finish) -> str | None:
    """The reason of an incomplete response; None: it is complete."""
    return _REASON.get(finish.reason)


def broken_finish(finish: Finish) -> UpstreamError:
    """An end that no completion may be made of."""
    return UpstreamError(
        "upstream",
        "The provider's model ended its answer with an error.",
        code=(
            "upstream_malformed_tool_call"
            if finish.reason == "malformed_tool_call"
            else "provider_error"
        ),
        upstream_status=200,
        retryable=True,
    )
