"""Failures as a chat client is told them; reading is that of both of OpenAI's dialects."""

from __future__ import annotations

import msgspec

from dragoman.core.errors import GatewayError, UpstreamError, code_of
from dragoman.dialects import broken, openai_errors
from dragoman.dialects.base import ErrorContext, ErrorReply
from dragoman.dialects.openai_errors import house_members, known_of_refusal

_ENCODER = msgspec.json.Encoder()

DONE = b"data: [DONE]\n\n"


def write_error(error: GatewayError, context: ErrorContext) -> ErrorReply:
    """The error as an HTTP response for a chat client."""
    told = _error_object(error, known_of_refusal(error, context), context.flavour)
    return ErrorReply(error.status, _ENCODER.encode({"error": told}))


def _error_object(
    error: GatewayError, known: dict[str, object], flavour: str
) -> dict[str, object]:
    """The ``error`` member.

    OpenRouter's clients expect the status as ``code``, and the word for it in ``metadata``.
    """
    if flavour != "openrouter":
        return openai_errors.error_object(error, known)
    metadata: dict[str, object] = {"error_type": code_of(error)}
    if error.provider is not None:
        metadata["provider_name"] = error.provider
    return {
        "code": error.status,
        "message": error.message,
        "metadata": metadata,
        "dragoman": house_members(error, known),
    }


def error_frames(error: GatewayError, known: dict[str, object], flavour: str = "") -> bytes:
    """The terminal error of a stream, and ``[DONE]`` behind it (D3)."""
    frame = {"error": _error_object(error, known, flavour)}
    return b"data: " + _ENCODER.encode(frame) + b"\n\n" + DONE


def malformed(wanted: str = "a chat completion") -> UpstreamError:
    """A frame or a body that is not what was asked for."""
    return broken.malformed(wanted)
