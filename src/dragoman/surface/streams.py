"""A stream that its client has lost: the rest of it, from behind the last event that came."""

from __future__ import annotations

from starlette.types import ASGIApp, Scope

from dragoman.core.call import Answer, Call
from dragoman.identity.permissions import permit
from dragoman.pipeline import House, find_caller, let_in
from dragoman.reuse.give import place_of, resume
from dragoman.surface.endpoint import Entry, call_endpoint
from dragoman.surface.pages import spoken
from dragoman.surface.route import Route


def stream_endpoint(route: Route, house: House, entry: Entry) -> ASGIApp:
    """The ASGI application of the page about a stream."""

    async def serve(call: Call, scope: Scope) -> Answer:
        call.dialect = spoken(call.headers, route.dialect)
        caller = call.caller = await find_caller(call, house)
        # It was made in a dialect that its maker might use; here it is only told again.
        permit(caller, route.permission)
        await let_in(call, caller, house)
        # Nothing in it matters; from its end on a caller that leaves is noticed.
        await call.read_body()
        place = place_of(str(scope["path_params"]["id"]), call)
        return await resume(place, call, house.recorder)

    return call_endpoint(route, serve, entry)
