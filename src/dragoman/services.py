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
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from dragoman import __version__
from dragoman.accounting.account import Accountant, open_accountant
from dragoman.accounting.ports import Happening
from dragoman.assembly.assemble import Assembly, assemble
from dragoman.attempt.allowance import Allowance, Allowances
from dragoman.attempt.means import Means
from dragoman.attempt.ports import Transport
from dragoman.catalog.registry import Registry
from dragoman.config.fetching import fetch_policy
from dragoman.config.health import health_of
from dragoman.config.load import version_of
from dragoman.config.reusing import reuse_policy
from dragoman.config.settings import Settings
from dragoman.config.shared_state import redis_of
from dragoman.core import ids
from dragoman.core.call import Call, Limits
from dragoman.core.clock import SystemClock
from dragoman.core.envelope import Envelope
from dragoman.core.errors import CallerError, HouseError
from dragoman.core.provider import Price
from dragoman.health.health import Health
from dragoman.identity.cache import CachedKeys
from dragoman.keeping.keeper import Keeper, KeepingPolicy
from dragoman.pipeline import House
from dragoman.store.memory.limits import MemoryLimits
from dragoman.telemetry.foreign import place
from dragoman.telemetry.log import SOON_S, Log
from dragoman.telemetry.metrics import Metrics
from dragoman.transport.fetch import UrlFetcher
from dragoman.transport.fetch_listings import ListingFetcher
from dragoman.transport.http import open_transport
from dragoman.transport.stub import StubTransport

if TYPE_CHECKING:
    from dragoman.accounting.past import PastCall
    from dragoman.store.engine import Database
    from dragoman.store.health_record import Exchange
    from dragoman.store.seal import Sealer
    from dragoman.store.sql.keys import SqlKeys


@dataclass(slots=True)
class Services:
    """A running process's possessions."""

    settings: Settings
    house: House
    database: Database
    record: Exchange
    log: Log
    metrics: Metrics
    install: Callable[[Assembly], None]
    """Puts another configuration in force; whoever is under way keeps the one before."""
    first_admin_key: str | None = None
    """Made at the very first start in local mode; shown once."""


_dice = random.Random(os.urandom(32))  # noqa: S311  ids are unique, not secret
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _dice.seed(os.urandom(32)))


def new_id() -> str:
    """A UUIDv7 of now."""
    return ids.uuid7_of(time.time(), _dice.getrandbits(76))


# --------------------------------------------------------------------------- keys


@asynccontextmanager
async def open_keys(settings: Settings) -> AsyncIterator[SqlKeys]:
    """The stored keys alone, for commands that need no server."""
    async with _open_store(settings) as (database, keys, sealer):
        del database, sealer
        yield keys


