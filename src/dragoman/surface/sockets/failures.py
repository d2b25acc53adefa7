"""Which of a WebSocket's few codes stands for a failure, whose whole story goes beside it."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Raw, Struct

from dragoman.dialects.retry_after import read_retry_after
from dragoman.surface.sockets.frames import ErrorCode, Refused

LIMITED = "Rate limit exceeded"
"""R-WS-008."""
_CONFIG = frozenset({"configuration_error", "no_own_credential"})


class _Error(Struct):
    message: str = ""
    type: str | None = None
    code: str | int | None = None


class _Body(Struct):
    error: Raw


_BODY = msgspec.json.Decoder(_Body)
_ERROR = msgspec.json.Decoder(_Error)


def code_of(status: int, code: str, *, streams: bool) -> ErrorCode:
    """The frame's code for what a POST would have got.

    Args:
        status: that of the answer.
        code: the error's own.
        streams: whether the answer was to be streamed.
    """
    if code in _CONFIG:
        return "config"
    if status in {401, 403}:
        return "auth"
    if status in {402, 429}:
        return "rate_limited"
    if status < 500:
        return "bad_request"
    return "stream_error" if streams else "internal"


def refused(
    request_id: str, status: int, headers: dict[str, str], body: bytes, *, streams: bool
) -> Refused:
    """An answer that is an error, as a frame."""
    whole, error = read_error(body)
    code = code_of(status, str(error.code or headers.get("x-error-code", "")), streams=streams)
    message = error.message or f"The answer's status is {status}."
    if error.type == "rate_limit_error":
        message = LIMITED
    return Refused(code, message, request_id, status, _wait(headers), whole, headers)


def broken(request_id: str, chunk: bytes, headers: dict[str, str]) -> Refused:
    """A failure in the middle of a stream, as a frame."""
    whole, error = read_error(chunk)
    message = error.message or "The stream broke off."
    return Refused("stream_error", message, request_id, error=whole, headers=headers)


def read_error(body: bytes) -> tuple[Raw, _Error]:
    """The error in a body of the chat dialect."""
    try:
        whole = _BODY.decode(body).error
        return Raw(bytes(whole)), _ERROR.decode(whole)
    except (msgspec.DecodeError, RecursionError):
        return Raw(b"null"), _Error()


def _wait(headers: dict[str, str]) -> float | msgspec.UnsetType:
    seconds = read_retry_after(headers)
    return UNSET if seconds is None else seconds
