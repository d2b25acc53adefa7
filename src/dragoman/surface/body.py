"""Reading a request's body: under its cap, within its time, before anything is kept of it."""

from __future__ import annotations

import asyncio

from starlette.types import Receive

from dragoman.core.errors import CallerError

SLOW_BODY_S = 60.0
"""A body that has not come by then is refused with 408 (L8)."""


class ClientGoneError(Exception):
    """The caller closed the connection before its request was complete."""


async def read_body(receive: Receive, headers: dict[str, str], cap: int) -> bytes:
    """The whole body.

    Raises:
        CallerError: 413 over the cap, judged by the declared length before a byte is read;
            408 when it comes too slowly; 415 when it is compressed.
        ClientGoneError: the caller left.
    """
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        raise CallerError(
            "invalid_request",
            f"Compressed bodies ({encoding[:20]}) are not accepted; send the JSON as it is.",
            status=415,
            code="unsupported_media_type",
        )
    declared = headers.get("content-length", "")
    if declared.isdigit() and int(declared) > cap:
        raise _too_large(cap)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(body) > cap:
            raise _too_large(cap)
        return body
    pieces = [body]
    size = len(body)
    try:
        async with asyncio.timeout(SLOW_BODY_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError
                piece: bytes = message.get("body", b"")
                size += len(piece)
                if size > cap:
                    raise _too_large(cap)
                pieces.append(piece)
                if not message.get("more_body", False):
                    return b"".join(pieces)
    except TimeoutError:
        raise CallerError(
            "timeout",
            f"The request body did not arrive within {SLOW_BODY_S:g} seconds.",
            status=408,
            code="request_timeout",
        ) from None


def _too_large(cap: int) -> CallerError:
    return CallerError(
        "too_large",
        f"The request body is larger than the {cap} bytes that this gateway takes.",
        code="request_too_large",
    )
