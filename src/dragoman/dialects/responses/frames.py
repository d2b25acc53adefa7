"""One event of a stream as bytes, and the two that end a stream which failed."""

from __future__ import annotations

import msgspec

from dragoman.core.errors import INFRASTRUCTURE, GatewayError
from dragoman.dialects.members import Object
from dragoman.dialects.openai_errors import error_object
from dragoman.dialects.responses.wire import encode

HEARTBEAT = b": ping\n\n"
"""Between events only: a comment, which clients of this dialect pass over (P15)."""


def frame(kind: str, sequence: int, members: Object) -> bytes:
    """One event: its name twice, as clients look for it, and its number in the stream (P146)."""
    data = encode({"type": kind, "sequence_number": sequence, **members})
    if b"\n" in data:  # Only raw JSON of a pretty-printed reply has line ends.
        data = msgspec.json.format(data, indent=-1)
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), data)


def failure_frames(
    error: GatewayError, house: dict[str, object], response: Object, sequence: int
) -> bytes:
    """The terminal error (D3): ``error``, which clients raise on, and ``response.failed`` behind it.

    The first is told twice, flat and nested: the schema has the one, OpenAI sends the other, and
    its own client raises on the nested alone (§6).
    """
    told = error_object(error, house)
    code = told["code"] or told["type"]
    flat: Object = {
        "code": code,
        "message": told["message"],
        "param": told["param"],
        "error": told,
    }
    failed = {
        **response,
        "status": "failed",
        "error": {"code": _code(error), "message": told["message"]},
        "incomplete_details": None,
    }
    return frame("error", sequence, flat) + frame(
        "response.failed", sequence + 1, {"response": failed}
    )


def _code(error: GatewayError) -> str:
    """The reason of a response that failed, which is one of a closed list; the event before it says more."""
    if error.kind in {"rate_limit", "quota"}:
        return "rate_limit_exceeded"
    return "server_error" if error.kind in INFRASTRUCTURE else "invalid_prompt"
