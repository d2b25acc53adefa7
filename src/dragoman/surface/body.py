"""Reading a request's body: under its cap, within its time, before anything is kept of it."""

from __future__ import annotations

import asyncio

from starlette.types import Receive

from dragoman.core.errors import CallerError
from dragoman.surface.turn import Turn

SLOW_BODY_S = 60.0
"""A body that has not come by then is refused with 408 (L8)."""


class ClientGoneError(Exception):
    """The caller closed the connection before its request was complete."""


async def read_body(
    receive: Receive, headers: dict[str, str], cap: int, turn: Turn | None = None
) -> bytes:
    """The whole body; one that the ``turn`` already has is taken at once.

    Raises:
        CallerError: 413 over the cap, judged by the declared length before a byte is read;
            408 when it comes too slowly; 415 when it is compressed.
        ClientGoneError: the caller left.
    """
    if "content-encoding" in headers:
        _check_encoding(headers["content-encoding"])
    declared = headers.get("content-length", "")
    if declared.isdigit() and int(declared) > cap:
        raise too_large(cap)
    body = None if turn is None else turn.whole_body()
    if body is None:
        return await _awaited(receive, cap)
    if len(body) > cap:
        raise too_large(cap)
    return body


def _check_encoding(encoding: str) -> None:
    if encoding.strip().lower() not in {"", "identity"}:
        raise CallerError(
            "invalid_request",
            f"Compressed bodies ({encoding[:20]}) are not accepted; send the JSON as it is.",
            status=415,
            code="unsupported_media_type",
        )


async def _awaited(receive: Receive, cap: int) -> bytes:
    patience = _Patience(SLOW_BODY_S)
    try:
        return await _gathered(receive, cap)
    except asyncio.CancelledError:
        if not patience.is_over():
            raise
    finally:
        patience.end()
    raise CallerError(
        "timeout",
        f"The request body did not arrive within {SLOW_BODY_S:g} seconds.",
        status=408,
        code="request_timeout",
    )


async def _gathered(receive: Receive, cap: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        piece: bytes = message.get("body", b"")
        size += len(piece)
        if size > cap:
            raise too_large(cap)
        pieces.append(piece)
        if not message.get("more_body", False):
            return b"".join(pieces) if len(pieces) > 1 else piece


class _Patience:
    """Cancels its task after so long; ``asyncio.timeout`` costs every request five times as much."""

    __slots__ = ("_handle", "_over", "_task")

    def __init__(self, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None, "a request runs in a task"
        self._task = task
        self._over = False
        self._handle = asyncio.get_running_loop().call_later(seconds, self._expire)

    def _expire(self) -> None:
        self._over = True
        self._task.cancel()

    def is_over(self) -> bool:
        """Whether the cancellation just caught is this one and no other; takes it back."""
        return self._over and self._task.uncancel() == 0

    def end(self) -> None:
        self._handle.cancel()


def too_large(cap: int) -> CallerError:
    """Why a body over the cap is refused."""
    return CallerError(
        "too_large",
        f"The request body is larger than the {cap} bytes that this gateway takes.",
        code="request_too_large",
    )
