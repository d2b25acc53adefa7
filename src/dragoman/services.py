"""Where ports meet implementations, and nowhere else: settings in, a furnished house out.

Whatever is opened here is closed here, in reverse order. The database and what speaks SQL is
imported inside, so that commands that need none stay quick (D32).
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from dragoman import __version__
from dragoman.accounting.account import Accountant, open_accountant
from dragoman.accounting.ports import Happening
from dragoman.attempt.means import Means
from dragoman.attempt.policy import Policy
from dragoman.attempt.ports import Transport, UpstreamRequest
from dragoman.catalog.listing import TIMEOUT_S, Listed, ListingRequest, read_listing
from dragoman.catalog.load import load_providers
from dragoman.catalog.registry import Registry, with_stub
from dragoman.catalog.routes import read_ranks, read_routes
from dragoman.catalog.schema import SERVED, CatalogError, OperatorRow, read_strictly
from dragoman.config.fetching import fetch_policy
from dragoman.config.load import config_path
from dragoman.config.prices import read_prices
from dragoman.config.reusing import reuse_policy
from dragoman.config.settings import ConfigError, Settings
from dragoman.core import ids
from dragoman.core.call import Call, Limits
from dragoman.core.clock import SystemClock
from dragoman.core.envelope import Envelope
from dragoman.core.errors import CallerError, HouseError, UpstreamError
from dragoman.core.provider import Family
from dragoman.credentials.pool import Pools
from dragoman.credentials.static import header_of
from dragoman.dialects.registry import DIALECTS
from dragoman.health.breaker import BreakerPolicy
from dragoman.health.health import Health
from dragoman.identity.authenticate import IdentityMode
from dragoman.identity.cache import CachedKeys
from dragoman.keeping.keeper import Keeper, KeepingPolicy
from dragoman.pipeline import House
from dragoman.store.memory.limits import MemoryLimits
from dragoman.telemetry.foreign import place
from dragoman.telemetry.log import SOON_S, Log
from dragoman.telemetry.metrics import Metrics
from dragoman.transport.fetch import UrlFetcher
from dragoman.transport.http import open_transport
from dragoman.transport.stub import StubTransport

if TYPE_CHECKING:
    from dragoman.store.engine import Database
    from dragoman.store.seal import Sealer
    from dragoman.store.sql.keys import SqlKeys

LISTING_LIMIT = 8 * 1024 * 1024


@dataclass(slots=True)
class Services:
    """A running process's possessions."""

    settings: Settings
    house: House
    database: Database
    log: Log
    metrics: Metrics
    first_admin_key: str | None = None
    """Made at the very first start in local mode; shown once."""


_dice = random.Random(os.urandom(32))  # noqa: S311  ids are unique, not secret
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _dice.seed(os.urandom(32)))


def new_id() -> str:
    """A UUIDv7 of now."""
    return ids.uuid7_of(time.time(), _dice.getrandbits(76))


# --------------------------------------------------------------------------- the catalogue


def open_registry(settings: Settings, env: Mapping[str, str]) -> Registry:
    """The providers that are switched on, with the stub where it serves (D20).

    Raises:
        ConfigError: a provider's row, key, address, alias or price is wrong.
    """
    try:
        rows = [_operator_row(row) for row in settings.providers]
        registry = load_providers(
            env,
            rows,
            provider_order=settings.provider_order,
            aliases=settings.aliases,
            routes=read_routes(settings.routes),
            ranks=read_ranks(settings.quality),
            prices=read_prices(settings.prices),
            steps={family: dialect.steps for family, dialect in DIALECTS.items()},
        )
    except CatalogError as error:
        # Rows, aliases and the order stand in the file alone; keys and addresses do not.
        inside = error.message.startswith(
            ("[[providers]]", "[routes", "[quality]", "The alias", "Aliases", "provider_order")
        )
        where = f"{config_path()}: " if inside else ""
        raise ConfigError(where + error.message) from None
    wanted = settings.use_stub_adapters
    lonely = not registry.providers and settings.mode in {"local", "test"}
    return with_stub(registry) if wanted or (wanted is None and lonely) else registry


