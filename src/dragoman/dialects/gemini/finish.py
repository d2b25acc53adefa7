"""Why an answer ended: ``finishReason`` ↔ the canonical finish (`dialects.md` §3.2)."""

from __future__ import annotations

from dragoman.core.response import Finish, FinishReason

_NUMBERS = (
    "FINISH_REASON_UNSPECIFIED",
    "STOP",
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "OTHER",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
    "IMAGE_SAFETY",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_OTHER",
    "NO_IMAGE",
    "IMAGE_RECITATION",
    "MISSING_THOUGHT_SIGNATURE",
    "MALFORMED_RESPONSE",
)
"""The words by their numbers, which some clients ask for (``$alt=json;enum-encoding=int``)."""

_FILTERED = {
    "SAFETY",
    "RECITATION",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_OTHER",
    "IMAGE_RECITATION",
    "MODEL_ARMOR",
}
_MALFORMED = {
    "MALFORMED_FUNCTION_CALL",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "MISSING_THOUGHT_SIGNATURE",
    "MALFORMED_RESPONSE",
}

READ: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "pause",
    **dict.fromkeys(_FILTERED, "content_filter"),
    **dict.fromkeys(_MALFORMED, "malformed_tool_call"),
}

WRITE: dict[FinishReason, str] = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "length": "MAX_TOKENS",
    "context_overflow": "MAX_TOKENS",
    "tool_calls": "STOP",
    "content_filter": "SAFETY",
    "refusal": "SAFETY",
    "pause": "CONTINUATION",
    "malformed_tool_call": "MALFORMED_FUNCTION_CALL",
    "error": "OTHER",
    "unknown": "OTHER",
}


def word(value: object) -> str | None:
    """The reason's word, whether it came as one or as its number; None if it says nothing."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = _NUMBERS[value] if 0 <= value < len(_NUMBERS) else f"FINISH_REASON_{value}"
    if not isinstance(value, str) or value in {"", "FINISH_REASON_UNSPECIFIED"}:
        return None
    return value


def read_finish(raw: str | None, *, has_calls: bool, explanation: str | None = None) -> Finish:
    """The canonical finish; Gemini says STOP for calls too (P45)."""
    reason = READ.get(raw or "", "unknown")
    if reason in {"stop", "unknown"} and has_calls:
        reason = "tool_calls"
    return Finish(reason, raw=raw, explanation=explanation)


def write_finish(finish: Finish) -> str:
    """Gemini's word: its own where it said one."""
    if finish.raw is not None and READ.get(finish.raw) in {
        "content_filter",
        "malformed_tool_call",
    }:
        return finish.raw
    return WRITE[finish.reason]
