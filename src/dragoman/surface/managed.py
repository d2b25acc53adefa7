"""Routes that manage the gateway: the way from a request to the admin room and back.

Who may use a row is decided here, as for every other route, before anything of the body is read; what a row
does stands in the room ``admin``, which is only there once it was asked for (D32). Whoever is refused by
their role is noted in the audit log.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope

from dragoman.audit.noting import Note
from dragoman.core.call import Call, Caller
from dragoman.core.errors import CallerError
from dragoman.identity.permissions import permit
from dragoman.pipeline import House, find_caller, let_in
from dragoman.surface.body import read_body
from dragoman.surface.endpoint import Entry, proof_of
from dragoman.surface.head import headers_of_scope
from dragoman.surface.route import Route
from dragoman.surface.turn import TURN
from dragoman.surface.whole import Whole, whole_endpoint

BODY_CAP = 1024 * 1024
"""The largest body of these routes, whatever MAX_BODY_BYTES says (I3)."""


@dataclass(frozen=True, slots=True)
class Management:
    """The admin room, as the surface sees it."""

    answer: Callable[[Call, Scope, bytes], Awaitable[Whole]]
    """Answers a request whose caller may make it; raises a ``GatewayError``."""
    refused: Callable[[Call, str], Awaitable[None]]
    """Told of a caller whose role does not reach the row."""
    deed: Callable[[Call, str, str], AbstractAsyncContextManager[Note]]
    """What a page does to what, written down before it is done and after."""
    described: Callable[[], Awaitable[dict[str, object]]]
    """Its part of the interface's description."""
    admit: Callable[[Call], Awaitable[None]]
    """Counts a stranger's request by its address; raises where it is one too many."""
    ingest_cap: int
    """The largest body that strangers may send."""


async def identify_or_note(
    call: Call, route: Route, house: House, management: Management
) -> Caller:
    """Who is calling; whose role does not reach the row is refused, and that is noted."""
    caller = call.caller = await find_caller(call, house)
    try:
        permit(caller, route.permission)
    except CallerError:
        # Each refusal is a row of the audit log: who asks again and again fills it no faster than that.
        await let_in(call, caller, house)
        await management.refused(call, f"{route.method} {route.path}")
        raise
    return caller


def managed_endpoint(route: Route, house: House, entry: Entry, management: Management) -> ASGIApp:
    """The ASGI application of one row."""
    cap = management.ingest_cap if route.permission == "public" else BODY_CAP
    uncounted = route.permission in {"public", "admin"} or route.path == "/v1/keys/me"

    async def serve(call: Call, scope: Scope, receive: Receive) -> Whole:
        if route.permission == "public":
            await management.admit(call)
        else:
            call.proof = proof_of(call, scope)
            caller = await identify_or_note(call, route, house, management)
            if not uncounted:
                await let_in(call, caller, house)
        body = await read_body(receive, headers_of_scope(scope), cap, scope.get(TURN))
        return await management.answer(call, scope, body)

    return whole_endpoint(route, entry, serve)
