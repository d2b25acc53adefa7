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
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dragoman import __version__
from dragoman.accounting.account import Accountant, open_accountant
from dragoman.admission.admit import Gate
from dragoman.admission.tiers import Tiers
from dragoman.assembly.assemble import Assembly, assemble, assemble_stored
from dragoman.assembly.in_force import InForce
from dragoman.assembly.logins import tunnels_of
from dragoman.attempt.allowance import Allowance, Allowances
from dragoman.attempt.means import Means
from dragoman.attempt.ports import Transport
from dragoman.catalog.login import read_logins
from dragoman.catalog.stored import Overlay
from dragoman.config.fetching import fetch_policy
from dragoman.config.health import health_of
from dragoman.config.load import version_of
from dragoman.config.reusing import reuse_policy
from dragoman.config.settings import Settings
from dragoman.config.shared_state import redis_of
from dragoman.config.tiers import ensure_file
from dragoman.core import ids
from dragoman.core.call import Call, Limits
from dragoman.core.clock import SystemClock
from dragoman.core.envelope import Envelope
from dragoman.core.errors import HouseError
from dragoman.credentials.book import Book
from dragoman.health.health import Health
from dragoman.identity.cache import CachedKeys
from dragoman.identity.ports import KeysChanged
from dragoman.keeping.keeper import Keeper, KeepingPolicy
from dragoman.observing import Depths, depths, told_of_limits, tracing, untold
from dragoman.pipeline import House
from dragoman.store.limits import Kept, open_limits, past_of
from dragoman.stores import first_admin, open_store
from dragoman.telemetry.foreign import place
from dragoman.telemetry.log import SOON_S, Log
from dragoman.telemetry.metrics import Metrics
from dragoman.telemetry.request_end import consumed_with
from dragoman.telemetry.sink import sink_of
from dragoman.transport.fetch import UrlFetcher
from dragoman.transport.fetch_listings import ListingFetcher
from dragoman.transport.http import open_transport
from dragoman.transport.key_trial import Trial, try_own
from dragoman.transport.stub import StubTransport

if TYPE_CHECKING:
    from dragoman.alarms.ring import Ring
    from dragoman.store.administered import Administered
    from dragoman.store.engine import Database
    from dragoman.store.error_log import ErrorLog
    from dragoman.store.health_record import Exchange
    from dragoman.telemetry.tracer import Tracer


@dataclass(slots=True)
class Services:
    """A running process's possessions."""

    settings: Settings
    house: House
    database: Database
    record: Exchange
    limits_kept: Callable[[], Kept]
    """Where limits are counted now."""
    log: Log
    metrics: Metrics
    errors: ErrorLog
    """Takes the lines of calls that failed."""
    tracer: Tracer | None
    """None: no traces are made."""
    install: Callable[[Assembly], None]
    """Puts another configuration in force; whoever is under way keeps the one before."""
    first_admin_key: str | None = None
    """Made at the very first start in local mode; shown once."""
    queues: Callable[[], Depths] = lambda: ({}, {})
    """What waits behind the calls, and what was lost of it."""
    keys_changed: KeysChanged = lambda _tenant, _key_id=None: None
    """Drops what this process remembers of keys that it has changed."""
    stored: Administered | None = None
    """What is kept of the admin API's doings."""
    overlay: Overlay = field(default_factory=Overlay)
    """What administrators have added, as it is in force."""
    ring: Ring | None = None
    """Raises and delivers alarms."""

    async def look_at_credentials(self) -> None:
        """Takes note at once of what was changed of tenants' credentials."""
        assert self.house.book is not None, "serving has opened it"
        await self.house.book.look()

    async def try_credential(self, name: str) -> Trial | None:
        """Asks its provider whether a tenant's credential is good; None: there is none of that id."""
        assert self.stored is not None, "serving has opened it"
        opened = await self.stored.credentials.open(name)
        if opened is None:
            return None
        return await try_own(opened, self.house.registry, self.house.means.transport)

    async def watch_credentials(self) -> None:
        """Notices what any process changes of tenants' credentials, until cancelled."""
        house = self.house
        assert house.book is not None, "serving has opened it"
        told = partial(untold, self.log, "tenants' credentials not looked at")
        try:
            await house.book.watch(house.means.used, told)
        finally:
            with suppress(HouseError):
                await asyncio.shield(house.book.write(house.means.used))


