"""Routes that stand in no access log and mostly answer in one piece: pages, the admin room, refusals.

A long report comes in pieces. Each is waited for until the caller has taken the one before, and none is made for
a caller that has left; where one fails, the connection is given up, as the half of a report is none.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

from msgspec import Struct
from msgspec.structs import replace
from starlette.types import ASGIApp, Receive, Scope, Send

from dragoman.core.call import Call
from dragoman.core.errors import GatewayError
from dragoman.surface.answer import (
    answer_headers,
    as_gateway_error,
    error_headers,
    error_reply,
    now,
)
from dragoman.surface.body import ClientGoneError
from dragoman.surface.endpoint import Entry, new_call
from dragoman.surface.route import Route


class Whole(Struct, frozen=True):
    """A whole answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = {}
    pieces: AsyncIterator[bytes] | None = None
    """What follows ``body``, where the answer has no known length."""


def whole_endpoint(
    route: Route, entry: Entry, serve: Callable[[Call, Scope, Receive], Awaitable[Whole]]
) -> ASGIApp:
    """The ASGI application of one row; what ``serve`` raises is told in the caller's dialect."""

    async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
        call = new_call(scope, receive, route, entry)
        try:
            found = await serve(call, scope, receive)
        except ClientGoneError:
            return
        except Exception as error:  # noqa: BLE001  whatever it is, the caller gets a clear answer
            told = as_gateway_error(error)
            if told is not error:
                entry.failed(error, call)
            found = failure(told, call)
        finally:
            if call.hold is not None:
                call.hold.leave()
        if found.pieces is None:
            await send_whole(found, call, scope, send)
        else:
            try:
                await _send_pieces(found, found.pieces, call, scope, receive, send)
            except Exception as error:  # noqa: BLE001  the head is out: nothing can be told any more
                entry.failed(error, call)
        if entry.paged is not None:
            entry.paged(call, found.status, now() - call.received)

    return endpoint


async def begun(whole: Whole) -> Whole:
    """The answer with its first piece made: what fails before it is told as a failure."""
    if whole.pieces is None:
        return whole
    return replace(whole, body=await anext(whole.pieces, b""))


async def _send_pieces(
    whole: Whole,
    pieces: AsyncIterator[bytes],
    call: Call,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    gone = asyncio.ensure_future(_left(receive))
    try:
        headers = answer_headers(call, whole.content_type, None, now(), whole.headers)
        await send({"type": "http.response.start", "status": whole.status, "headers": headers})
        if scope["method"] != "HEAD":
            piece: bytes | None = whole.body
            while piece is not None and not gone.done():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                piece = await anext(pieces, None)
            if piece is not None:
                return
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        gone.cancel()
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def failure(error: GatewayError, call: Call, **more: str) -> Whole:
    """The answer that tells an error; ``more``: further headers."""
    reply = error_reply(error, call.dialect, call)
    headers = {**error_headers(error), **more}
    return Whole(reply.status, reply.body, reply.content_type, headers)


async def send_whole(whole: Whole, call: Call, scope: Scope, send: Send) -> None:
    """Sends it; to a HEAD without its body."""
    headers = answer_headers(call, whole.content_type, len(whole.body), now(), whole.headers)
    await send({"type": "http.response.start", "status": whole.status, "headers": headers})
    body = b"" if scope["method"] == "HEAD" else whole.body
    await send({"type": "http.response.body", "body": body})