def _operator_row(row: dict[str, Any]) -> OperatorRow:
    name, dialect = row.get("name"), row.get("dialect")
    where = f"[[providers]] {name}" if isinstance(name, str) else "[[providers]]"
    if dialect is not None and dialect not in get_args(Family):
        raise CatalogError(
            f"{where}: there is no dialect {dialect!r}; say one of {', '.join(sorted(SERVED))}."
        )
    return read_strictly(OperatorRow, _with_files(row), where)


def _with_files(row: dict[str, Any]) -> dict[str, Any]:
    """The row with every ``key_file`` read: secrets stand in files, never in the configuration."""
    credentials = row.get("credentials")
    if not isinstance(credentials, list):
        return row
    filled = []
    for item in credentials:
        if isinstance(item, dict) and "key_file" in item:
            path = Path(str(item["key_file"])).expanduser()
            try:
                key = path.read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ConfigError(f"key_file {path} cannot be read: {error.strerror}.") from None
            filled.append({**{k: v for k, v in item.items() if k != "key_file"}, "key": key})
        else:
            filled.append(item)
    return {**row, "credentials": filled}


def _nothing() -> None:
    """Nobody has to be told."""


class _Fetcher:
    """Fetches providers' lists of models, once for all who wait, and never for long (D13)."""

    def __init__(self, registry: Registry, pools: Pools, transport: Transport, log: Log) -> None:
        self.changed: Callable[[], None] = _nothing
        """Told when more models are known than before."""
        self._registry = registry
        self._pools = pools
        self._transport = transport
        self._log = log
        self._flights: dict[str, asyncio.Task[None]] = {}

    async def fetch(self, requests: tuple[ListingRequest, ...]) -> None:
        """Has every list fetched; returns when they are there, or their time is over."""
        flights = []
        for request in requests:
            name = request.provider.name
            flight = self._flights.get(name)
            if flight is None:
                flight = self._flights[name] = asyncio.create_task(self._one(request))
                flight.add_done_callback(partial(self._landed, name))
            flights.append(flight)
        if flights:
            await asyncio.wait(flights, timeout=TIMEOUT_S)

    def _landed(self, name: str, _: asyncio.Task[None]) -> None:
        self._flights.pop(name, None)

    async def _one(self, request: ListingRequest) -> None:
        name = request.provider.name
        try:
            models = await self._ask(request)
        except Exception as error:  # noqa: BLE001  a list that fails unnoted is asked for again by every call
            self._registry.fail_listing(name, time.monotonic())
            foreseen = isinstance(error, UpstreamError | TimeoutError)
            level, said = ("debug", str(error)) if foreseen else ("warn", type(error).__name__)
            self._log.event(level, "listing failed", provider=name, error=said)
        else:
            self._registry.note_listing(name, models, time.monotonic())
            self.changed()

    async def _ask(self, request: ListingRequest) -> tuple[Listed, ...]:
        name = request.provider.name
        credential = next(iter(self._pools.turn(name)), None)
        headers = {
            "accept": "application/json",
            "user-agent": f"dragoman/{__version__}",
            **request.provider.headers,
            **header_of(request.provider, credential),
        }
        question = UpstreamRequest("GET", request.url, headers, None, TIMEOUT_S, TIMEOUT_S)
        async with asyncio.timeout(TIMEOUT_S):
            reply = await self._transport.send(question)
            try:
                if reply.status != 200:
                    raise UpstreamError("upstream", f"It answered {reply.status}.")
                return read_listing(await reply.read(LISTING_LIMIT))
            finally:
                await reply.close()


# --------------------------------------------------------------------------- keys


@asynccontextmanager
async def open_keys(settings: Settings) -> AsyncIterator[SqlKeys]:
    """The stored keys alone, for commands that need no server."""
    async with _open_store(settings) as (database, keys, sealer):
        del database, sealer
        yield keys


