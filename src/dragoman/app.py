"""The composition root: settings → services → the ASGI application → a server that drains.

``serve`` is what the command line calls. One worker runs here; several are processes behind one
socket, each of which serves and drains as the one does.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from socket import socket

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import multiprocess

from dragoman.accounting import ports
from dragoman.accounting.ports import Line, Sums
from dragoman.accounting.report import parse_query, usage_report
from dragoman.catalog.cards import Card, model_cards
from dragoman.config.greeting import greeting, say_greeting
from dragoman.config.load import environment, load_settings
from dragoman.config.settings import Settings, check_serving
from dragoman.core.call import Call
from dragoman.core.errors import GatewayError
from dragoman.core.money import plain
from dragoman.health.condition import Condition, conditions
from dragoman.services import Services, new_id, open_services
from dragoman.surface.app import Surface, build
from dragoman.surface.connection import Connection
from dragoman.surface.endpoint import Entry
from dragoman.surface.guards import Guards
from dragoman.surface.listening import take_address
from dragoman.surface.pages import Desk, Readiness
from dragoman.telemetry.foreign import foreign_config, speak_through
from dragoman.telemetry.log import AccessLine, timestamp
from dragoman.telemetry.siblings import PUBLISH_S, Siblings, workers_folder

WORKERS = "DRAGOMAN_WORKERS"
WORKERS_FOLDER = "DRAGOMAN_WORKERS_FOLDER"
ENV_FILE = "DRAGOMAN_ENV_FILE"
KEEP_ALIVE_S = 75
BACKLOG = 4096
GENERATIONS_S = 7 * 86_400
"""How far back a call is found by what it is called; by its own id it always is."""
COLLECTOR = (100_000, 20, 50)


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
        self._siblings = None if folder is None else Siblings(folder)
        self._stack = AsyncExitStack()
        self._app: ASGIApp | None = None
        self.services: Services | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection's scope."""
        if self._app is None:
            await self._lifespan(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def open(self) -> None:
        """Opens the services and builds the application."""
        env = environment(self._env_file)
        services = await self._stack.enter_async_context(
            open_services(self.settings, env, workers=self._workers)
        )
        self.services = services
        speak_through(services.log)
        if self._siblings is not None:
            services.metrics.siblings = self._siblings
            publishing = asyncio.create_task(_publish(services))
            self._stack.callback(publishing.cancel)
        if services.house.mode.accepts == "listed":
            services.log.event(
                "warn",
                "listening beyond this machine with a provider's key in local mode: "
                "only stored keys and LOCAL_KEYS are accepted",
                host=self.settings.host,
            )
        self._app = build(surface(self, services))
        if services.first_admin_key is not None:
            # Told once, to whoever started the server, and in no log (R-AUTH-004).
            print(f"Admin key, shown this once: {services.first_admin_key}", flush=True)  # noqa: T201
        # What is here now lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        # A request leaves no cycles, so what the collector finds is rarely worth its walk.
        gc.set_threshold(*COLLECTOR)

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
            await send({"type": "lifespan.startup.failed", "message": error.message})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})


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


def surface(application: Application, services: Services) -> Surface:
    """What the ASGI application is made of."""
    settings, house = services.settings, services.house

    async def models(home: str | None) -> list[Card]:
        due = tuple(house.registry.listings_due(time.monotonic()))
        await house.fetch_listings(due)
        return model_cards(house.registry, time.time(), home)

    async def usage(call: Call) -> bytes:
        assert call.caller is not None, "the route needs a caller"
        query = parse_query(call.query)
        await house.accountant.flush()
        return await usage_report(house.accountant.writer.ledger, call.caller, query)

    async def find(call: Call, name: str) -> Line | None:
        assert call.caller is not None, "the route needs a caller"
        await house.accountant.flush()
        since = int((call.wall - GENERATIONS_S) * 1_000_000)
        scope = ports.Scope(call.caller.tenant, since_us=since)
        return await house.accountant.writer.ledger.find(scope, name)

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
        if not house.registry.providers:
            return Readiness(ready=False, reason="no provider is configured: set a provider's key")
        return Readiness(ready=True, redis=services.record.redis)

    def metrics() -> bytes:
        _conditions(services)
        return services.metrics.text()

    def providers() -> dict[str, str]:
        return {name: each.word for name, each in _conditions(services).items()}

    return Surface(
        house=house,
        entry=Entry(
            body_cap=settings.max_body_bytes,
            new_id=new_id,
            wall=time.time,
            started=_started(services),
            finished=_finished(services),
            failed=house.means.report,
        ),
        desk=Desk(
            mode=settings.mode,
            models=models,
            usage=usage,
            find=find,
            spent=spent,
            readiness=readiness,
            providers=providers,
            metrics=metrics,
        ),
        guards=Guards(
            local=settings.mode == "local",
            allowed_hosts=frozenset(name.lower() for name in settings.allowed_hosts),
            origins=frozenset(settings.cors_allow_origins),
        ),
        switches={
            "enable_openai_routes": settings.enable_openai_routes,
            "enable_anthropic_routes": settings.enable_anthropic_routes,
            "enable_models_routes": settings.enable_models_routes,
            "enable_gemini_routes": settings.enable_gemini_routes,
            "enable_groq_routes": settings.enable_groq_routes,
            "enable_ollama_routes": settings.enable_ollama_routes,
            "enable_openrouter_routes": settings.enable_openrouter_routes,
        },
        lifespan=application._lifespan,  # noqa: SLF001  the same object's own protocol
    )


