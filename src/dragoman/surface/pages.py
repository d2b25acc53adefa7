"""The routes that are no data path: models, usage, probes, metrics, the interface's description.

Plain functions of a scope and the house; each answers with a status, a content type and bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, Literal, TypeAlias

import msgspec
from starlette.types import ASGIApp, Receive, Scope

from dragoman import __version__
from dragoman.accounting.ports import Line, Sums
from dragoman.accounting.usage import Document
from dragoman.catalog.cards import Card
from dragoman.core.call import Call, Caller
from dragoman.core.errors import invalid
from dragoman.core.money import plain
from dragoman.core.provider import Family
from dragoman.dialects.registry import DIALECTS
from dragoman.pipeline import House, identify, let_in
from dragoman.surface.endpoint import Entry, proof_of
from dragoman.surface.listings import described, listed
from dragoman.surface.managed import Management, identify_or_note
from dragoman.surface.route import Page, Route
from dragoman.surface.spending import about_key, credit, generation
from dragoman.surface.whole import Whole, begun, whole_endpoint
from dragoman.telemetry.exposition import CONTENT_TYPE

_JSON = "application/json"
Reach: TypeAlias = Literal["tenant", "all"]
"""Whose calls a report of all calls has."""

_COUNTED: frozenset[Page] = frozenset(
    {"generation", "credits", "key", "explain", "bodies", "bodies_delete"}
)
"""Pages that read the ledger for whoever asks: they count against the key's limits."""
_NOTED = frozenset({"admin", "tenant"})
"""Permissions of those who manage: who tries without is in the audit log, as at the managed rows."""
_MEMBERS = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether requests can be served, and if not, why."""

    ready: bool
    reason: str = ""
    config: str = ""
    """Which configuration file is in force."""
    redis: Literal["none", "up", "down"] = "none"
    """Whether what gateways share through Redis is shared now; each serves without it, too."""
    limits: str = "memory"
    """Where limits are counted: in memory, by the host's workers together, in Redis; alone: by a part."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What the pages read."""

    mode: str
    models: Callable[[str | None, Caller], Awaitable[list[Card]]]
    """What a caller can ask for, on a provider's router or elsewhere."""
    model: Callable[[str, str | None, Caller], Awaitable[Card]]
    """What a name means there to it.

    Raises:
        CallerError: nothing that is listed.
    """
    usage: Callable[[Call], Awaitable[Document]]
    """What the presented key has used."""
    calls: Callable[[Call, Reach], Awaitable[Document]]
    """Every call, of the caller's tenant or of all, in pieces."""
    recommend: Callable[[Call], Awaitable[bytes]]
    """Which models suit a task, and why."""
    explain: Callable[[Call, str], Awaitable[bytes]]
    """What became of one call of the caller's tenant."""
    bodies: Callable[[Call, str], Awaitable[bytes]]
    """What was asked and answered in one call of the caller's tenant, where that is kept."""
    forget_bodies: Callable[[Call, str], Awaitable[bytes]]
    """Removes that."""
    find: Callable[[Call, str], Awaitable[Line | None]]
    """One call of the caller's tenant."""
    spent: Callable[[Call, Sequence[int | None]], Awaitable[list[Sums]]]
    """What the caller's key has used since each of some moments."""
    readiness: Callable[[], Awaitable[Readiness]]
    providers: Callable[[], dict[str, str]]
    """Provider → healthy, degraded or disabled."""
    metrics: Callable[[], Callable[[], bytes]]
    """Gathers the numbers of this moment; what makes their text is called in a thread."""
    refresh: Callable[[Call], Awaitable[bytes]]
    """Has all providers' lists of models fetched anew."""
    reload: Callable[[Call], Awaitable[bytes]]
    """Reads the configuration file again."""
    described: Callable[[], Awaitable[bytes]]
    """This interface as OpenAPI."""


