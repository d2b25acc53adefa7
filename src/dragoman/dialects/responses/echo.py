"""The head of a response: what the official client requires, and what was asked for, told again (P147)."""

from __future__ import annotations

from dragoman.core.request import HostedTool, Request
from dragoman.dialects.base import Context, Target
from dragoman.dialects.members import Object
from dragoman.dialects.responses.draft import Draft
from dragoman.dialects.responses.write import TIERS, write_form
from dragoman.dialects.responses.write_tools import write_choice, write_tool

_FOREIGN = ("chatcmpl-", "msg_", "gen-")


def hex_of(context: Context) -> str:
    """The call's own 32 hex digits."""
    return context.call_id.replace("-", "")[:32]


def response_id(given: str, context: Context) -> str:
    """The provider's id under this dialect's prefix; one made of the call's where there is none (P134)."""
    if not given:
        return f"resp_{hex_of(context)}"
    if given.startswith("resp_"):
        return given
    for prefix in _FOREIGN:
        if given.startswith(prefix) and len(given) > len(prefix):
            return f"resp_{given.removeprefix(prefix)}"
    return f"resp_{given}"


def head(
    given: str, model: str, created: int | None, tier: str | None, context: Context
) -> Object:
    """Every member of a response but those that its end decides."""
    asked = context.request
    text = write_form(asked.output) if asked is not None else {}
    text.setdefault("format", {"type": "text"})
    body: Object = {
        "id": response_id(given, context),
        "object": "response",
        "created_at": context.created if created is None else created,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": asked.max_tokens if asked else None,
        "max_tool_calls": None,
        "model": model or context.model,
        "output": [],
        "parallel_tool_calls": not (asked and asked.parallel_tools is False),
        "previous_response_id": None,
        "reasoning": _reasoning(asked),
        "service_tier": tier if tier in TIERS else None,
        "store": False,
        "temperature": asked.sampling.temperature if asked else None,
        "text": text,
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": (asked.sampling.top_logprobs if asked else None) or 0,
        "top_p": asked.sampling.top_p if asked else None,
        "truncation": "disabled",
        "usage": None,
        "user": asked.end_user if asked else None,
        "metadata": (asked.metadata if asked else None) or {},
    }
    if asked is not None:
        _tools(body, asked)
        if asked.cache_key is not None:
            body["prompt_cache_key"] = asked.cache_key
        if asked.safety_id is not None:
            body["safety_identifier"] = asked.safety_id
    return body


def _reasoning(asked: Request | None) -> Object:
    wish = asked.reasoning if asked is not None else None
    shown = wish is not None and wish.visibility in {"full", "summary"}
    return {"effort": wish.effort if wish else None, "summary": "auto" if shown else None}


def _tools(body: Object, asked: Request) -> None:
    """The caller's own tools, under its own names."""
    draft = Draft(Target("", ""))
    body["tools"] = [
        tool.payload if isinstance(tool, HostedTool) else write_tool(tool, "tools", draft)
        for tool in asked.tools
    ]
    if asked.tool_choice is not None:
        body["tool_choice"] = write_choice(asked.tool_choice, asked, draft)
