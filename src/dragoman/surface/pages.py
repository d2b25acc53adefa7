"""The routes that are no data path: models, usage, probes, metrics, the interface's description.

Plain functions of a scope and the house; each answers with a status, a content type and bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from dragoman import __version__
from dragoman.catalog.rows import ModelRow
from dragoman.core.call import Call
from dragoman.core.errors import CallerError
from dragoman.core.money import plain
from dragoman.core.provider import Family
from dragoman.pipeline import House, identify
from dragoman.surface.answer import (
    answer_headers,
    as_gateway_error,
    error_headers,
    error_reply,
    now,
)
from dragoman.surface.endpoint import Entry, new_call, proof_of
from dragoman.surface.openapi import document
from dragoman.surface.table import Page, Route
from dragoman.telemetry.metrics import CONTENT_TYPE

_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether requests can be served, and if not, why."""

    ready: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Desk:
    """What the pages read."""

    mode: str
    models: Callable[[], Awaitable[list[ModelRow]]]
    usage: Callable[[Call], Awaitable[bytes]]
    readiness: Callable[[], Awaitable[Readiness]]
    providers: Callable[[], dict[str, str]]
    """Provider → healthy or degraded."""
    metrics: Callable[[], bytes]


def _encode(value: Any) -> bytes:
    return msgspec.json.encode(value, enc_hook=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return plain(value)
    raise TypeError(f"no JSON for {type(value).__name__}")


async def _models(call: Call, desk: Desk) -> tuple[int, str, bytes]:
    rows = await desk.models()
    if call.dialect == "anthropic":
        data = [_anthropic_row(row) for row in rows]
        ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {}
        page = {"data": data, "has_more": False, "first_id": None, "last_id": None, **ends}
        return 200, _JSON, _encode(page)
    return 200, _JSON, _encode({"object": "list", "data": rows})


def _anthropic_row(row: ModelRow) -> dict[str, object]:
    created = "1970-01-01T00:00:00Z"
    return {"type": "model", "id": row.id, "display_name": row.name, "created_at": created}


async def _model(call: Call, desk: Desk, wanted: str) -> tuple[int, str, bytes]:
    for row in await desk.models():
        if row.id == wanted:
            return 200, _JSON, _encode(_anthropic_row(row) if call.dialect == "anthropic" else row)
    raise CallerError(
        "not_found",
        f"There is no model {wanted[:200]!r}; GET /v1/models lists those that there are.",
        code="model_not_found",
        param="id",
    )


async def _health(desk: Desk) -> tuple[int, str, bytes]:
    providers = {name: {"status": state} for name, state in desk.providers().items()}
    degraded = any(item["status"] != "healthy" for item in providers.values())
    body = {
        "status": "degraded" if degraded else "healthy",
        "version": __version__,
        "mode": desk.mode,
        "providers": providers,
    }
    return 200, _JSON, _encode(body)


async def _ready(desk: Desk) -> tuple[int, str, bytes]:
    found = await desk.readiness()
    if found.ready:
        return 200, _JSON, _encode({"status": "ready"})
    return 503, _JSON, _encode({"status": "not_ready", "reason": found.reason})


def page_endpoint(
    route: Route, page: Page, house: House, entry: Entry, desk: Desk
) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """The ASGI application of one page."""

    async def render(call: Call, scope: Scope) -> tuple[int, str, bytes]:
        match page:
            case "models":
                return await _models(call, desk)
            case "model":
                return await _model(call, desk, str(scope["path_params"]["id"]))
            case "usage":
                return 200, _JSON, await desk.usage(call)
            case "health":
                return await _health(desk)
            case "ready":
                return await _ready(desk)
            case "metrics":
                text = await asyncio.get_running_loop().run_in_executor(None, desk.metrics)
                return 200, CONTENT_TYPE, text
            case "openapi":
                return 200, _JSON, document()
            case _:
                raise AssertionError(f"{page} has an endpoint of its own")

    async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
        call = new_call(scope, receive, route, entry)
        call.dialect = spoken(call.headers, route.dialect)
        extra: dict[str, str] | None = None
        try:
            if route.permission != "public":
                call.proof = proof_of(call, scope)
                await identify(call, route.permission, house)
            status, kind, body = await render(call, scope)
        except Exception as error:  # noqa: BLE001  whatever it is, the caller gets a clear answer
            told = as_gateway_error(error)
            if told is not error:
                entry.failed(error, call)
            reply = error_reply(told, call.dialect, call)
            status, kind, body, extra = (
                reply.status,
                reply.content_type,
                reply.body,
                error_headers(told),
            )
        headers = answer_headers(call, kind, len(body), now(), extra)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        shown = b"" if scope["method"] == "HEAD" else body
        await send({"type": "http.response.body", "body": shown})

    return endpoint


def spoken(headers: dict[str, str], default: Family) -> Family:
    """The dialect of a caller whose path does not tell: Anthropic's clients say their version (D14)."""
    return "anthropic" if "anthropic-version" in headers else default
