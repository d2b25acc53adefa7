"""Anthropic Messages: the dialect of ``/v1/messages``, in both directions."""

from __future__ import annotations

from dragoman.dialects.anthropic.count_tokens import (
    estimate_tokens,
    patch_count_tokens,
    read_count,
    write_count,
)
from dragoman.dialects.anthropic.error import error_status, read_error, write_error
from dragoman.dialects.anthropic.patch import patch_request
from dragoman.dialects.anthropic.read import read_count_request, read_request
from dragoman.dialects.anthropic.relay import AnthropicRelay
from dragoman.dialects.anthropic.response import read_response, tap_response, write_response
from dragoman.dialects.anthropic.stream_read import AnthropicStreamReader
from dragoman.dialects.anthropic.stream_write import PING, AnthropicStreamWriter
from dragoman.dialects.anthropic.whole_stream import response_frames
from dragoman.dialects.anthropic.write import write_request
from dragoman.dialects.base import Dialect

__all__ = [
    "ANTHROPIC",
    "estimate_tokens",
    "patch_count_tokens",
    "read_count",
    "read_count_request",
    "write_count",
]

ANTHROPIC = Dialect(
    family="anthropic",
    content_type="application/json",
    stream_content_type="text/event-stream; charset=utf-8",
    heartbeat=PING,
    read_request=read_request,
    write_request=write_request,
    patch_request=patch_request,
    read_response=read_response,
    write_response=write_response,
    tap_response=tap_response,
    stream_reader=AnthropicStreamReader,
    stream_writer=AnthropicStreamWriter,
    relay=AnthropicRelay,
    read_error=read_error,
    write_error=write_error,
    error_status=error_status,
    response_frames=response_frames,
)