@asynccontextmanager
async def _open_store(settings: Settings) -> AsyncIterator[tuple[Database, SqlKeys, Sealer]]:
    from dragoman.store.schema import open_upgraded  # noqa: PLC0415  SQL only where it is needed
    from dragoman.store.seal import open_sealer  # noqa: PLC0415
    from dragoman.store.sql.keys import open_keys as open_sql_keys  # noqa: PLC0415

    given = settings.fernet_key.get_secret_value() if settings.fernet_key else None
    sealer = open_sealer(settings.dragoman_home, given)
    database = await open_upgraded(settings.database)
    try:
        keys = await open_sql_keys(database, sealer, SystemClock(), settings.key_prefix)
        yield database, keys, sealer
    finally:
        await database.close()


async def _first_admin(settings: Settings, keys: SqlKeys) -> str | None:
    """The configured admin; in local mode, one made at the first start and told once (R-AUTH-004)."""
    from dragoman.store.sql.keys import NewKey  # noqa: PLC0415

    if settings.default_admin_user_id and settings.default_admin_api_key:
        await keys.ensure_admin(
            settings.default_admin_user_id, settings.default_admin_api_key.get_secret_value()
        )
        return None
    if settings.mode != "local" or any(key.role == "admin" for key in await keys.list()):
        return None
    try:
        _, secret = await keys.create(NewKey("local admin", role="admin", user_id="local-admin"))
    except CallerError:
        return None  # another worker was quicker, and shows its key
    return secret.reveal()


def identity_mode(settings: Settings, registry: Registry) -> IdentityMode:
    """Which keys are accepted (D20)."""
    if settings.mode != "local":
        return IdentityMode(settings.key_prefix)
    loopback = settings.host in {"127.0.0.1", "localhost", "::1"} or settings.host.startswith(
        "127."
    )
    paid = any(not provider.stub for provider in registry.providers.values())
    listed = frozenset(settings.local_keys)
    accepts: Any = "listed" if paid and not loopback else "wellformed"
    home = str(settings.dragoman_home) if loopback else ""
    return IdentityMode(settings.key_prefix, accepts, listed, home)


# --------------------------------------------------------------------------- everything


def _notice(log: Log, metrics: Metrics) -> Callable[[Happening, int, str], None]:
    """What accounting tells: to the log, and where it is trouble to a counter."""

    def notice(happening: Happening, number: int, detail: str) -> None:
        if happening == "written":
            return
        if happening in {"flush_failed", "entry_refused", "accounting_failed", "records_held"}:
            metrics.usage_failures += 1
            log.event("error", "ledger trouble", what=happening, number=number, detail=detail)
        else:
            log.event("info", "journal", what=happening, number=number, detail=detail)

    return notice


