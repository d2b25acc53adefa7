"""The ASGI application: guards first, then the matched row of the table, then its endpoint.

Exact paths are found in a dictionary; those with parameters by their patterns, of which only the
ones under the path's first segment are tried. The decision hangs on the raw ``scope["path"]`` and the matched row,
never on a URL rebuilt from headers (A3).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from dragoman.core.call import Call
from dragoman.core.errors import CallerError, GatewayError
from dragoman.core.provider import Family
from dragoman.dialects.registry import DIALECTS
from dragoman.pipeline import House
from dragoman.surface.endpoint import Entry, data_endpoint, new_call
from dragoman.surface.guards import Guards, cors_headers, guard, may_call, preflight
from dragoman.surface.head import SEEN, Seen, headers_of_scope
from dragoman.surface.managed import Management, managed_endpoint
from dragoman.surface.pages import Desk, page_endpoint, spoken
from dragoman.surface.responses import kept_endpoint
from dragoman.surface.route import Route, Switch
from dragoman.surface.routers import router_at
from dragoman.surface.service import service_endpoint, services_endpoint
from dragoman.surface.sockets.door import refuse, socket_endpoint, socket_page
from dragoman.surface.streams import stream_endpoint
from dragoman.surface.table import ROUTES, check_table
from dragoman.surface.turn import TURN
from dragoman.surface.whole import failure, send_whole

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
    management: Management


def build(surface: Surface, routes: tuple[Route, ...] = ROUTES) -> ASGIApp:
    """The application.

    Raises:
        ValueError: a route declares no permission.
    """
    check_table(routes)
    live = [row for row in routes if row.switch is None or surface.switches.get(row.switch, True)]
    exact: dict[tuple[str, str], ASGIApp] = {}
    known: dict[str, list[str]] = {}
    patterns: dict[str, list[_Pattern]] = {}
    sockets = {
        row.path: socket_endpoint(row, surface.house, surface.entry, surface.guards)
        for row in live
        if row.page == "socket"
    }
    for row in routes:
        endpoint = _endpoint(row, surface) if row in live else None
        methods = ["GET", "HEAD"] if row.method == "GET" else [row.method]
        if "{" in row.path:
            pattern = _Pattern(compile_path(row.path)[0], tuple(methods), endpoint)
            patterns.setdefault(_first(row.path), []).append(pattern)
            continue
        if endpoint is None:
            continue
        known.setdefault(row.path, []).extend(methods)
        for method in methods:
            exact[method, row.path] = endpoint
    router = _router(patterns, _unknown(surface, known))
    guards = surface.guards
    guarded = guards.active

    async def no_socket(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        call = new_call({**scope, "method": "GET"}, receive, _NOWHERE, surface.entry)
        told = f"There is no WebSocket at {scope['path'][:200]}: it is switched off."
        await refuse(CallerError("not_found", told, code="not_found"), call, send)

    def application(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # No coroutine of its own: each that stands between a request and its end is entered twice.
        seen: Seen | None = scope.get(SEEN)
        if seen is not None and seen.endpoint is not None:
            return seen.endpoint(scope, receive, send)
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                return surface.lifespan(scope, receive, send)
            return (sockets.get(scope["path"]) or no_socket)(scope, receive, send)
        endpoint = exact.get((scope["method"], scope["path"]))
        if guarded:
            headers = headers_of_scope(scope)
            origin = headers.get("origin")
            refusal = guard(guards, headers, scope["path"])
            if refusal is not None:
                return _refuse(refusal, surface, scope, receive, send)
            if origin is not None:
                seen = None
                if scope["method"] == "OPTIONS":
                    return preflight(guards, headers, send)
                if may_call(guards, origin, headers.get("host", "")):
                    send = cors_headers(origin, send)
                    # The short way of a whole answer passes ``send`` by, and its headers with it.
                    scope = {name: value for name, value in scope.items() if name != TURN}
        if seen is not None:
            seen.endpoint = endpoint
        return (endpoint or router)(scope, receive, send)

    return application


def _endpoint(row: Route, surface: Surface) -> ASGIApp:
    if row.operation is not None:
        return data_endpoint(row, surface.house, surface.entry)
    assert row.page is not None, "check_table has seen to it"
    if row.page == "managed":
        return managed_endpoint(row, surface.house, surface.entry, surface.management)
    if row.page == "socket":
        return socket_page(row, surface.house, surface.entry)
    if row.page.startswith("response"):
        return kept_endpoint(row, row.page, surface.house, surface.entry)
    if row.page == "service":
        return service_endpoint(row, surface.house, surface.entry)
    if row.page == "services":
        return services_endpoint(row, surface.house, surface.entry)
    if row.page == "stream":
        return stream_endpoint(row, surface.house, surface.entry)
    return page_endpoint(
        row, row.page, surface.house, surface.entry, surface.desk, surface.management
    )


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A row whose path has a parameter."""

    form: re.Pattern[str]
    methods: tuple[str, ...]
    endpoint: ASGIApp | None
    """None where the row is switched off: another row may have a like path, and is not meant."""


