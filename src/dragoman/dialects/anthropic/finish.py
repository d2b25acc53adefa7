"""Why an answer ended: ``stop_reason`` ↔ the canonical finish (`dialects.md` §3.2)."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from dragoman.core.response import Finish, FinishReason
from dragoman.dialects.anthropic import wire

READ: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "context_overflow",
    "tool_use": "tool_calls",
    "refusal": "refusal",
    "pause_turn": "pause",
}

WRITE: dict[FinishReason, str] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "context_overflow": "model_context_window_exceeded",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "refusal": "refusal",
    "pause": "pause_turn",
    "malformed_tool_call": "end_turn",
    "error": "end_turn",
    "unknown": "end_turn",
}

BROKEN: frozenset[FinishReason] = frozenset({"malformed_tool_call", "error"})
"""Ends that are failures and never told as a completion (P137)."""


class _Details(Struct, frozen=True):
    explanation: str | None = None


_DETAILS = msgspec.json.Decoder(_Details)


def read_finish(
    reason: str | None, sequence: str | None, details: Raw, *, has_calls: bool
) -> Finish:
    """The canonical finish; calls that the caller has to run decide over the provider's word (P46, P65)."""
    known = READ.get(reason or "", "unknown")
    if known == "tool_calls" and not has_calls:
        known = "stop"
    elif known in {"stop", "unknown"} and has_calls:
        known = "tool_calls"
    if wire.is_null(details):
        return Finish(known, raw=reason, stop_sequence=sequence)
    own = Raw(wire.compact(details).encode())
    try:
        explanation = _DETAILS.decode(own).explanation
    except wire.BAD_JSON:
        explanation = None
    return Finish(known, raw=reason, stop_sequence=sequence, details=own, explanation=explanation)


def write_reason(finish: Finish, *, has_calls: bool, refused: bool) -> str:
    """The ``stop_reason`` that fits what was said (R-XLATE-023)."""
    reason = WRITE[finish.reason]
    if reason == "tool_use" and not has_calls:
        reason = "end_turn"
    if reason == "end_turn":
        if has_calls:
            return "tool_use"
        if refused:
            return "refusal"
    return reason


def write_details(finish: Finish, reason: str, refusal: str) -> Raw | None:
    """``stop_details``: the provider's own, or those of a refusal that another dialect put in words."""
    if finish.details is not None:
        return finish.details
    explanation = finish.explanation or refusal
    if reason != "refusal" or not explanation:
        return None
    told = {"type": "refusal", "category": None, "explanation": explanation}
    return Raw(wire.encode(told))