@asynccontextmanager
async def open_past(
    settings: Settings,
) -> AsyncIterator[Callable[[int, int], AsyncIterator[list[PastCall]]]]:
    """The last calls in the ledger, for commands that need no server: since Unix microseconds, at most so many."""
    from dragoman.store.sql.past import past_calls  # noqa: PLC0415  SQL only where it is needed

    async with _open_store(settings) as (database, keys, sealer):
        del keys, sealer
        yield partial(past_calls, database)


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
    from dragoman.store.health_record import open_record  # noqa: PLC0415
    from dragoman.store.kept import open_kept  # noqa: PLC0415
    from dragoman.store.sql.ledger import SqlLedger  # noqa: PLC0415
    from dragoman.store.sql.secrets import open_secret  # noqa: PLC0415

    clock = SystemClock()
    log = Log(settings.level, settings.log_format)
    loop = asyncio.get_running_loop()
    log.later = partial(loop.call_later, SOON_S, log.flush)
    log.outlet.start()
    metrics = Metrics()
    built = assemble(settings, env)
    current = _Current(built.registry)
    async with AsyncExitStack() as stack:
        stack.callback(log.close)
        database, keys, sealer = await stack.enter_async_context(_open_store(settings))
        envelope = Envelope((await open_secret(database, sealer, clock, "envelope")).versions)
        first = await _first_admin(settings, keys)
        cached = CachedKeys(keys, clock, stale_s=settings.key_stale_s)
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
                prices=current.price,
                notice=_notice(log, metrics),
                buffer_size=settings.usage_buffer_size,
                flush_interval_s=settings.usage_flush_interval,
                durability=settings.usage_durability,
            )
        )
        health = health_of(settings, log)
        redis = redis_of(settings, stack)
        record = await stack.enter_async_context(
            open_record(
                health,
                database,
                clock,
                partial(_untold, log),
                shared=workers > 1,
                redis=redis,
                prefix=settings.redis_prefix,
            )
        )
        fetcher = ListingFetcher(built.registry, built.pools, transport, log)
        means = _means(built, transport, health, log, envelope, workers)
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
                redis,
                settings.redis_prefix,
            )
        )
        recorder.consumed = metrics.consumed
        recorder.version = version_of(settings.file_text)
        house = House(
            keys=cached,
            mode=built.mode,
            limits=MemoryLimits(share=workers),
            everyone=Limits(rpm=settings.test_rate_limit_rpm) if settings.mode == "test" else None,
            registry=built.registry,
            health=health,
            pools=built.pools,
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
                current.address,
            ),
            recorder=recorder,
            means=means,
            clock=clock,
            limited=metrics.limited,
            strategy=settings.routing_strategy,
        )
        fetcher.changed = house.plans.clear
        services = Services(settings, house, database, record, log, metrics, _nothing_yet, first)
        services.install = partial(_install, services, current, transport)
        yield services


@dataclass(slots=True)
class _Current:
    """The registry in force, and the one before it, whose calls may still be under way."""

    registry: Registry
    former: Registry | None = None

    def price(self, provider: str, model: str) -> Price | None:
        """The price of a model now."""
        holder = self._holder(provider)
        return None if holder is None else holder.price(provider, model, time.time())

    def address(self, provider: str) -> str | None:
        """Where a provider is."""
        holder = self._holder(provider)
        return None if holder is None else holder.providers[provider].base_url

    def _holder(self, provider: str) -> Registry | None:
        both = (self.registry, self.former)
        return next((each for each in both if each and provider in each.providers), None)


def _nothing_yet(assembly: Assembly) -> None:
    """The house is not furnished."""


def _install(services: Services, current: _Current, transport: Transport, built: Assembly) -> None:
    """Swaps what the configuration says, in one step: no call sees half of it."""
    house = services.house
    for provider in built.registry.changed_since(house.registry):
        house.health.forget(provider, house.clock.monotonic())
        house.means.allowances.forget(provider)
    current.registry, current.former = built.registry, house.registry
    fetcher = ListingFetcher(built.registry, built.pools, transport, services.log)
    house.registry, house.pools, house.mode = built.registry, built.pools, built.mode
    house.strategy = built.settings.routing_strategy
    house.plans = {}
    fetcher.changed = house.plans.clear
    house.fetch_listings = fetcher.fetch
    house.means = replace(
        house.means,
        policy=built.policy,
        fetched_for=frozenset(built.settings.image_fetch_providers),
    )
    house.accountant.forget_prices()
    house.recorder.version = version_of(built.settings.file_text)
    services.settings = built.settings


def _untold(log: Log, what: str, error: Exception) -> None:
    """Tells the log of a failure behind the calls; of one that is not worded for it the kind alone."""
    said = error.message if isinstance(error, HouseError) else type(error).__name__
    log.event("warn", what, error=said)


def _means(
    built: Assembly,
    transport: Transport,
    health: Health,
    log: Log,
    envelope: Envelope,
    workers: int,
) -> Means:
    settings = built.settings

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
        policy=built.policy,
        monotonic=time.monotonic,
        wall=time.time,
        dice=random.random,
        new_id=new_id,
        user_agent=f"dragoman/{__version__}",
        report=report,
        envelope=envelope,
        fetched_for=frozenset(settings.image_fetch_providers),
        allowances=Allowances(settings.retry_share, settings.retries_per_s / workers),
        hedges=Allowance(settings.hedge_share, 0.0),
    )
