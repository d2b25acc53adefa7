"""Words of OpenTelemetry's conventions for generative AI, one for each of ours.

https://github.com/open-telemetry/semantic-conventions-genai (all of it is in development there).
"""

from __future__ import annotations

from dragoman.core.call import Call
from dragoman.core.provider import Family, Operation

_PROVIDERS = {
    "azure-openai": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "google": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex": "gcp.vertex_ai",
    "xai": "x_ai",
}
_FINISHES = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "context_overflow": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "malformed_tool_call": "error",
    "error": "error",
}
_TEXT: frozenset[Family] = frozenset({"completions", "generate"})

DURATION_BUCKETS = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
)  # fmt: skip
"""Seconds: of ``gen_ai.client.operation.duration``, ``.time_to_first_chunk`` and ``.time_per_output_chunk``."""
TOKEN_BUCKETS = (
    1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864,
)  # fmt: skip
"""Of ``gen_ai.client.token.usage``."""


def provider_word(provider: str) -> str:
    """``gen_ai.provider.name``: a known provider's in the conventions' spelling, else its own."""
    return _PROVIDERS.get(provider, provider)


def finish_word(reason: str) -> str:
    """One of ``gen_ai.response.finish_reasons``."""
    return _FINISHES.get(reason, reason)


def operation_word(operation: Operation, dialect: Family) -> str:
    """``gen_ai.operation.name``; counting tokens has none of its own there."""
    return "text_completion" if operation == "chat" and dialect in _TEXT else operation


def operation_of(call: Call) -> str:
    """``operation_word`` of a call."""
    # Spelt out: it is asked at the end of every attempt.
    return (
        operation_word(call.operation, call.dialect) if call.dialect in _TEXT else call.operation
    )