def _first(path: str) -> str:
    return path[1:].partition("/")[0]


def _router(patterns: dict[str, list[_Pattern]], unknown: _Unknown) -> ASGIApp:
    """Finds rows by their patterns, and answers for what there is not."""

    async def router(scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        others: list[str] = []
        for pattern in patterns.get(_first(path), ()):
            found = pattern.form.match(path)
            if found is None:
                continue
            if method not in pattern.methods:
                others += pattern.methods if pattern.endpoint is not None else ()
            elif pattern.endpoint is None:
                others = []
                break
            else:
                scope["path_params"] = found.groupdict()
                await pattern.endpoint(scope, receive, send)
                return
        await unknown(scope, receive, send, others)

    return router


_Unknown = Callable[[Scope, Receive, Send, list[str]], Awaitable[None]]


def _unknown(surface: Surface, known: dict[str, list[str]]) -> _Unknown:
    async def unknown(scope: Scope, receive: Receive, send: Send, others: list[str]) -> None:
        path, method = scope["path"], scope["method"]
        methods = list(dict.fromkeys((*known.get(path, ()), *others)))
        action = _ACTION.search(path) if method == "POST" else None
        if action is not None and methods and "POST" not in methods:
            # The path of a model's page, which is read only: what is missing is the action behind it.
            methods = []
            error = CallerError(
                "not_found",
                f"There is no action {action[2][:80]!r} of a model at {method} {path[:200]}; there are "
                "generateContent, streamGenerateContent, countTokens, embedContent and batchEmbedContents.",
                code="not_found",
            )
        elif not methods:
            error = CallerError(
                "not_found",
                f"There is nothing at {method} {path[:200]}; {_way(path, known)}.",
                code="not_found",
            )
        else:
            error = CallerError(
                "invalid_request",
                f"{path[:200]} takes {' and '.join(methods)}, not {method[:20]}.",
                status=405,
                code="method_not_allowed",
            )
        await _refuse(error, surface, scope, receive, send, methods)

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


_ACTION = re.compile(r"^/(v1|v1beta|v2|v2/v1|v2/v1beta)/models/[^?]+:([A-Za-z]*)$")
"""Where Gemini's clients say what a model shall do."""

_SPOKEN: tuple[tuple[str, Family], ...] = (
    ("/v1/messages", "anthropic"),
    ("/v1/responses", "responses"),
    ("/v1beta/", "gemini"),
    ("/v2/", "gemini"),
    ("/v3/", "anthropic"),
    ("/v5/v1/", "chat"),
    ("/v5/", "ollama"),
    ("/api/", "ollama"),
)
"""In which dialect a refusal is told at paths that no row has."""
_AT: dict[str, Route] = {row.path: row for row in reversed(ROUTES)}


def _spoken_at(method: str, path: str) -> tuple[Family, str]:
    """The dialect and the flavour of what is, or would be, at a path."""
    if method == "POST" and _ACTION.search(path):
        return "gemini", ""
    row = _AT.get(path)
    if row is not None:
        return row.dialect, row.flavour
    families = (family for start, family in _SPOKEN if path.startswith(start))
    router = router_at(path)
    flavour = "openrouter" if router is not None and router[0] == "openrouter" else ""
    return next((family for family in families if family in DIALECTS), "chat"), flavour


async def _refuse(
    error: GatewayError,
    surface: Surface,
    scope: Scope,
    receive: Receive,
    send: Send,
    methods: list[str] | None = None,
) -> None:
    call: Call = new_call(scope, receive, _NOWHERE, surface.entry)
    default, call.flavour = _spoken_at(scope["method"], scope["path"])
    call.dialect = spoken(call.headers, default)
    more = {"allow": ", ".join(methods)} if methods else {}
    await send_whole(failure(error, call, **more), call, scope, send)
