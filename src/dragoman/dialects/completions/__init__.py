"""OpenAI's legacy text completion, ``/v1/completions``, in both directions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from dragoman.core.errors import GatewayError, UpstreamError
from dragoman.dialects.base import Dialect, ErrorContext, ErrorReply
from dragoman.dialects.completions.errors import Errors
from dragoman.dialects.completions.patch import patch_request
from dragoman.dialects.completions.read import read_request
from dragoman.dialects.completions.relay import CompletionsRelay
from dragoman.dialects.completions.response import Replies, write_response
from dragoman.dialects.completions.stream_read import CompletionsStreamReader
from dragoman.dialects.completions.stream_write import HEARTBEAT, CompletionsStreamWriter
from dragoman.dialects.completions.write import write_request

__all__ = ["completions"]


def completions(
    read_error: Callable[[int, dict[str, str], bytes], UpstreamError],
    write_error: Callable[[GatewayError, ErrorContext], ErrorReply],
) -> Dialect:
    """The dialect, told by functions that know OpenAI's errors, which are the same for all of it."""
    errors = Errors(read_error, write_error)
    replies = Replies(errors)
    return Dialect(
        family="completions",
        content_type="application/json",
        stream_content_type="text/event-stream",
        heartbeat=HEARTBEAT,
        read_request=read_request,
        write_request=write_request,
        patch_request=patch_request,
        read_response=replies.read,
        write_response=write_response,
        tap_response=replies.tap,
        stream_reader=partial(CompletionsStreamReader, errors),
        stream_writer=partial(CompletionsStreamWriter, errors),
        relay=partial(CompletionsRelay, errors),
        read_error=read_error,
        write_error=write_error,
        response_frames=replies.frames,
    )
