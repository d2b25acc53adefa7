"""A whole reply as the stream that says the same (P11): one chunk, or the array's elements."""

from __future__ import annotations

from msgspec import Raw

from dragoman.dialects.broken import not_understood
from dragoman.dialects.gemini import wire
from dragoman.dialects.gemini.frames import END
from dragoman.dialects.gemini.response import probe
from dragoman.dialects.gemini.wire import WireError


def response_frames(body: bytes) -> bytes:
    """The frames of a whole reply.

    Raises:
        UpstreamError: the body is an error, or no reply.
    """
    try:
        chunks = wire.items(Raw(body.strip()), "")
        for chunk in chunks:
            probe(bytes(chunk))
        return b"".join(b"data: " + wire.compact(chunk).encode() + END for chunk in chunks)
    except (WireError, *wire.BAD_JSON):
        raise not_understood("a reply") from None