_ids = ids.Ids(time.time, os.urandom)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_ids.forget)

new_id = _ids.new
"""A UUIDv7 of now."""


def tell_refused(log: Log, built: Assembly) -> None:
    """Tells of stored names and providers that the file leaves no room for."""
    for told in built.refused:
        log.event("error", "stored over the admin API and not in force", what=told)


@asynccontextmanager
async def open_services(
    settings: Settings,
    env: Mapping[str, str],
    *,
    workers: int = 1,
    folder: Path | None = None,
    first_key: bool = True,
) -> AsyncIterator[Services]:
    """Everything that serving needs, open while the block runs; ``folder`` is what the workers share.

    Without ``first_key`` no admin key is made: whoever opens the house can show it to nobody.

    Raises:
        ConfigError, HouseError: something cannot be opened; the message says what to do.
    """
    from dragoman.afterwards import (  # noqa: PLC0415
        Surroundings,
        notice_of,
        open_afterwards,
        questions_of,
        sources_of,
        told_by,
    )
    from dragoman.store.administered import open_administered  # noqa: PLC0415
    from dragoman.store.budgets import open_budgets  # noqa: PLC0415
    from dragoman.store.error_log import open_error_log  # noqa: PLC0415
    from dragoman.store.given_again import open_recorder  # noqa: PLC0415
    from dragoman.store.health_record import open_record  # noqa: PLC0415
    from dragoman.store.kept import open_kept  # noqa: PLC0415
    from dragoman.store.sql.ledger import SqlLedger  # noqa: PLC0415
    from dragoman.store.sql.secrets import open_secret  # noqa: PLC0415

    clock = SystemClock()
    log = Log(settings.level, settings.log_format, sink_of(settings.log_to))
    loop = asyncio.get_running_loop()
    log.later = partial(loop.call_later, SOON_S, log.flush)
    log.outlet.start()
    metrics = Metrics()
    ensure_file(settings)
    built = assemble(settings, env)
    async with AsyncExitStack() as stack:
        stack.callback(log.close)
        database, keys, sealer = await stack.enter_async_context(open_store(settings))
        stored = await open_administered(database, keys, sealer, clock)
        if overlay := await stored.names.overlay():
            built = assemble_stored(settings, env, overlay)
            tell_refused(log, built)
        current = InForce(built.registry)
        envelope = Envelope((await open_secret(database, sealer, clock, "envelope")).versions)
        first = await first_admin(settings, keys) if first_key else None
        cached = CachedKeys(keys, clock, stale_s=settings.key_stale_s)
        stack.push_async_callback(cached.close)
        keys.tell(cached.heard)
        transport = open_transport(
            settings.upstream_client,
            max_connections=settings.max_upstream_connections,
            tls_ca=settings.upstream_ca_file,
            tunnels=tunnels_of(
                settings, read_logins(settings.oauth, env), built.registry.addresses()
            ),
        )
        stack.push_async_callback(transport.close)
        process = new_id()
        budgets, leases = await stack.enter_async_context(
            open_budgets(
                database,
                process,
                built.budgets,
                clock,
                told_by(log, metrics),
                partial(untold, log),
                shared=workers > 1,
            )
        )
        metrics.budgets = budgets.alerts.standings
        metrics.budget_refusals = budgets.alerts.refusals
        accountant: Accountant = await stack.enter_async_context(
            open_accountant(
                settings.dragoman_home / "journal",
                SqlLedger(database, budgets.written, questions_of(settings, current.now, clock)),
                clock=clock,
                prices=current.price,
                notice=notice_of(log, metrics),
                buffer_size=settings.usage_buffer_size,
                flush_interval_s=settings.usage_flush_interval,
                durability=settings.usage_durability,
                tag=process,
                drained=leases.ended,
            )
        )
        accountant.charging = built.charging
        around = Surroundings(
            settings, database, clock, log, metrics, process, alone=budgets.alone
        )
        sources = sources_of(current.now, current.price_at, transport, env, stored.credentials)
        ring = await stack.enter_async_context(
            open_afterwards(around, sources, budgets, built.alerts)
        )
        if budgets.active:
            # What dead processes had spent and leased counts from the first call on.
            await accountant.drain()
        health = health_of(settings, log)
        health.settle(built.registry.addresses())
        redis = redis_of(settings, stack)
        record = await stack.enter_async_context(
            open_record(
                health,
                database,
                clock,
                partial(untold, log),
                shared=workers > 1,
                redis=redis,
                prefix=settings.redis_prefix,
            )
        )
        limits, limits_kept = await stack.enter_async_context(
            open_limits(
                clock,
                partial(told_of_limits, log),
                workers=workers,
                folder=folder,
                redis=None if settings.mode == "test" else redis,
                prefix=settings.redis_prefix,
                secret=settings.rate_limit_hash_secret.get_secret_value(),
            )
        )
        errors = await stack.enter_async_context(
            open_error_log(
                settings.dragoman_home,
                redis if settings.error_log_to_redis else None,
                settings.redis_prefix,
                clock,
                partial(untold, log),
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
                partial(untold, log),
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
                partial(untold, log),
                redis,
                settings.redis_prefix,
            )
        )
        tracer = tracing(settings, process, current.address, log, stack)
        recorder.consumed = consumed_with(metrics, tracer)
        recorder.version = version_of(settings.file_text)
        house = House(
            keys=cached,
            mode=built.mode,
            gate=Gate(
                _tiers(built),
                limits,
                partial(past_of, accountant, clock),
                metrics.limited,
            ),
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
            strategy=settings.routing_strategy,
            budgets=budgets,
            tenants=built.tenants,
            services=built.services,
            tool_limits=built.tool_limits,
        )
        fetcher.changed = house.forget_plans
        house.widened = current.widened
        house.book = Book(stored.credentials, house.forget_view)
        house.holders = house.book.holders
        await house.book.look()
        services = Services(
            settings,
            house,
            database,
            record,
            limits_kept,
            log,
            metrics,
            errors,
            tracer,
            _nothing_yet,
            first,
        )
        services.stored, services.overlay = stored, built.overlay
        services.keys_changed, services.ring = cached.changed, ring
        services.queues = partial(depths, accountant, notes, errors, log, tracer)
        services.install = partial(_install, services, current, transport)
        yield services


