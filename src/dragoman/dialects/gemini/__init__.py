"""Gemini's generateContent: the dialect of ``/v1beta/models/{model}``, in both directions."""

from __future__ import annotations

from dragoman.dialects.base import Dialect, Embodied
from dragoman.dialects.gemini.error import error_status, read_error, write_error
from dragoman.dialects.gemini.patch import patch_request
from dragoman.dialects.gemini.read import read_request
from dragoman.dialects.gemini.relay import GeminiRelay
from dragoman.dialects.gemini.response import read_response, tap_response, write_response
from dragoman.dialects.gemini.stream_read import GeminiStreamReader
from dragoman.dialects.gemini.stream_write import GeminiStreamWriter
from dragoman.dialects.gemini.whole_stream import response_frames
from dragoman.dialects.gemini.write import write_request

__all__ = ["GEMINI"]

_EMBODIED = Embodied(
    frozenset({"image", "document", "audio", "video"}),
    but=(
        "gs://",
        *(f"https://{host}/" for host in ("www.youtube.com", "youtube.com", "youtu.be")),
    ),
)
"""Google fetches films of YouTube's and what lies with Google; older models nothing else (P79)."""

GEMINI = Dialect(
    family="gemini",
    content_type="application/json",
    stream_content_type="text/event-stream",
    heartbeat=None,
    read_request=read_request,
    write_request=write_request,
    patch_request=patch_request,
    read_response=read_response,
    write_response=write_response,
    tap_response=tap_response,
    stream_reader=GeminiStreamReader,
    stream_writer=GeminiStreamWriter,
    relay=GeminiRelay,
    read_error=read_error,
    write_error=write_error,
    error_status=error_status,
    response_frames=response_frames,
    embodied=_EMBODIED,
    no_stream=b"{<",  # An array is a stream too, where the provider knows no alt=sse (P10).
)
