"""Ollama's own interface: ``/api/chat`` and ``/api/generate``, in both directions.

They are two families, for a frame of one is none of the other; all that they share stands here
once, and a ``Shape`` tells them apart.
"""

from __future__ import annotations

from dataclasses import replace

from dragoman.dialects.base import Dialect, Embodied
from dragoman.dialects.ollama.error import error_status, read_error, write_error
from dragoman.dialects.ollama.patch import patch_request
from dragoman.dialects.ollama.read import read_request as read_chat
from dragoman.dialects.ollama.read_generate import read_request as read_generate
from dragoman.dialects.ollama.relay import OllamaRelay
from dragoman.dialects.ollama.response import (
    read_response,
    responder,
    response_frames,
    tap_response,
)
from dragoman.dialects.ollama.stream_read import OllamaStreamReader
from dragoman.dialects.ollama.stream_write import stream_writer
from dragoman.dialects.ollama.write import write_chat, write_generate

__all__ = ["GENERATE", "OLLAMA"]

_EMBODIED = Embodied(frozenset({"image", "document"}))
"""Images are bytes here, and a document is the text that it holds (P79)."""

OLLAMA = Dialect(
    family="ollama",
    content_type="application/json",
    stream_content_type="application/x-ndjson",
    heartbeat=None,
    read_request=read_chat,
    write_request=write_chat,
    patch_request=patch_request,
    read_response=read_response,
    write_response=responder("chat"),
    tap_response=tap_response,
    stream_reader=OllamaStreamReader,
    stream_writer=stream_writer("chat"),
    relay=OllamaRelay,
    read_error=read_error,
    write_error=write_error,
    error_status=error_status,
    response_frames=response_frames,
    framing="ndjson",
    embodied=_EMBODIED,
    no_stream=b"",  # A line looks like a whole reply, and is none.
)

GENERATE = replace(
    OLLAMA,
    family="generate",
    read_request=read_generate,
    write_request=write_generate,
    write_response=responder("generate"),
    stream_writer=stream_writer("generate"),
)
"""The same wire, with a prompt in the place of messages."""