def _nothing_yet(assembly: Assembly) -> None:
    """The house is not furnished."""


def _install(services: Services, current: InForce, transport: Transport, built: Assembly) -> None:
    """Swaps what the configuration says, in one step: no call sees half of it."""
    house = services.house
    for provider in built.registry.changed_since(house.registry):
        house.health.forget(provider, house.clock.monotonic())
        house.means.allowances.forget(provider)
    house.health.settle(built.registry.addresses())
    current.registry, current.former = built.registry, house.registry
    fetcher = ListingFetcher(built.registry, built.pools, transport, services.log)
    house.registry, house.pools, house.mode = built.registry, built.pools, built.mode
    house.strategy, house.tool_limits = built.settings.routing_strategy, built.tool_limits
    house.gate.tiers = _tiers(built)
    house.plans, house.views = {}, {}
    if house.budgets is not None:
        house.budgets.configure(built.budgets)
    fetcher.changed = house.forget_plans
    house.fetch_listings = fetcher.fetch
    house.means = replace(
        house.means,
        policy=built.policy,
        fetched_for=frozenset(built.settings.image_fetch_providers),
    )
    house.accountant.forget_prices()
    house.accountant.charging = built.charging
    if services.ring is not None:
        services.ring.policy = built.alerts
    house.recorder.version = version_of(built.settings.file_text)
    house.tenants, house.services = built.tenants, built.services
    services.settings, services.overlay = built.settings, built.overlay


def _tiers(built: Assembly) -> Tiers:
    settings = built.settings
    everyone: Limits | None = None
    if settings.mode == "test":
        everyone = Limits(rpm=settings.test_rate_limit_rpm, tpd=settings.test_daily_token_limit)
    return Tiers(built.tiers, everyone)


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
        tell=log.event,
        envelope=envelope,
        fetched_for=frozenset(settings.image_fetch_providers),
        allowances=Allowances(settings.retry_share, settings.retries_per_s / workers),
        hedges=Allowance(settings.hedge_share, 0.0),
    )
