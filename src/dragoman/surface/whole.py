"""Routes that answer in one piece, at once, and stand in no access log: pages, the admin room, refusals."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct
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
        await send_whole(found, call, scope, send)
        if entry.paged is not None:
            entry.paged(call, found.status, now() - call.received)

    return endpoint


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
