"""OpenAI Responses: the dialect of ``/v1/responses``, in both directions."""

from __future__ import annotations

from dragoman.dialects.base import Dialect
from dragoman.dialects.openai_errors import read_error
from dragoman.dialects.responses.error import write_error
from dragoman.dialects.responses.frames import HEARTBEAT
from dragoman.dialects.responses.patch import patch_request
from dragoman.dialects.responses.read import read_request
from dragoman.dialects.responses.relay import ResponsesRelay
from dragoman.dialects.responses.reply_write import write_response
from dragoman.dialects.responses.response import read_response, tap_response
from dragoman.dialects.responses.steps import STEPS
from dragoman.dialects.responses.stream_read import ResponsesStreamReader
from dragoman.dialects.responses.stream_write import ResponsesStreamWriter
from dragoman.dialects.responses.whole_stream import response_frames
from dragoman.dialects.responses.write import write_request

__all__ = ["RESPONSES"]

RESPONSES = Dialect(
    family="responses",
    content_type="application/json",
    stream_content_type="text/event-stream; charset=utf-8",
    heartbeat=HEARTBEAT,
    read_request=read_request,
    write_request=write_request,
    patch_request=patch_request,
    read_response=read_response,
    write_response=write_response,
    tap_response=tap_response,
    stream_reader=ResponsesStreamReader,
    stream_writer=ResponsesStreamWriter,
    relay=ResponsesRelay,
    read_error=read_error,
    write_error=write_error,
    response_frames=response_frames,
    steps=frozenset(STEPS),
)