def _conditions(services: Services) -> dict[str, Condition]:
    """How each provider is doing; metrics are told of it on this occasion."""
    house, metrics = services.house, services.metrics
    found = conditions(house.health, house.registry.providers, time.monotonic())
    metrics.breakers = {name: each.breaker for name, each in found.items()}
    metrics.scores = {name: each.score for name, each in found.items()}
    metrics.disabled = {name: int(each.disabled) for name, each in found.items()}
    metrics.models_off = {name: each.models_off for name, each in found.items()}
    metrics.shared_state = services.record.redis
    return found


def _started(services: Services) -> Callable[[], None]:
    metrics = services.metrics

    def started() -> None:
        metrics.active += 1

    return started


def _finished(services: Services) -> Callable[[Call, float], None]:
    """What is told of every request that is over: counters, and one line in the log."""
    metrics, log = services.metrics, services.log

    def finished(call: Call, duration_s: float) -> None:
        metrics.active -= 1
        outcome = call.outcome
        metrics.finished(outcome, duration_s)
        attempt = outcome.served
        usage = attempt.usage if attempt else None
        log.access(
            AccessLine(
                timestamp=timestamp(call.wall),
                level="info",
                message="request",
                request_id=call.request_id,
                trace_id=call.trace_id,
                route=call.route,
                logger="dragoman",
                status=outcome.http_status,
                duration_ms=round(duration_s * 1000, 3),
                call_id=call.id,
                key=call.caller.key_id if call.caller else None,
                provider=attempt.provider if attempt else None,
                model=attempt.model if attempt else None,
                stream=outcome.stream,
                attempts=len(outcome.attempts),
                first_event_ms=_ms(attempt.first_event_s) if attempt else None,
                tokens={"input": usage.input or 0, "output": usage.billed_output or 0}
                if usage
                else None,
                cost_usd=plain(attempt.cost) if attempt and attempt.cost is not None else None,
                error=outcome.error_code,
            )
        )

    return finished


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


class _Server(uvicorn.Server):
    """uvicorn's server, which drains on a signal and then ends with status 0.

    The library raises the signal again after a graceful end; a supervisor would take that
    for a crash. ``/ready`` says 503 from the first moment on.
    """

    def __init__(self, config: uvicorn.Config, application: Application) -> None:
        super().__init__(config)
        self._application = application

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Opens the application, listens, and says so."""
        await super().startup(sockets)
        assert sockets, "the address was taken before"
        self._application.greet(sockets[0].getsockname()[1])

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handles SIGTERM and SIGINT while serving."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._drain, number)
        yield

    def _drain(self, number: int) -> None:
        if self._application.draining and number == signal.SIGINT:
            self.force_exit = True
        self._application.draining = True
        self.should_exit = True


class _Worker(multiprocess.Process):
    """One of several processes; it serves as a single one does."""

    def target(self, sockets: list[socket] | None = None) -> None:
        """What the new process runs."""
        application = worker()
        self.config.app = application
        self._server = _Server(self.config, application)
        super().target(sockets)


def server_config(application: ASGIApp | str, settings: Settings) -> uvicorn.Config:
    """How uvicorn serves: httptools and uvloop, no access log, no WebSocket yet."""
    return uvicorn.Config(
        application,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=Connection,
        ws="none",
        lifespan="on",
        log_config=foreign_config(settings.level, settings.log_format),
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(settings.drain_timeout_s),
        workers=settings.workers,
    )


def serve(settings: Settings, env_file: Path | None = None) -> int:
    """Serves until a signal; the exit status.

    Raises:
        ConfigError: the configuration may not be served with.
    """
    check_serving(settings)
    if settings.workers > 1:
        return _serve_many(settings, env_file)
    listening = take_address(settings.host, settings.port)
    application = Application(settings, env_file)
    server = _Server(server_config(application, settings), application)
    server.run(listening)
    return 0 if server.started else 1


def _serve_many(settings: Settings, env_file: Path | None) -> int:
    """Several processes behind one socket; each reads its settings again."""
    # The supervisor has no other place to say what a worker is, and its own does not drain as ours.
    multiprocess.Process = _Worker  # type: ignore[misc]  # a subclass in the place of its class
    os.environ.update(
        {
            "MODE": settings.mode,
            "HOST": settings.host,
            "PORT": str(settings.port),
            "DRAGOMAN_HOME": str(settings.dragoman_home),
            WORKERS: str(settings.workers),
        }
    )
    if env_file is not None:
        os.environ[ENV_FILE] = str(env_file)
    config = server_config("dragoman.app:worker", settings)
    listening = take_address(settings.host, settings.port)
    with workers_folder(settings.dragoman_home) as folder:
        os.environ[WORKERS_FOLDER] = str(folder)
        supervisor = multiprocess.Multiprocess(config, sockets=listening)
        supervisor.run()
    # One that could not start has told why, and would fail the same way every time (K5).
    failed = any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes)
    return STARTUP_FAILURE if failed else 0


def worker() -> Application:
    """The application of one of several worker processes."""
    file = os.environ.get(ENV_FILE)
    env_file = Path(file) if file else None
    workers = int(os.environ.get(WORKERS, "1"))
    folder = os.environ.get(WORKERS_FOLDER)
    return Application(
        load_settings(env_file=env_file),
        env_file,
        workers=workers,
        folder=Path(folder) if folder else None,
    )
