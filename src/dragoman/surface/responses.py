"""Responses that are kept: asked for, listed, deleted and cancelled, here or at their provider.

Whose it is decides the store, by tenant; an id that a tenant does not have is 404, whoever else has
it. What a provider keeps is asked of it with the credential that made it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from starlette.types import ASGIApp, Receive, Scope, Send

from dragoman.attempt.errand import run_errand
from dragoman.attempt.ports import UpstreamReply
from dragoman.core.call import Call
from dragoman.core.errors import CallerError, UpstreamError
from dragoman.core.provider import Credential, Provider
from dragoman.dialects.registry import DIALECTS
from dragoman.keeping.answer import (
    deleted,
    find,
    list_items,
    no_such,
    not_in_background,
    replay,
)
from dragoman.keeping.ports import Content, Kept
from dragoman.pipeline import House, identify, let_in
from dragoman.surface.answer import (
    answer_headers,
    as_gateway_error,
    error_headers,
    error_reply,
    now,
)
from dragoman.surface.endpoint import Entry, new_call, proof_of
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

    async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
        call = new_call(scope, receive, route, entry)
        started = False
        extra: dict[str, str] | None = None
        try:
            call.proof = proof_of(call, scope)
            caller = await identify(call, route.permission, house)
            await let_in(call, caller, house)
            kept = await find(str(scope["path_params"]["id"]), caller.tenant, house.keeper)
            if kept.content is not None:
                status, (kind, body) = 200, await _ours(page, kept, kept.content, call, house)
            else:
                reply = await _theirs(page, route, kept, call, house, scope)
                try:
                    status, kind = reply.status, reply.headers.get("content-type", _JSON)
                    if kind.startswith("text/event-stream"):
                        started = True
                        await _relay(reply, kind, call, receive, send)
                        return
                    body = await reply.read(house.means.policy.reply_limit)
                finally:
                    await reply.close()
        except Exception as error:
            told = as_gateway_error(error)
            if told is not error:
                entry.failed(error, call)
            if started:
                raise
            answer = error_reply(told, call.dialect, call)
            status, kind, body = answer.status, answer.content_type, answer.body
            extra = error_headers(told)
        headers = answer_headers(call, kind, len(body), now(), extra)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        shown = b"" if scope["method"] == "HEAD" else body
        await send({"type": "http.response.body", "body": shown})

    return endpoint


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
        frames = dialect.response_frames(content.reply)
        return dialect.stream_content_type, replay(frames, call.query)
    return _JSON, content.reply


async def _theirs(
    page: Page, route: Route, kept: Kept, call: Call, house: House, scope: Scope
) -> UpstreamReply:
    """The provider's own answer about a response that it keeps."""
    assert call.caller is not None, "the route needs a caller"
    provider = _provider(kept, house)
    query = [
        (name, value)
        for name, value in parse_qsl(scope["query_string"].decode("latin-1"))
        if name in _QUERY
    ]
    path = f"{provider.paths['chat']}/{quote(kept.id, safe='')}{_SUFFIX.get(page, '')}"
    if query:
        path += "?" + urlencode(query)
    credential = _credential(kept, house)
    try:
        reply = await run_errand(provider, credential, route.method, path, call, house.means)
    except UpstreamError as error:
        if page == "response_delete" and error.upstream_status == 404:
            await house.keeper.store.delete(call.caller.tenant, kept.id)
        raise
    if page == "response_delete":
        await house.keeper.store.delete(call.caller.tenant, kept.id)
    return reply


def _provider(kept: Kept, house: House) -> Provider:
    found = house.registry.providers.get(kept.provider)
    if found is None or found.speaking("responses").family != "responses":
        raise CallerError(
            "not_found",
            f"The response is kept by {kept.provider}, which is no longer configured.",
            code="response_not_found",
        )
    return found.speaking("responses")


def _credential(kept: Kept, house: House) -> Credential | None:
    """The credential that made the response; another of the provider's, if that is gone."""
    keyed = house.registry.credentials.get(kept.provider, ())
    known = [item.credential for item in keyed]
    same = [item for item in known if item.id == kept.credential]
    return next(iter(same or known), None)


async def _relay(
    reply: UpstreamReply, kind: str, call: Call, receive: Receive, send: Send
) -> None:
    """A stream of the provider's about its own response, as it comes, while the caller is there."""
    headers = answer_headers(call, kind, None, now())
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    gone = asyncio.ensure_future(_gone(receive))
    try:
        while (piece := await _next(reply, gone)) is not None:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    except UpstreamError as error:
        told = error_reply(error, call.dialect, call).body
        frame = b'event: error\ndata: {"type":"error",' + told[1:] + b"\n\n"
        await send({"type": "http.response.body", "body": frame, "more_body": True})
    finally:
        gone.cancel()
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _next(reply: UpstreamReply, gone: asyncio.Future[None]) -> bytes | None:
    """The next piece; None at the end, and where the caller has left."""
    piece = asyncio.ensure_future(reply.next())
    either: tuple[asyncio.Future[Any], ...] = (piece, gone)
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not piece.done():
            piece.cancel()
            with suppress(asyncio.CancelledError, UpstreamError):
                await piece
    return None if piece.cancelled() else piece.result()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
