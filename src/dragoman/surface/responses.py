"""Responses that are kept: asked for, listed, deleted and cancelled, here or at their provider.

Whose it is decides the store, by tenant; an id that a tenant does not have is 404, whoever else has
it. What a provider keeps is asked of it with the credential that made it.
"""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, urlencode

from starlette.types import ASGIApp, Scope

from dragoman.attempt.errand import run_errand
from dragoman.attempt.replay import replay_stream
from dragoman.catalog.registry import Registry
from dragoman.core.call import Answer, Call, Head
from dragoman.core.errors import CallerError, UpstreamError
from dragoman.core.provider import Credential, Provider
from dragoman.credentials.own import is_own
from dragoman.dialects.registry import DIALECTS
from dragoman.keeping.answer import (
    deleted,
    find,
    list_items,
    no_such,
    not_in_background,
    replay,
)
from dragoman.keeping.aside import aside
from dragoman.keeping.later import learn, learning
from dragoman.keeping.ports import Content, Kept
from dragoman.pipeline import House, identify, let_in, registry_of
from dragoman.surface.endpoint import Entry, call_endpoint
from dragoman.surface.route import Page, Route

_JSON = "application/json"
_YES = frozenset({"true", "1"})
_QUERY = frozenset(
    {
        "after",
        "before",
        "include",
        "include[]",
        "include_obfuscation",
        "limit",
        "order",
        "starting_after",
        "stream",
    }
)
"""Parameters that a provider may be told."""
_SUFFIX = {"response_items": "/input_items", "response_cancel": "/cancel"}


def kept_endpoint(route: Route, page: Page, house: House, entry: Entry) -> ASGIApp:
    """The ASGI application of one page about a response."""

    async def serve(call: Call, scope: Scope) -> Answer:
        caller = await identify(call, route.permission, house)
        await let_in(call, caller, house)
        # Nothing in it matters; from its end on a caller that leaves is noticed.
        await call.read_body()
        kept = await find(str(scope["path_params"]["id"]), caller.tenant, house.keeper)
        if kept.content is not None:
            kind, body = await _ours(page, kept, kept.content, call, house)
            answer = Answer(Head(200, kind, body))
        else:
            answer = await _theirs(page, route, kept, call, house, scope)
        if answer.pieces is None:
            call.outcome.status = "complete"
        else:
            call.outcome.stream = True
        return answer

    return call_endpoint(route, serve, entry)


async def _ours(
    page: Page, kept: Kept, content: Content, call: Call, house: House
) -> tuple[str, bytes]:
    """Content type and body for a response that is kept here."""
    assert call.caller is not None, "the route needs a caller"
    tenant = call.caller.tenant
    if page == "response_cancel":
        raise not_in_background(kept.id)
    if page == "response_items":
        return _JSON, await list_items(kept, call.query, tenant, house.keeper)
    if page == "response_delete":
        if not await house.keeper.store.delete(tenant, kept.id):
            raise no_such(kept.id)
        return _JSON, deleted(kept.id)
    if call.query.get("stream", "").lower() in _YES:
        dialect = DIALECTS[call.dialect]

        def frames() -> bytes:
            return replay(dialect.response_frames(content.reply), call.query)

        return dialect.stream_content_type, await aside(len(content.reply), frames)
    return _JSON, content.reply


async def _theirs(
    page: Page, route: Route, kept: Kept, call: Call, house: House, scope: Scope
) -> Answer:
    """The provider's own answer about a response that it keeps."""
    assert call.caller is not None, "the route needs a caller"
    tenant = call.caller.tenant
    registry = await registry_of(tenant, house)
    provider = _provider(kept, registry)
    query = [
        (name, value)
        for name, value in parse_qsl(scope["query_string"].decode("latin-1"))
        if name in _QUERY
    ]
    path = f"{provider.paths['chat']}/{quote(kept.id, safe='')}{_SUFFIX.get(page, '')}"
    if query:
        path += "?" + urlencode(query)
    credential = _credential(kept, registry, house)
    try:
        reply = await run_errand(provider, credential, route.method, path, call, house.means)
    except UpstreamError as error:
        if page == "response_delete" and error.upstream_status == 404:
            await house.keeper.store.delete(tenant, kept.id)
        raise
    kind = reply.headers.get("content-type", _JSON)
    if kind.startswith("text/event-stream"):
        rest = "starting_after" in call.query
        frames, fail = await replay_stream(provider, reply, call, house.means, rest=rest)
        pieces = learning(frames, fail, kept, tenant, house.keeper)
        # Begun here, so that its end closes the stream in it even if nobody asks for a piece.
        await anext(pieces)
        return Answer(Head(200, kind, heartbeat=DIALECTS[call.dialect].heartbeat), pieces)
    try:
        body = await reply.read(house.means.policy.reply_limit)
    finally:
        await reply.close()
    if page == "response_delete":
        await house.keeper.store.delete(tenant, kept.id)
    else:
        await learn(body, kept, tenant, house.keeper)
    return Answer(Head(reply.status, kind, body))


def _provider(kept: Kept, registry: Registry) -> Provider:
    found = registry.providers.get(kept.provider)
    if found is None or found.speaking("responses").family != "responses":
        raise CallerError(
            "not_found",
            f"The response is kept by {kept.provider}, which is no longer configured.",
            code="response_not_found",
        )
    return found.speaking("responses")


def _credential(kept: Kept, registry: Registry, house: House) -> Credential | None:
    """The credential that made the response; another of the same payer's, if that is gone.

    What the house's made it has for the tenant, also once the tenant has brought one of its own.

    Raises:
        CallerError: the tenant's own made it, and it has none there any more.
    """
    own = is_own(kept.credential)
    keyed = (registry if own else house.registry).credentials.get(kept.provider, ())
    known = [item.credential for item in keyed if is_own(item.credential.id) == own]
    same = [item for item in known if item.id == kept.credential]
    if own and not known:
        raise CallerError(
            "not_found",
            f"The response was made with your own credential for {kept.provider}, which is gone.",
            code="response_not_found",
        )
    return next(iter(same or known), None)