def _encode(value: Any) -> bytes:
    return msgspec.json.encode(value, enc_hook=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return plain(value)
    raise TypeError(f"no JSON for {type(value).__name__}")


def _caller(call: Call) -> Caller:
    assert call.caller is not None, "the route needs a caller"
    return call.caller


async def _models(call: Call, desk: Desk) -> tuple[int, str, bytes]:
    cards = await desk.models(call.home, _caller(call))
    return 200, _JSON, _encode(listed(cards, call.dialect, call.flavour))


async def _model(call: Call, desk: Desk, wanted: str) -> tuple[int, str, bytes]:
    if call.dialect == "gemini":
        wanted = wanted.removeprefix("models/")
    card = await desk.model(wanted, call.home, _caller(call))
    return 200, _JSON, _encode(described(card, call.dialect, call.flavour))


async def _show(call: Call, desk: Desk) -> tuple[int, str, bytes]:
    """One model, named in the body as Ollama's clients do, in ``model`` or in the older ``name``."""
    try:
        members = _MEMBERS.decode(await call.read_body())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise invalid("The request body must be a JSON object.", code="invalid_json") from None
    name = members.get("model") or members.get("name")
    if not isinstance(name, str):
        raise invalid("model is required.", "model", "missing_required_field")
    return await _model(call, desk, name)


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
        # Providers that are away make nobody else's requests fail here: the gateway is ready.
        body: dict[str, Any] = {
            "status": "ready",
            "config": found.config,
            "providers": desk.providers(),
            "limits": found.limits,
        }
        if found.redis != "none":
            body["redis"] = found.redis
        return 200, _JSON, _encode(body)
    return 503, _JSON, _encode({"status": "not_ready", "reason": found.reason})


def page_endpoint(
    route: Route, page: Page, house: House, entry: Entry, desk: Desk, management: Management
) -> ASGIApp:
    """The ASGI application of one page."""

    async def _key(call: Call) -> bytes:
        caller = call.caller
        assert caller is not None, "the route needs a caller"
        limits = house.gate.tiers.rules(caller).limits
        return await about_key(caller, limits, partial(desk.spent, call), call.wall)

    async def render(call: Call, scope: Scope) -> tuple[int, str, bytes]:
        match page:
            case "models":
                return await _models(call, desk)
            case "model":
                return await _model(call, desk, str(scope["path_params"]["id"]))
            case "show":
                return await _show(call, desk)
            case "version":
                return 200, _JSON, _encode({"version": __version__})
            case "loaded":
                return 200, _JSON, _encode({"models": []})
            case "generation":
                return 200, _JSON, await generation(call.query, partial(desk.find, call))
            case "credits":
                return 200, _JSON, await credit(partial(desk.spent, call))
            case "key":
                return 200, _JSON, await _key(call)
            case "recommend":
                return 200, _JSON, await desk.recommend(call)
            case "explain":
                return 200, _JSON, await desk.explain(call, str(scope["path_params"]["id"]))
            case "bodies":
                return 200, _JSON, await desk.bodies(call, str(scope["path_params"]["id"]))
            case "bodies_delete":
                return 200, _JSON, await desk.forget_bodies(call, str(scope["path_params"]["id"]))
            case "health":
                return await _health(desk)
            case "ready":
                return await _ready(desk)
            case "metrics":
                text = await asyncio.get_running_loop().run_in_executor(None, desk.metrics())
                return 200, CONTENT_TYPE, text
            case "refresh":
                return 200, _JSON, await desk.refresh(call)
            case "reload":
                return 200, _JSON, await desk.reload(call)
            case "openapi":
                return 200, _JSON, await desk.described()
            case _:
                raise AssertionError(f"{page} has an endpoint of its own")

    async def serve(call: Call, scope: Scope, _: Receive) -> Whole:
        if route.home is None:
            call.dialect = spoken(call.headers, route.dialect)
        if route.permission != "public":
            call.proof = proof_of(call, scope)
            if route.permission in _NOTED:
                caller = await identify_or_note(call, route, house, management)
            else:
                caller = await identify(call, route.permission, house)
            if page in _COUNTED:
                await let_in(call, caller, house)
        match page:
            case "usage":
                return await _sent(await desk.usage(call))
            case "calls":
                return await _sent(await desk.calls(call, "tenant"))
            case "all_calls":
                return await _sent(await desk.calls(call, "all"))
            case _:
                status, kind, body = await render(call, scope)
                return Whole(status, body, kind)

    return whole_endpoint(route, entry, serve)


async def _sent(found: Document) -> Whole:
    """A report as an answer; a file where it is one."""
    headers = {}
    if found.name:
        ending = "csv" if found.content_type.startswith("text/csv") else "jsonl"
        headers["content-disposition"] = f'attachment; filename="{found.name}.{ending}"'
    return await begun(Whole(200, found.body, found.content_type, headers, found.pieces))


def spoken(headers: dict[str, str], default: Family) -> Family:
    """The dialect of a caller whose path does not tell, by its family's own headers (D14)."""
    if default != "chat":
        return default
    if "anthropic-version" in headers:
        return "anthropic"
    return "gemini" if "x-goog-api-key" in headers and "gemini" in DIALECTS else default
