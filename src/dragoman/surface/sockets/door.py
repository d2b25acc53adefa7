"""A WebSocket's handshake: who may open one, from which page, and with which key.

A browser asks nobody before it opens a WebSocket to wherever a page wants, so a foreign Origin is refused here, in
every mode. A key may come with the handshake, in any header that a request may have it in or, for programs in
browsers, which cannot set one, as a subprotocol; else it is the first thing that is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

from msgspec.structs import replace
from starlette.types import ASGIApp, Receive, Scope, Send

from dragoman.core.call import Call, Caller, Proof
from dragoman.core.errors import CallerError, GatewayError
from dragoman.identity.permissions import permit
from dragoman.pipeline import House, carry, find_caller, identify
from dragoman.surface.answer import (
    answer_headers,
    as_gateway_error,
    error_headers,
    error_reply,
    now,
)
from dragoman.surface.endpoint import Entry, call_endpoint, new_call, proof_of
from dragoman.surface.guards import Guards, guard, may_call
from dragoman.surface.head import headers_of_scope
from dragoman.surface.route import Route
from dragoman.surface.socket_scope import SOCKET
from dragoman.surface.sockets.bounds import Bounds
from dragoman.surface.sockets.exchange import scope_of
from dragoman.surface.sockets.session import Session
from dragoman.surface.whole import Whole, failure, whole_endpoint

KEY_PROTOCOL = "openai-insecure-api-key."
"""Before a key that comes as a subprotocol: the word that OpenAI's clients in browsers use for it."""
LEFT = 499
"""In the log: who asked has left before it was answered."""
_BOUNDS = Bounds()


def socket_endpoint(
    route: Route, house: House, entry: Entry, guards: Guards, bounds: Bounds = _BOUNDS
) -> ASGIApp:
    """The ASGI application of a WebSocket of chat."""
    asked = replace(route, operation="chat", page=None)
    permission = route.permission
    answer = call_endpoint(asked, lambda call, _: carry(call, permission, house), entry)
    open_now: Counter[str] = Counter()
    bounds, opened = replace(bounds, waiting=entry.body_cap), entry.opened

    async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # that somebody wants to connect
        # The handshake is a GET, of which ASGI says no method.
        asking = {**scope, "method": "GET"}
        call = new_call(asking, receive, asked, entry)
        status = 101
        refusal: GatewayError | None = None
        try:
            headers = headers_of_scope(scope)
            _check_page(guards, headers, scope["path"])
            call.proof = _proof(call, asking)
            welcome = _Welcome(call, route, house, entry, open_now, bounds.of_a_key)
            common = scope_of(asking, headers)
            session = Session(
                receive, send, scope[SOCKET], welcome, answer, common, entry.new_id, bounds
            )
            if call.proof is not None:
                key = call.proof.value
                session.take(key, await welcome.check(key))
        except Exception as error:  # noqa: BLE001  whatever it is, the caller gets a clear answer
            told = as_gateway_error(error)
            if told is not error:
                entry.failed(error, call)
            status, refusal = told.status, told
        try:
            if refusal is None:
                chosen = _chosen(scope["subprotocols"])
                await (
                    session.run(chosen) if opened is None else _counted(session, chosen, opened)
                )
            else:
                await refuse(refusal, call, send)
        except OSError:
            status = LEFT
        finally:
            if entry.paged is not None:
                entry.paged(call, status, now() - call.received)

    return endpoint


async def _counted(session: Session, chosen: str | None, opened: Callable[[int], None]) -> None:
    opened(1)
    try:
        await session.run(chosen)
    finally:
        opened(-1)


def socket_page(route: Route, house: House, entry: Entry) -> ASGIApp:
    """What answers a request at a WebSocket's path that asks for none."""
    return whole_endpoint(route, entry, partial(_ask_for_upgrade, route, house))


async def _ask_for_upgrade(
    route: Route, house: House, call: Call, scope: Scope, receive: Receive
) -> Whole:
    del receive
    call.proof = proof_of(call, scope)
    await identify(call, route.permission, house)
    error = CallerError(
        "invalid_request",
        f"{route.path} is a WebSocket: open it with a WebSocket client.",
        status=426,
        code="upgrade_required",
    )
    return failure(error, call, upgrade="websocket", connection="Upgrade")


class _Welcome:
    """Who comes in by one connection, how many there are of each key, and what goes wrong there."""

    def __init__(
        self,
        call: Call,
        route: Route,
        house: House,
        entry: Entry,
        open_now: Counter[str],
        most: int,
    ) -> None:
        self._call = call
        self._route = route
        self._house = house
        self._entry = entry
        self._open = open_now
        self._most = most

    async def check(self, key: str) -> Caller:
        """Whose key it is.

        Raises:
            GatewayError: nobody's who may be here.
        """
        call = self._call
        call.proof = Proof(key, "websocket")
        caller = await find_caller(call, self._house)
        permit(caller, self._route.permission, self._route.dialect)
        call.caller = caller
        return caller

    def enter(self, caller: Caller) -> None:
        """Counts a connection of the caller's.

        Raises:
            CallerError: it has too many.
        """
        if self._open[caller.key_id] >= self._most:
            self._house.gate.limited("websockets")
            raise CallerError(
                "rate_limit",
                f"{self._most} WebSockets of this API key are open: close one.",
                code="too_many_connections",
            )
        self._open[caller.key_id] += 1

    def leave(self, caller: Caller) -> None:
        """One less."""
        self._open[caller.key_id] -= 1
        if self._open[caller.key_id] <= 0:
            del self._open[caller.key_id]

    def failed(self, error: Exception, request_id: str) -> None:
        """Has the log tell of a failure of ours at a request, under the connection's own call."""
        self._entry.failed(error, replace(self._call, request_id=request_id))


def _check_page(guards: Guards, headers: dict[str, str], path: str) -> None:
    refusal = guard(guards, headers, path)
    origin = headers.get("origin")
    if refusal is None and origin is not None:
        if may_call(guards, origin, headers.get("host", "")):
            return
        refusal = CallerError(
            "permission",
            f"The Origin {origin[:100]!r} may not open a WebSocket here; "
            "list it in CORS_ALLOW_ORIGINS to allow it.",
            code="origin_not_allowed",
        )
    if refusal is not None:
        raise refusal


def _proof(call: Call, scope: Scope) -> Proof | None:
    proof = proof_of(call, scope)
    for each in scope["subprotocols"]:
        if not each.startswith(KEY_PROTOCOL):
            continue
        key = each.removeprefix(KEY_PROTOCOL)
        if proof is not None and proof.value != key:
            raise CallerError(
                "invalid_request",
                "The handshake carries two different API keys: send one.",
                code="conflicting_credentials",
            )
        proof = Proof(key, "sec-websocket-protocol")
    return proof


def _chosen(offered: list[str]) -> str | None:
    """The first subprotocol that is none of ours to keep: a key is never said back."""
    return next((each for each in offered if not each.startswith(KEY_PROTOCOL)), None)


async def refuse(error: GatewayError, call: Call, send: Send) -> None:
    """Tells who asks for a WebSocket that there is none for it, as an answer over HTTP."""
    reply = error_reply(error, call.dialect, call)
    told = error_headers(error)
    headers = answer_headers(call, reply.content_type, len(reply.body), now(), told)
    await send(
        {"type": "websocket.http.response.start", "status": reply.status, "headers": headers}
    )
    await send({"type": "websocket.http.response.body", "body": reply.body})
