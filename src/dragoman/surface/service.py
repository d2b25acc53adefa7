"""``/services/{name}/…``: a call of another service, with the tenant's credential and never the caller's.

The operator fixes the address, the methods and the paths; a caller says what is below it. Of the caller's headers
only those go on that an API needs, of the service's only those come back that an answer needs: no cookie, no
credential, neither way. A tenant without a credential there finds no such service.
"""

from __future__ import annotations

from urllib.parse import unquote_plus

import msgspec
from starlette.types import ASGIApp, Receive, Scope

from dragoman import __version__
from dragoman.accounting.ending import accounted
from dragoman.attempt.passing import pass_on
from dragoman.attempt.ports import Tab
from dragoman.catalog.service import PREFIX, target_of
from dragoman.core.call import Answer, Call
from dragoman.core.errors import CallerError
from dragoman.core.provider import Credential
from dragoman.core.trace import span_of, write_traceparent
from dragoman.credentials.reached import Reached, Shown
from dragoman.pipeline import House, identify, let_in, look_through
from dragoman.surface.endpoint import Entry, call_endpoint, proof_of
from dragoman.surface.route import Route
from dragoman.surface.whole import Whole, whole_endpoint

_PASSED = (
    "accept",
    "accept-language",
    "content-language",
    "content-range",
    "content-type",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-unmodified-since",
    "prefer",
    "range",
)
MOST_NAMED = 128
_NEVER = frozenset(
    {
        "authorization",
        "connection",
        "content-length",
        "cookie",
        "forwarded",
        "host",
        "keep-alive",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-api-key",
        "api-key",
        "x-goog-api-key",
    }
)
"""Whatever ``pass_headers`` says."""


def service_endpoint(route: Route, house: House, entry: Entry) -> ASGIApp:
    """The ASGI application of one method of all services."""

    async def serve(call: Call, scope: Scope) -> Answer:
        call.operation = "service"
        caller = await identify(call, route.permission, house)
        await let_in(call, caller, house)
        body = await call.read_body()
        name = str(scope["path_params"]["name"])
        call.outcome.requested_model = f"{PREFIX}{name}"[:MOST_NAMED]
        tab = house.accountant.open_tab(call, caller)
        passing = _pass_on(call, scope, name, body, tab, house)
        return await accounted(passing, call, tab)

    return call_endpoint(route, serve, entry)


def services_endpoint(route: Route, house: House, entry: Entry) -> ASGIApp:
    """The ASGI application of the page that lists the services of the caller's tenant."""

    async def serve(call: Call, scope: Scope, receive: Receive) -> Whole:
        del receive
        call.proof = proof_of(call, scope)
        caller = await identify(call, route.permission, house)
        rows = [
            {
                "name": name,
                "base_url": each.service.base_url,
                "methods": each.service.methods,
                "paths": each.service.paths,
                "credential": await _whose(each, caller.tenant, house),
            }
            for name, each in house.services.items()
        ]
        shown = [
            row
            for row in rows
            if row["credential"] or house.services[str(row["name"])].service.bring
        ]
        return Whole(200, msgspec.json.encode({"object": "list", "data": shown}))

    return whole_endpoint(route, entry, serve)


async def _pass_on(
    call: Call, scope: Scope, name: str, body: bytes, tab: Tab, house: House
) -> Answer:
    assert call.caller is not None, "it was let in"
    reached, choices = await _found(name, call.caller.tenant, house)
    service = reached.service
    method = str(scope["method"])
    if method not in service.methods:
        raise CallerError(
            "permission",
            f"{name} may not be called by {method[:20]} here; there are: {', '.join(service.methods)}.",
            status=405,
            code="method_not_allowed",
        )
    url = target_of(service, _path(scope, name), _query(scope))
    return await pass_on(
        service, choices, method, url, _headers(call, reached), body, call, tab, house.means
    )


async def _found(name: str, tenant: str, house: House) -> tuple[Reached, tuple[Shown, ...]]:
    """The service, and what the tenant shows to it; one without a credential is told of no service.

    Raises:
        CallerError: there is none, or the tenant has to bring a credential first.
        HouseError: what the tenant has brought cannot be read.
    """
    reached = house.services.get(name)
    choices: tuple[Shown, ...] = ()
    if reached is not None:
        brought, own_only = await _brought(name, tenant, house)
        choices = reached.of(tenant, brought, own_only=own_only)
        if not choices and reached.service.bring:
            raise CallerError(
                "permission",
                f"Your tenant has no credential for {name}: add one with POST /v1/providers, "
                f'{{"provider": "{PREFIX}{name}", "api_key": …}}.',
                code="no_own_credential",
            )
    if reached is None or not choices:
        raise CallerError(
            "not_found",
            f"There is no service {name[:64]!r} for this tenant; GET /services lists what there is.",
            code="service_not_found",
        )
    return reached, choices


async def _brought(name: str, tenant: str, house: House) -> tuple[tuple[Credential, ...], bool]:
    """The tenant's own credentials for a service, in the order of their turn; whether it may use no others."""
    if tenant not in house.holders:
        return (), False
    view = house.views.get(tenant) or await look_through(tenant, house)
    return view.pools.turn(PREFIX + name), view.own_only


async def _whose(reached: Reached, tenant: str, house: House) -> str | None:
    """By whose credential a tenant's calls are made now; None: by nobody's."""
    brought, own_only = await _brought(reached.service.name, tenant, house)
    try:
        choices = reached.of(tenant, brought, own_only=own_only)
    except CallerError:
        return None
    if not choices:
        return None
    return "tenant" if choices[0].own is not None else "house"


def _path(scope: Scope, name: str) -> str:
    """The path below the service as its caller wrote it: decoding would lose an encoded slash."""
    raw = scope.get("raw_path") or str(scope["path"]).encode()
    start = f"/services/{name}/".encode()
    if not raw.startswith(start):
        # The row was matched by the decoded path: this one only resembles it.
        raise CallerError("not_found", "There is no such service.", code="service_not_found")
    return raw[len(start) :].partition(b"?")[0].decode("latin-1")


def _query(scope: Scope) -> str:
    """The query without a key of the gateway's own, however its name is written."""
    pairs = scope["query_string"].decode("latin-1").split("&")
    return "&".join(
        pair for pair in pairs if pair and unquote_plus(pair.partition("=")[0]) != "key"
    )


def _headers(call: Call, reached: Reached) -> dict[str, str]:
    service = reached.service
    passed = {name for name in (*_PASSED, *service.pass_headers) if name not in _NEVER}
    said = {name: call.headers[name] for name in passed if name in call.headers}
    return {
        "accept": "*/*",
        **service.headers,
        **said,
        "accept-encoding": "identity",
        "user-agent": f"dragoman/{__version__}",
        "traceparent": write_traceparent(
            call.trace_id, span_of(call.id), sampled=call.told_sampled
        ),
    }
