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
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dragoman import __version__
from dragoman.accounting.account import Accountant, open_accountant
from dragoman.accounting.ports import Happening
from dragoman.admission.admit import Gate
from dragoman.admission.budget_alerts import Alert, Listener, told_of
from dragoman.admission.tiers import Tiers
from dragoman.assembly.assemble import Assembly, assemble, assemble_stored
from dragoman.assembly.logins import tunnels_of
from dragoman.attempt.allowance import Allowance, Allowances
from dragoman.attempt.means import Means
from dragoman.attempt.ports import Transport
from dragoman.catalog.login import read_logins
from dragoman.catalog.registry import Registry
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
from dragoman.core.provider import Price
from dragoman.health.health import Health
from dragoman.identity.cache import CachedKeys
from dragoman.keeping.keeper import Keeper, KeepingPolicy
from dragoman.pipeline import House
from dragoman.store.limits import Kept, open_limits, past_of
from dragoman.stores import first_admin, open_store
from dragoman.telemetry.foreign import place
from dragoman.telemetry.log import SOON_S, Log
from dragoman.telemetry.metrics import Metrics
from dragoman.transport.fetch import UrlFetcher
from dragoman.transport.fetch_listings import ListingFetcher
from dragoman.transport.http import open_transport
from dragoman.transport.stub import StubTransport

if TYPE_CHECKING:
    from dragoman.store.administered import Administered
    from dragoman.store.engine import Database
    from dragoman.store.error_log import ErrorLog
    from dragoman.store.health_record import Exchange


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
    install: Callable[[Assembly], None]
    """Puts another configuration in force; whoever is under way keeps the one before."""
    first_admin_key: str | None = None
    """Made at the very first start in local mode; shown once."""
    forget_keys: Callable[[], None] = lambda: None
    """Drops what this process remembers of keys."""
    stored: Administered | None = None
    """What is kept of the admin API's doings."""
    overlay: Overlay = field(default_factory=Overlay)
    """What administrators have added, as it is in force."""


_dice = random.Random(os.urandom(32))  # noqa: S311  ids are unique, not secret
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _dice.seed(os.urandom(32)))


def new_id() -> str:
    """A UUIDv7 of now."""
    return ids.uuid7_of(time.time(), _dice.getrandbits(76))


def tell_refused(log: Log, built: Assembly) -> None:
    """Tells of stored names and providers that the file leaves no room for."""
    for told in built.refused:
        log.event("error", "stored over the admin API and not in force", what=told)


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


def _alarm(log: Log, metrics: Metrics) -> Listener:
    """Where the operator hears that a budget is nearly used up, or used up."""

    def alarm(alert: Alert) -> None:
        metrics.alarmed(alert.pot.budget, alert.pot.span, alert.share)
        log.event("warn", "budget", **told_of(alert))

    return alarm


@asynccontextmanager
async def open_services(
    settings: Settings, env: Mapping[str, str], *, workers: int = 1, folder: Path | None = None
) -> AsyncIterator[Services]:
    """Everything that serving needs, open while the block runs; ``folder`` is what the workers share.

    Raises:
        ConfigError, HouseError: something cannot be opened; the message says what to do.
    """
    from dragoman.store.administered import open_administered  # noqa: PLC0415
    from dragoman.store.budgets import open_budgets  # noqa: PLC0415
    from dragoman.store.error_log import open_error_log  # noqa: PLC0415
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
    ensure_file(settings)
    built = assemble(settings, env)
    async with AsyncExitStack() as stack:
        stack.callback(log.close)
        database, keys, sealer = await stack.enter_async_context(open_store(settings))
        stored = await open_administered(database, keys, sealer, clock)
        if overlay := await stored.names.overlay():
            built = assemble_stored(settings, env, overlay)
            tell_refused(log, built)
        current = _Current(built.registry)
        envelope = Envelope((await open_secret(database, sealer, clock, "envelope")).versions)
        first = await first_admin(settings, keys)
        cached = CachedKeys(keys, clock, stale_s=settings.key_stale_s)
        stack.push_async_callback(cached.close)
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
                _alarm(log, metrics),
                partial(_untold, log),
                shared=workers > 1,
            )
        )
        metrics.budgets = budgets.alerts.standings
        metrics.budget_refusals = budgets.alerts.refusals
        accountant: Accountant = await stack.enter_async_context(
            open_accountant(
                settings.dragoman_home / "journal",
                SqlLedger(database, budgets.written),
                clock=clock,
                prices=current.price,
                notice=_notice(log, metrics),
                buffer_size=settings.usage_buffer_size,
                flush_interval_s=settings.usage_flush_interval,
                durability=settings.usage_durability,
                tag=process,
                drained=leases.ended,
            )
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
                partial(_untold, log),
                shared=workers > 1,
                redis=redis,
                prefix=settings.redis_prefix,
            )
        )
        limits, limits_kept = await stack.enter_async_context(
            open_limits(
                clock,
                partial(_told_of_limits, log),
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
                partial(_untold, log),
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
            gate=Gate(
                _tiers(built),
                limits,
                partial(past_of, accountant, clock, stored.keys.counts_since_us),
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
        )
        fetcher.changed = house.plans.clear
        services = Services(
            settings,
            house,
            database,
            record,
            limits_kept,
            log,
            metrics,
            errors,
            _nothing_yet,
            first,
        )
        services.stored, services.overlay = stored, built.overlay
        services.forget_keys = cached.forget
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
    house.health.settle(built.registry.addresses())
    current.registry, current.former = built.registry, house.registry
    fetcher = ListingFetcher(built.registry, built.pools, transport, services.log)
    house.registry, house.pools, house.mode = built.registry, built.pools, built.mode
    house.strategy = built.settings.routing_strategy
    house.gate.tiers = _tiers(built)
    house.plans = {}
    if house.budgets is not None:
        house.budgets.configure(built.budgets)
    fetcher.changed = house.plans.clear
    house.fetch_listings = fetcher.fetch
    house.means = replace(
        house.means,
        policy=built.policy,
        fetched_for=frozenset(built.settings.image_fetch_providers),
    )
    house.accountant.forget_prices()
    house.recorder.version = version_of(built.settings.file_text)
    house.tenants = built.tenants
    services.settings, services.overlay = built.settings, built.overlay


def _tiers(built: Assembly) -> Tiers:
    settings = built.settings
    everyone: Limits | None = None
    if settings.mode == "test":
        everyone = Limits(rpm=settings.test_rate_limit_rpm, tpd=settings.test_daily_token_limit)
    return Tiers(built.tiers, everyone)


def _told_of_limits(log: Log, what: str, error: Exception | None) -> None:
    if error is None:
        log.event("info", what)
    else:
        _untold(log, what, error)


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
        tell=log.event,
        envelope=envelope,
        fetched_for=frozenset(settings.image_fetch_providers),
        allowances=Allowances(settings.retry_share, settings.retries_per_s / workers),
        hedges=Allowance(settings.hedge_share, 0.0),
    )
