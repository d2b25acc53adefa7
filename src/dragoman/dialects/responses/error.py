"""Failures as a client of this dialect is told them; reading is that of both of OpenAI's dialects."""

from __future__ import annotations

from dragoman.core.errors import GatewayError, UpstreamError
from dragoman.dialects import broken, openai_errors
from dragoman.dialects.base import ErrorContext, ErrorReply
from dragoman.dialects.openai_errors import error_object, known_of_refusal
from dragoman.dialects.responses.wire import encode


def read_stream_error(data: bytes) -> UpstreamError:
    """A failure inside a 200, as if it had come with the status that belongs to it (P140)."""
    return openai_errors.read_error(200, {}, data)


def write_error(error: GatewayError, context: ErrorContext) -> ErrorReply:
    """The error as an HTTP response for a client of this dialect."""
    told = error_object(error, known_of_refusal(error, context))
    return ErrorReply(error.status, encode({"error": told}))


def malformed(wanted: str = "a response of its own dialect") -> UpstreamError:
    """A frame or a body that is not what was asked for."""
    return broken.malformed(wanted)
