"""A completion request in canonical form: what the caller means, whatever its dialect.

Absent and null are one thing here (P89): ``None`` means that the caller did not say.
Nothing is ever filled in on reading; only a writer whose target demands a member adds
it, and says so (`decisions.md` D27).
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Raw, Struct

from dragoman.core.parts import CacheMark, Ext, Message, Part

Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]

EFFORT_BUDGET: dict[Effort, int] = {
    "none": 0,
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16384,
    "xhigh": 32768,
    "max": 65536,
}
"""Thinking budgets in tokens for each effort, for dialects that know one of the two only."""


class FunctionTool(Struct, frozen=True, gc=False, tag="function"):
    """A function that the model may call; ``schema`` is JSON Schema, verbatim, None if absent."""

    name: str
    description: str | None = None
    schema: Raw | None = None
    strict: bool | None = None
    cache: CacheMark | None = None
    ext: Ext | None = None


class CustomTool(Struct, frozen=True, gc=False, tag="custom"):
    """A tool whose input is free text, perhaps after a grammar."""

    name: str
    description: str | None = None
    format: Raw | None = None
    ext: Ext | None = None


class HostedTool(Struct, frozen=True, gc=False, tag="hosted"):
    """A tool that the provider itself runs; it exists in its own dialect only (P65)."""

    dialect: str
    kind: str
    payload: Raw


def retention(wish: str | None) -> str | None:
    """How long a cache is wished to be kept, in OpenAI's word for it: a client once sent another (P194)."""
    return "in_memory" if wish == "in-memory" else wish


Tool: TypeAlias = FunctionTool | CustomTool | HostedTool


class ToolChoice(Struct, frozen=True, gc=False):
    """Which tools the model may or must use.

    ``named`` has one name; ``allowed`` has the subset and, in ``required``, whether one must be called.
    """

    mode: Literal["auto", "none", "required", "named", "allowed"]
    names: tuple[str, ...] = ()
    kind: Literal["function", "custom"] = "function"
    required: bool = False


class Sampling(Struct, frozen=True, gc=False):
    """How the next token is drawn."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    stop: tuple[str, ...] = ()
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None


class Output(Struct, frozen=True, gc=False):
    """The form that the answer must have."""

    format: Literal["text", "json", "json_schema"] = "text"
    schema: Raw | None = None
    schema_name: str | None = None
    schema_description: str | None = None
    strict: bool | None = None
    verbosity: str | None = None
    modalities: tuple[str, ...] = ()
    audio: Raw | None = None


class Reasoning(Struct, frozen=True, gc=False):
    """How much the model should think, and how much of it the caller wants to see.

    ``mode`` is what the caller said outright; effort or budget alone leave it None.
    """

    mode: Literal["enabled", "adaptive", "disabled"] | None = None
    effort: Effort | None = None
    budget: int | None = None
    visibility: Literal["full", "summary", "hidden"] | None = None


class Request(Struct, frozen=True, gc=False):
    """Everything that a chat completion can ask for."""

    model: str
    messages: tuple[Message, ...]
    stream: bool = False
    system: tuple[Part, ...] = ()
    """Leading instructions, one part for each message or block."""
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tools: bool | None = None
    sampling: Sampling = Sampling()
    output: Output = Output()
    reasoning: Reasoning = Reasoning()
    max_tokens: int | None = None
    """Upper bound of the answer; 0 is Anthropic's cache prewarm and not the same as None (P170)."""
    cache: CacheMark | None = None
    """Anthropic's top-level mark: cache up to the last block that can be cached."""
    cache_key: str | None = None
    cache_retention: str | None = None
    service_tier: str | None = None
    metadata: dict[str, str] | None = None
    end_user: str | None = None
    safety_id: str | None = None
    store: bool | None = None
    prediction: Raw | None = None
    include_usage: bool = False
    """Whether a chat client asked for usage in its stream (P21)."""
    preferences: Raw | None = None
    """OpenRouter's ``provider`` object: routing has heeded it, and OpenRouter alone is told it again."""
    legacy_functions: bool = False
    """Whether the caller used chat's deprecated ``functions`` (P68)."""
    ext: Ext | None = None


class EmbeddingRequest(Struct, frozen=True, gc=False):
    """Texts (or token ids) to turn into vectors."""

    model: str
    inputs: tuple[str, ...] | tuple[tuple[int, ...], ...]
    single: bool = False
    dimensions: int | None = None
    encoding: Literal["float", "base64"] = "float"
    end_user: str | None = None
    ext: Ext | None = None