@asynccontextmanager
async def open_services(
    settings: Settings, env: Mapping[str, str], *, workers: int = 1
) -> AsyncIterator[Services]:
    """Everything that serving needs, open while the block runs.

    Raises:
        ConfigError, HouseError: something cannot be opened; the message says what to do.
    """
    from dragoman.store.given_again import open_recorder  # noqa: PLC0415
    from dragoman.store.kept import open_kept  # noqa: PLC0415
    from dragoman.store.sql.ledger import SqlLedger  # noqa: PLC0415
    from dragoman.store.sql.secrets import open_secret  # noqa: PLC0415

    clock = SystemClock()
    log = Log(settings.level, settings.log_format)
    loop = asyncio.get_running_loop()
    log.later = partial(loop.call_later, SOON_S, log.flush)
    log.outlet.start()
    metrics = Metrics()
    registry = open_registry(settings, env)
    registry.load_models()
    async with AsyncExitStack() as stack:
        stack.callback(log.close)
        database, keys, sealer = await stack.enter_async_context(_open_store(settings))
        envelope = Envelope((await open_secret(database, sealer, clock, "envelope")).versions)
        first = await _first_admin(settings, keys)
        cached = CachedKeys(keys, clock)
        stack.push_async_callback(cached.close)
        transport = open_transport(
            settings.upstream_client,
            max_connections=settings.max_upstream_connections,
            tls_ca=settings.upstream_ca_file,
        )
        stack.push_async_callback(transport.close)
        accountant: Accountant = await stack.enter_async_context(
            open_accountant(
                settings.dragoman_home / "journal",
                SqlLedger(database),
                clock=clock,
                prices=lambda provider, model: registry.price(provider, model, time.time()),
                notice=_notice(log, metrics),
                buffer_size=settings.usage_buffer_size,
                flush_interval_s=settings.usage_flush_interval,
                durability=settings.usage_durability,
            )
        )
        pools = Pools(registry.credentials)
        health = Health(
            BreakerPolicy(failures=settings.breaker_failures, open_s=settings.breaker_open_s)
        )
        fetcher = _Fetcher(registry, pools, transport, log)
        means = _means(settings, transport, health, log, envelope)
        if settings.image_fetch:
            means.fetcher = image_fetcher = UrlFetcher(
                fetch_policy(settings), settings.upstream_ca_file
            )
            stack.push_async_callback(image_fetcher.close)
        notes = await stack.enter_async_context(
            open_kept(
                settings.dragoman_home / "notes",
                database,
                sealer,
                clock,
                partial(_untold, log),
                shared=workers > 1,
            )
        )
        recorder = await stack.enter_async_context(
            open_recorder(
                database,
                sealer,
                clock,
                reuse_policy(settings),
                means.report,
                partial(_untold, log),
            )
        )
        recorder.consumed = metrics.consumed
        house = House(
            keys=cached,
            mode=identity_mode(settings, registry),
            limits=MemoryLimits(share=workers),
            everyone=Limits(rpm=settings.test_rate_limit_rpm) if settings.mode == "test" else None,
            registry=registry,
            health=health,
            pools=pools,
            fetch_listings=fetcher.fetch,
            accountant=accountant,
            keeper=Keeper(
                notes,
                clock,
                KeepingPolicy(
                    allowed=settings.allow_client_storage,
                    most_kept=settings.max_kept_responses,
                    most_kept_bytes=settings.max_kept_bytes,
                ),
                means.report,
                lambda name: _address(registry, name),
            ),
            recorder=recorder,
            means=means,
            clock=clock,
            limited=metrics.limited,
            strategy=settings.routing_strategy,
        )
        fetcher.changed = house.plans.clear
        yield Services(settings, house, database, log, metrics, first)


def _address(registry: Registry, name: str) -> str | None:
    provider = registry.providers.get(name)
    return None if provider is None else provider.base_url


def _untold(log: Log, what: str, error: Exception) -> None:
    """Tells the log of a failure behind the calls; of one that is not worded for it the kind alone."""
    said = error.message if isinstance(error, HouseError) else type(error).__name__
    log.event("warn", what, error=said)


def _means(
    settings: Settings, transport: Transport, health: Health, log: Log, envelope: Envelope
) -> Means:
    policy = Policy(
        connect_s=settings.connect_timeout_ms / 1000,
        first_event_s=settings.first_event_timeout_s,
        idle_s=settings.stream_idle_timeout_ms / 1000,
        write_s=settings.stream_write_timeout_ms / 1000,
        max_retries=settings.max_retries,
    )

    def report(error: Exception, call: Call) -> None:
        log.event(
            "error",
            "internal error",
            request_id=call.request_id,
            call_id=call.id,
            route=call.route,
            error=type(error).__name__,
            at=place(error),
        )

    return Means(
        transport=transport,
        stub=StubTransport(),
        health=health,
        policy=policy,
        monotonic=time.monotonic,
        wall=time.time,
        dice=random.random,
        new_id=new_id,
        user_agent=f"dragoman/{__version__}",
        report=report,
        envelope=envelope,
        fetched_for=frozenset(settings.image_fetch_providers),
    )
