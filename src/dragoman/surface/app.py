"""The ASGI application: guards first, then the matched row of the table, then its endpoint.

Exact paths are found in a dictionary; the few with parameters, and all that is unknown, go
through Starlette's router. The decision hangs on the raw ``scope["path"]`` and the matched row,
never on a URL rebuilt from headers (A3).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.routing import Route as StarletteRoute
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from dragoman.core.call import Call
from dragoman.core.errors import CallerError, GatewayError
from dragoman.core.provider import Family
from dragoman.pipeline import House
from dragoman.surface.answer import answer_headers, error_headers, error_reply, now
from dragoman.surface.endpoint import Entry, data_endpoint, headers_of_scope, new_call
from dragoman.surface.guards import Guards, cors_headers, guard, may_call, preflight
from dragoman.surface.pages import Desk, page_endpoint, spoken
from dragoman.surface.responses import kept_endpoint
from dragoman.surface.table import ROUTES, Route, Switch, check_table

Lifespan = Callable[[Scope, Receive, Send], Awaitable[None]]

_NOWHERE = Route("*", "*", "public", "Whatever the table does not know", page="health")


@dataclass(frozen=True, slots=True)
class Surface:
    """What the application is made of."""

    house: House
    entry: Entry
    desk: Desk
    guards: Guards
    switches: dict[Switch, bool]
    lifespan: Lifespan


def build(surface: Surface, routes: tuple[Route, ...] = ROUTES) -> ASGIApp:
    """The application.

    Raises:
        ValueError: a route declares no permission.
    """
    check_table(routes)
    live = [row for row in routes if row.switch is None or surface.switches.get(row.switch, True)]
    exact: dict[tuple[str, str], ASGIApp] = {}
    known: dict[str, list[str]] = {}
    patterns: list[StarletteRoute] = []
    for row in live:
        endpoint = _endpoint(row, surface)
        methods = ["GET", "HEAD"] if row.method == "GET" else [row.method]
        if "{" in row.path:
            patterns.append(StarletteRoute(row.path, _Held(endpoint), methods=methods))
            continue
        known.setdefault(row.path, []).extend(methods)
        for method in methods:
            exact[method, row.path] = endpoint
    router = Router(routes=patterns, default=_unknown(surface, known), redirect_slashes=False)
    guards = surface.guards

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await surface.lifespan(scope, receive, send)
            else:
                await _close_websocket(receive, send)
            return
        if guards.active:
            headers = headers_of_scope(scope)
            origin = headers.get("origin")
            refusal = guard(guards, headers, scope["path"])
            if refusal is not None:
                await _refuse(refusal, surface, scope, receive, send)
                return
            if origin is not None:
                if scope["method"] == "OPTIONS":
                    await preflight(guards, headers, send)
                    return
                if may_call(guards, origin, headers.get("host", "")):
                    send = cors_headers(origin, send)
        endpoint = exact.get((scope["method"], scope["path"]))
        await (endpoint or router)(scope, receive, send)

    return application


def _endpoint(row: Route, surface: Surface) -> ASGIApp:
    if row.operation is not None:
        return data_endpoint(row, surface.house, surface.entry)
    assert row.page is not None, "check_table has seen to it"
    if row.page.startswith("response"):
        return kept_endpoint(row, row.page, surface.house, surface.entry)
    return page_endpoint(row, row.page, surface.house, surface.entry, surface.desk)


class _Held:
    """An ASGI application as an object: Starlette takes plain functions for request handlers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def _unknown(surface: Surface, known: dict[str, list[str]]) -> ASGIApp:
    async def unknown(scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        methods = known.get(path)
        if methods is None:
            error = CallerError(
                "not_found",
                f"There is nothing at {method} {path[:200]}; {_way(path, known)}.",
                code="not_found",
            )
        else:
            error = CallerError(
                "invalid_request",
                f"{path} takes {' and '.join(methods)}, not {method[:20]}.",
                status=405,
                code="method_not_allowed",
            )
        await _refuse(error, surface, scope, receive, send)

    return unknown


def _way(path: str, known: dict[str, list[str]]) -> str:
    """What to do instead: most often an SDK's base URL lacks its /v1, or says it twice."""
    if f"/v1{path}" in known:
        return "the base URL needs /v1: http://HOST:PORT/v1"
    if path.startswith("/v1/v1/"):
        return (
            "the SDK's base URL has one /v1 too many: OpenAI's takes http://HOST:PORT/v1, "
            "Anthropic's http://HOST:PORT, for it adds its own"
        )
    return "GET /openapi.json lists what there is"


async def _refuse(
    error: GatewayError, surface: Surface, scope: Scope, receive: Receive, send: Send
) -> None:
    call: Call = new_call(scope, receive, _NOWHERE, surface.entry)
    default: Family = "anthropic" if scope["path"].startswith("/v1/messages") else "chat"
    call.dialect = spoken(call.headers, default)
    reply = error_reply(error, call.dialect, call)
    headers = answer_headers(
        call, reply.content_type, len(reply.body), now(), error_headers(error)
    )
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


async def _close_websocket(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.close", "code": 1008, "reason": "no WebSocket here"})
