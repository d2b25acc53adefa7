"""The composition root: settings → services → the ASGI application, open as long as its lifespan."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from dragoman import memory
from dragoman.accounting import ports
from dragoman.accounting.explain import explained
from dragoman.accounting.ports import Line, Sums
from dragoman.assembly.live_accounts import ACCOUNTS, tend
from dragoman.assembly.logins import telling
from dragoman.body_pages import BodyPages, open_bodies
from dragoman.config.greeting import greeting, say_greeting
from dragoman.config.load import environment
from dragoman.config.running import Outcome
from dragoman.config.settings import Settings
from dragoman.control import management
from dragoman.core.call import Call
from dragoman.core.client_address import networks_of
from dragoman.core.errors import CallerError, GatewayError
from dragoman.health.condition import Condition, conditions
from dragoman.live_models import LiveModels
from dragoman.observing import untold
from dragoman.reload import Reloader
from dragoman.services import Services, new_id, open_services
from dragoman.surface.app import Surface, build
from dragoman.surface.endpoint import Entry
from dragoman.surface.guards import Guards
from dragoman.surface.openapi import document
from dragoman.surface.pages import Desk, Readiness
from dragoman.surface.revoked import cut_revoked
from dragoman.telemetry.foreign import speak_through
from dragoman.telemetry.request_end import finished_with, opened_with, paged_with, started_with
from dragoman.telemetry.siblings import PUBLISH_S, Siblings
from dragoman.usage_pages import usage_pages

GENERATIONS_S = 7 * 86_400
"""How far back a call is found by what it is called; by its own id it always is."""
_PATIENCE_S = 3.0


class Application:
    """The gateway as an ASGI application; its services live as long as its lifespan."""

    def __init__(
        self,
        settings: Settings,
        env_file: Path | None = None,
        *,
        workers: int = 1,
        folder: Path | None = None,
    ) -> None:
        self.settings = settings
        self.draining = False
        self._env_file = env_file
        self._workers = workers
        self._folder = folder
        self._siblings = Siblings(folder) if folder is not None and workers > 1 else None
        self._reloading: set[asyncio.Task[Outcome]] = set()
        self._stack = AsyncExitStack()
        self._app: ASGIApp = self._lifespan
        """Until it is open, nothing but its start."""
        self.services: Services | None = None
        self.reloader: Reloader | None = None
        self.bodies: BodyPages | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """One connection's scope."""
        return self._app(scope, receive, send)

    async def open(self) -> None:
        """Opens the services and builds the application."""
        memory.gather()
        env = environment(self._env_file)
        services = await self._stack.enter_async_context(
            open_services(self.settings, env, workers=self._workers, folder=self._folder)
        )
        self.services = services
        self.reloader = reloader = Reloader(services, self._env_file, self._folder)
        speak_through(services.log)
        self.bodies = await self._stack.enter_async_context(open_bodies(services))
        services.log.event("info", "configuration in force", version=reloader.version)
        if self._siblings is not None:
            services.metrics.siblings = self._siblings
            publishing = asyncio.create_task(_publish(services))
            self._stack.callback(publishing.cancel)
            following = asyncio.create_task(reloader.follow())
            self._stack.callback(following.cancel)
        if self._siblings is not None or services.database.backend == "postgresql":
            names = asyncio.create_task(reloader.follow_names())
            self._stack.callback(names.cancel)
        watching = asyncio.create_task(services.watch_credentials())
        self._stack.push_async_callback(_ended, watching)
        ACCOUNTS.tell = telling(services.log)
        tending = asyncio.create_task(tend(reloader.renew))
        self._stack.callback(tending.cancel)
        if services.house.mode.accepts == "listed":
            services.log.event(
                "warn",
                "listening beyond this machine with a provider's key in local mode: "
                "only stored keys and LOCAL_KEYS are accepted",
                host=self.settings.host,
            )
        if self.settings.data_source_preference == "filesystem":
            # Schemas only where they are wanted.
            from dragoman.data_files import MIRROR_S, mirror  # noqa: PLC0415
            from dragoman.data_keys import mirror_keys  # noqa: PLC0415
            from dragoman.data_reading import read_back  # noqa: PLC0415

            if await read_back(services, self._folder):
                await reloader.renew()
            for work in (
                mirror(services, partial(environment, self._env_file)),
                mirror_keys(services, MIRROR_S),
            ):
                self._stack.push_async_callback(_ended, asyncio.create_task(work))
        made = surface(self, services, reloader)
        self._app = build(made)
        assert services.stored is not None, "serving has opened it"
        told = partial(untold, services.log)
        cutting = asyncio.create_task(cut_revoked(services.stored.keys, made.entry.live, told))
        self._stack.callback(cutting.cancel)
        if services.first_admin_key is not None:
            # Told once, to whoever started the server, and in no log (R-AUTH-004).
            print(f"Admin key, shown this once: {services.first_admin_key}", flush=True)  # noqa: T201
        memory.settle()

    def reload(self) -> None:
        """Has the configuration file read again; the log tells what became of it."""
        if self.reloader is not None and not self.draining:
            task = asyncio.create_task(self.reloader.reload())
            self._reloading.add(task)
            task.add_done_callback(self._reloading.discard)

    def greet(self, port: int) -> None:
        """Tells whoever started the server that it is ready, and where."""
        assert self.services is not None, "it has been opened"
        served = self.services.house.registry.providers.values()
        names = [provider.name for provider in served if not provider.stub]
        say_greeting(greeting(self.settings, port, self._workers, names), self._folder)

    async def close(self) -> None:
        """Closes everything, the ledger's buffer written."""
        await self._stack.aclose()

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "lifespan", "the server starts the application first"
        await receive()
        try:
            await self.open()
        except GatewayError as error:
            from dragoman.store.engine import told_reason  # noqa: PLC0415  only where it fails

            await send({"type": "lifespan.startup.failed", "message": told_reason(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})


async def _ended(task: asyncio.Task[None]) -> None:
    """Ends a task, and what it does at its end."""
    task.cancel()
    await asyncio.wait({task}, timeout=_PATIENCE_S)


async def _publish(services: Services) -> None:
    """Keeps the numbers that sibling workers read; the last ones are written at the end."""
    metrics = services.metrics
    try:
        while True:
            _conditions(services)
            metrics.publish()
            await asyncio.sleep(PUBLISH_S)
    finally:
        metrics.publish()


def surface(application: Application, services: Services, reloader: Reloader) -> Surface:
    """What the ASGI application is made of."""
    settings, house = services.settings, services.house

    assert application.bodies is not None, "it has been opened"
    kept = application.bodies
    live = LiveModels(services)
    pages = usage_pages(services, live)
    managed = management(services, reloader, live)

    async def described() -> bytes:
        # The admin room's part needs FastAPI: where it is switched off, nobody pays for it.
        return document(await managed.described() if settings.enable_admin_routes else None)

    async def refresh(call: Call) -> bytes:
        async with managed.deed(call, "models.refresh", "*") as note:
            found = note.after = await live.refresh()
        return msgspec.json.encode({"object": "models.refresh", "models": found})

    async def explain(call: Call, name: str) -> bytes:
        assert call.caller is not None, "the route needs a caller"
        await house.accountant.flush()
        scope = _recent(call, call.caller.tenant)
        return await explained(house.accountant.writer.ledger, scope, name)

    async def find(call: Call, name: str) -> Line | None:
        assert call.caller is not None, "the route needs a caller"
        await house.accountant.flush()
        scope = _recent(call, call.caller.tenant)
        return await house.accountant.writer.ledger.find(scope, name)

    async def bodies(call: Call, name: str) -> bytes:
        return await kept.read(call, name, _since_us(call))

    async def forget_bodies(call: Call, name: str) -> bytes:
        return await kept.remove(call, name, _since_us(call))

    async def spent(call: Call, since_us: Sequence[int | None]) -> list[Sums]:
        caller = call.caller
        assert caller is not None, "the route needs a caller"
        await house.accountant.flush()
        ledger = house.accountant.writer.ledger
        return [
            await ledger.sums(ports.Scope(caller.tenant, caller.key_id, moment))
            for moment in since_us
        ]

    async def readiness() -> Readiness:
        if application.draining:
            return Readiness(ready=False, reason="draining")
        try:
            await services.database.ping()
        except GatewayError as error:
            return Readiness(ready=False, reason=error.message)
        if house.accountant.storage_full:
            return Readiness(ready=False, reason="the disk is full: usage cannot be recorded")
        if not house.registry.providers and not house.holders:
            return Readiness(ready=False, reason="no provider is configured: set a provider's key")
        return Readiness(
            ready=True,
            config=reloader.version,
            redis=services.record.redis,
            limits=services.limits_kept(),
        )

    def metrics() -> Callable[[], bytes]:
        _conditions(services)
        return services.metrics.gathered()

    async def reload(call: Call) -> bytes:
        async with managed.deed(call, "config.reload", "dragoman.toml") as note:
            outcome = await reloader.reload()
            if not outcome.ok:
                raise CallerError("invalid_request", outcome.error, code="configuration_error")
            note.after = {"version": outcome.version, "changed": outcome.changed}
        return msgspec.json.encode(
            {
                "object": "config.reload",
                "version": outcome.version,
                "changed": outcome.changed,
                "restart": outcome.restart,
                "workers": outcome.workers,
            }
        )

    def providers() -> dict[str, str]:
        return {name: each.word for name, each in _conditions(services).items()}

    return Surface(
        house=house,
        entry=Entry(
            body_cap=settings.max_body_bytes,
            new_id=new_id,
            wall=time.time,
            started=started_with(services.metrics),
            finished=finished_with(
                services.metrics,
                services.log,
                services.errors.put,
                services.tracer,
                networks_of(settings.trusted_proxies),
            ),
            failed=house.means.report,
            sample=services.tracer.sample if services.tracer is not None else None,
            passes_state=settings.otel_forward_tracestate,
            shows=settings.log_sensitive_payloads,
            paged=paged_with(services.log) if settings.level == "debug" else None,
            opened=opened_with(services.metrics),
            bodies=kept.bodies.begin,
        ),
        desk=Desk(
            mode=settings.mode,
            models=live.cards,
            model=live.card,
            refresh=refresh,
            usage=pages.own,
            calls=pages.calls,
            recommend=pages.recommend,
            explain=explain,
            bodies=bodies,
            forget_bodies=forget_bodies,
            find=find,
            spent=spent,
            readiness=readiness,
            providers=providers,
            metrics=metrics,
            reload=reload,
            described=described,
        ),
        guards=Guards(
            local=settings.mode == "local",
            allowed_hosts=frozenset(name.lower() for name in settings.allowed_hosts),
            origins=frozenset(settings.cors_allow_origins),
        ),
        switches={
            "enable_admin_routes": settings.enable_admin_routes,
            "enable_openai_routes": settings.enable_openai_routes,
            "enable_anthropic_routes": settings.enable_anthropic_routes,
            "enable_models_routes": settings.enable_models_routes,
            "enable_gemini_routes": settings.enable_gemini_routes,
            "enable_groq_routes": settings.enable_groq_routes,
            "enable_ollama_routes": settings.enable_ollama_routes,
            "enable_openrouter_routes": settings.enable_openrouter_routes,
        },
        lifespan=application._lifespan,  # noqa: SLF001  the same object's own protocol
        management=managed,
    )


def _recent(call: Call, tenant: str) -> ports.Scope:
    """A tenant's calls, as far back as they are found by what they are called."""
    return ports.Scope(tenant, since_us=_since_us(call))


def _since_us(call: Call) -> int:
    return int((call.wall - GENERATIONS_S) * 1_000_000)


def _conditions(services: Services) -> dict[str, Condition]:
    """How each provider is doing; metrics are told of it on this occasion."""
    house, metrics = services.house, services.metrics
    found = conditions(house.health, house.registry.providers, time.monotonic())
    metrics.breakers = {name: each.breaker for name, each in found.items()}
    metrics.scores = {name: each.score for name, each in found.items()}
    metrics.disabled = {name: int(each.disabled) for name, each in found.items()}
    metrics.models_off = {name: each.models_off for name, each in found.items()}
    metrics.queues, metrics.lost = services.queues()
    if services.tracer is not None:
        metrics.spans_sent = services.tracer.exporter.sent
    metrics.shared_state = services.record.redis
    metrics.limits_kept = services.limits_kept()
    return found
