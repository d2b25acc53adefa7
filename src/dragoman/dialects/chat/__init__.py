"""OpenAI Chat Completions, and everyone who speaks it: one record of functions."""

from __future__ import annotations

from dragoman.dialects.base import Dialect
from dragoman.dialects.chat.error import write_error
from dragoman.dialects.chat.frames import response_frames
from dragoman.dialects.chat.patch import patch_request
from dragoman.dialects.chat.read import read_request
from dragoman.dialects.chat.relay import open_relay
from dragoman.dialects.chat.reply_write import write_response
from dragoman.dialects.chat.response import read_response, tap_response
from dragoman.dialects.chat.steps import STEPS
from dragoman.dialects.chat.stream_read import stream_reader
from dragoman.dialects.chat.stream_write import HEARTBEAT, stream_writer
from dragoman.dialects.chat.write import write_request
from dragoman.dialects.openai_errors import read_error

__all__ = ["CHAT"]

CHAT = Dialect(
    family="chat",
    content_type="application/json",
    stream_content_type="text/event-stream",
    heartbeat=HEARTBEAT,
    read_request=read_request,
    write_request=write_request,
    patch_request=patch_request,
    read_response=read_response,
    write_response=write_response,
    tap_response=tap_response,
    stream_reader=stream_reader,
    stream_writer=stream_writer,
    relay=open_relay,
    read_error=read_error,
    write_error=write_error,
    response_frames=response_frames,
    steps=frozenset(STEPS),
)
