"""The shape of nearly every whole reply that calls no tool: one text, read by one decode that takes nothing odd.

What is checked here by types need not be looked at again: each count is one that may be charged, the end is one
that is known. Whatever is otherwise is None here and read block by block (``response.py``).
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from dragoman.core.parts import Text
from dragoman.core.response import Choice, Finish, Response
from dragoman.core.usage import LARGEST, Usage
from dragoman.dialects.anthropic import wire
from dragoman.dialects.anthropic.finish import READ
from dragoman.dialects.anthropic.usage import tier_of

_Count = Annotated[int, Meta(ge=0, le=LARGEST)]
"""What ``core.usage.count`` leaves as it is."""


class _Text(Struct, gc=False, forbid_unknown_fields=True):
    type: Literal["text"]
    text: str
    citations: None = None
    cache_control: None = None


class _Written(Struct, gc=False):
    ephemeral_1h_input_tokens: _Count | None = None


class _Details(Struct, gc=False):
    thinking_tokens: _Count | None = None


class _Searches(Struct, gc=False):
    web_search_requests: _Count | None = None


class _Usage(Struct, gc=False):
    input_tokens: _Count
    output_tokens: _Count | None = None
    cache_read_input_tokens: _Count | None = None
    cache_creation_input_tokens: _Count | None = None
    cache_creation: _Written | None = None
    output_tokens_details: _Details | None = None
    server_tool_use: _Searches | None = None
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: Literal["global", "not_available"] | None = None
    iterations: None = None


class _Regular(Struct, gc=False):
    content: tuple[_Text]
    stop_reason: Literal["end_turn", "max_tokens", "stop_sequence", "refusal"]
    usage: _Usage
    type: Literal["message"] | None = None
    id: str | None = None
    model: str | None = None
    stop_sequence: str | None = None
    stop_details: None = None
    container: None = None
    context_management: None = None
    diagnostics: None = None


_DECODE = msgspec.json.Decoder(_Regular).decode
_ENDS = {word: Finish(READ[word], word) for word in READ}
TIER_READ = {"standard": "default", "priority": "priority", "batch": "batch", "fast": "fast"}
"""Service tiers in our words."""


def read_regular(body: bytes, asked: str) -> Response | None:
    """The response; ``asked`` is the model where the reply names none. None: it is not of this shape."""
    try:
        reply = _DECODE(body)
    except wire.BAD_JSON:
        return None
    reason, sequence, usage = reply.stop_reason, reply.stop_sequence, reply.usage
    finish = _ENDS[reason] if sequence is None else Finish(READ[reason], reason, sequence)
    tier = tier_of(usage.service_tier, usage.speed)
    return Response(
        reply.id or "",
        reply.model or asked,
        (Choice((Text(reply.content[0].text),), finish),),
        _usage_of(usage),
        None,
        None if tier is None else TIER_READ.get(tier),
    )


def _usage_of(usage: _Usage) -> Usage:
    read, written = usage.cache_read_input_tokens, usage.cache_creation_input_tokens
    writes, details = usage.cache_creation, usage.output_tokens_details
    searches = usage.server_tool_use
    return Usage(
        usage.input_tokens + (read or 0) + (written or 0),
        read,
        written,
        None if writes is None else writes.ephemeral_1h_input_tokens,
        usage.output_tokens,
        None,
        None if details is None else details.thinking_tokens,
        None,
        None,
        None,
        None,
        None,
        None if searches is None else searches.web_search_requests,
    )
