"""A completion in canonical form."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Raw, Struct

from dragoman.core.parts import Ext, Part
from dragoman.core.usage import Usage

FinishReason: TypeAlias = Literal[
    "stop",
    "stop_sequence",
    "length",
    "context_overflow",
    "tool_calls",
    "content_filter",
    "refusal",
    "pause",
    "malformed_tool_call",
    "error",
    "unknown",
]
"""Why a choice ended (`dialects.md` §3.2)."""


class Finish(Struct, frozen=True, gc=False):
    """The end of a choice; ``raw`` is the provider's own word."""

    reason: FinishReason
    raw: str | None = None
    stop_sequence: str | None = None
    details: Raw | None = None
    """Anthropic's ``stop_details``, verbatim."""
    explanation: str | None = None


class Choice(Struct, frozen=True, gc=False):
    """One answer; ``logprobs`` in OpenAI's shape, verbatim."""

    parts: tuple[Part, ...]
    finish: Finish
    index: int = 0
    logprobs: Raw | None = None
    ext: Ext | None = None


class Response(Struct, frozen=True, gc=False):
    """A whole answer; ``created`` in Unix seconds; ``model`` as the provider wrote it (D4)."""

    id: str
    model: str
    choices: tuple[Choice, ...]
    usage: Usage | None = None
    created: int | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    ext: Ext | None = None


class Embeddings(Struct, frozen=True, gc=False):
    """Vectors in the order of the inputs."""

    model: str
    vectors: tuple[tuple[float, ...], ...]
    usage: Usage | None = None
