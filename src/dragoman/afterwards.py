"""What goes on behind the calls: providers are asked later what nobody knew, and the operator is told of trouble.

Here these meet the database, the transport and the catalogue, as ``services`` has the calls themselves meet them.
One process of all that share a database does each of them, while it has its turn.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from dragoman.accounting.ports import Happening
from dragoman.accounting.reconcile import TURN, Reconciler, Result, Sources
from dragoman.accounting.settling import Question
from dragoman.admission.budget_alerts import WHOLE, Alert, Listener, told_of
from dragoman.alarms.alarm import Alarm
from dragoman.alarms.judge import Drifting, Policy
from dragoman.alarms.ring import TURN as ALARMS
from dragoman.alarms.ring import Ring, Telling
from dragoman.attempt.ports import Transport
from dragoman.catalog.lookups import Lookup
from dragoman.catalog.registry import Registry
from dragoman.core.errors import GatewayError, UpstreamError
from dragoman.core.provider import Credential, Price
from dragoman.core.secret import Secret
from dragoman.core.usage import Usage
from dragoman.credentials.own import is_own
from dragoman.store.sql.alarms import SqlAlarms
from dragoman.store.sql.ledger import Questions
from dragoman.store.sql.settling import SqlSettling
from dragoman.store.sql.turns import SqlTurns
from dragoman.telemetry.log import Log
from dragoman.telemetry.metrics import Metrics
from dragoman.transport.lookups import ask_generation, ask_report
from dragoman.transport.webhooks import Webhooks
from dragoman.upkeep import TURN as UPKEEP
from dragoman.upkeep import Upkeep, unhurried

if TYPE_CHECKING:
    from dragoman.admission.budgets import Budgets
    from dragoman.config.settings import Settings
    from dragoman.core.clock import Clock
    from dragoman.store.engine import Database
    from dragoman.store.sql.credentials import SqlCredentials


def questions_of(
    settings: Settings, registry: Callable[[], Registry], clock: Clock
) -> Questions | None:
    """Whose answers are asked about later; None: nobody's."""
    if not settings.reconcile:
        return None

    def after_s() -> Mapping[str, float]:
        known = registry()
        return {
            name: lookup.after_s
            for name in (*known.providers, *known.dormant)
            if (lookup := _lookup_of(known, name)) is not None
        }

    return Questions(after_s, clock.wall, settings.reconcile_sample)


def _lookup_of(registry: Registry, provider: str) -> Lookup | None:
    definition = registry.definitions.get(provider)
    return None if definition is None else definition.lookup


def sources_of(
    registry: Callable[[], Registry],
    price: Callable[[str, str, float], Price | None],
    transport: Transport,
    env: Mapping[str, str],
    own: SqlCredentials,
) -> Sources:
    """How the providers of a registry are asked, each with the key that made the call, a tenant's ``own`` too."""

    async def generation(question: Question) -> Usage | None:
        known, name = registry(), question.provider
        provider = known.reachable(name)
        lookup = _lookup_of(known, name)
        if provider is None or lookup is None:
            raise UpstreamError("upstream", f"{name} is not configured any more.")
        credential = await _credential(known, own, question)
        found = await ask_generation(provider, lookup, credential, question.upstream_id, transport)
        return None if found is None else found.usage

    def admin_key(name: str) -> Secret | None:
        definition = registry().definitions.get(name)
        if definition is None or definition.report is None:
            return None
        said = (env.get(variable, "").strip() for variable in definition.report.env)
        key = next(filter(None, said), None)
        return None if key is None else Secret(key)

    def reporting() -> tuple[str, ...]:
        return tuple(name for name in registry().providers if admin_key(name) is not None)

    async def report(name: str, day: int) -> Mapping[str, Decimal]:
        known, key = registry(), admin_key(name)
        told = known.definitions[name].report
        assert key is not None, "it is one of those that report"
        assert told is not None, "it is one of those that report"
        return await ask_report(known.providers[name], told, key, day, transport)

    def folded(provider: str, model: str) -> str:
        facts = registry().facts(provider, model)
        return model if facts is None else facts.id

    def billed_by(name: str) -> tuple[str, ...]:
        definitions = registry().definitions
        keys = frozenset(definitions[name].env.key)
        others = (each for each in definitions if not keys.isdisjoint(definitions[each].env.key))
        return tuple({name, *others})

    def knows(provider: str, model: str) -> bool:
        return registry().knows(provider, model)

    return Sources(generation, reporting, report, price, folded, billed_by, knows)


async def _credential(
    registry: Registry, own: SqlCredentials, question: Question
) -> Credential | None:
    """The key that the call was made with: another account knows nothing of it."""
    if is_own(question.credential):
        assert question.credential is not None, "it is somebody's own"
        opened = await own.open(question.credential, tenant=question.tenant)
        if opened is None:
            raise UpstreamError(
                "upstream", f"The tenant's key {question.credential} is not there any more."
            )
        return Credential(question.credential, opened.secret, opened.credential.origin)
    keys = [each.credential for each in registry.credentials.get(question.provider, ())]
    if question.credential is None and not keys:
        return None
    for key in keys:
        if key.id == question.credential:
            return key
    raise UpstreamError("upstream", f"The key {question.credential} is not there any more.")


class Surroundings(NamedTuple):
    """What these need of a process."""

    settings: Settings
    database: Database
    clock: Clock
    log: Log
    metrics: Metrics
    process: str
    """What the process is called; its journal is called so, too."""
    alone: bool
    """No other process uses the database."""


@asynccontextmanager
async def open_afterwards(
    around: Surroundings, sources: Sources, budgets: Budgets, policy: Policy
) -> AsyncIterator[Ring]:
    """Asks, settles, looks and tells while the block runs."""
    settings, database, clock = around.settings, around.database, around.clock
    turns = SqlTurns(database, clock, around.process, alone=around.alone)
    store = SqlSettling(database, partial(budgets.written, ()))
    told = partial(_asked, around)
    reconciler = Reconciler(store, sources, clock, turns.take, told)
    webhooks = Webhooks(settings.upstream_ca_file)
    drifts = partial(_drifts, around, sources.knows)
    telling = Telling(partial(_raised, around), partial(_lost, around), drifts)
    ring = Ring(SqlAlarms(database, clock), webhooks.post, clock, os.urandom, turns.take, telling)
    ring.policy = policy
    budgets.alerts.before = partial(_of_budget, ring)
    running = [asyncio.create_task(ring.run(), name="alarms")]
    unhurried_one = partial(unhurried, database, settings.database)
    upkeep = Upkeep(unhurried_one, clock, settings.ledger_keep_days, turns.take, around.log.event)
    running.append(asyncio.create_task(upkeep.run(), name="upkeep"))
    if settings.reconcile:
        run = reconciler.run(settings.reconcile_interval_s)
        running.append(asyncio.create_task(run, name="reconciliation"))
    try:
        yield ring
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        budgets.alerts.before = None
        await webhooks.close()
        with suppress(GatewayError):
            await turns.give(TURN)
            await turns.give(ALARMS)
            await turns.give(UPKEEP)


def _asked(around: Surroundings, provider: str, result: Result, detail: str) -> None:
    asked = around.metrics.reconciled
    asked[provider, result] = asked.get((provider, result), 0) + 1
    level = "warn" if result in {"failed", "given_up"} else "debug"
    around.log.event(level, "reconciliation", provider=provider, result=result, detail=detail)


def _raised(around: Surroundings, alarm: Alarm) -> None:
    alerts = around.metrics.alerts
    alerts[alarm.kind] = alerts.get(alarm.kind, 0) + 1
    if alarm.kind != "budget":  # which has a line of its own
        around.log.event("warn", "alert", kind=alarm.kind, summary=alarm.summary, **alarm.details)


def _lost(around: Surroundings, alarm_id: str, why: str) -> None:
    around.metrics.alerts_untaken += 1
    around.log.event("warn", "alert not taken", alert=alarm_id, error=why)


OTHER = "other"
MOST_DRIFTS = 200
"""Models of which the metrics tell it."""


def _drifts(
    around: Surroundings, knows: Callable[[str, str], bool], found: Sequence[Drifting]
) -> None:
    """Tells the metrics; what the catalogue does not know is ``other``: it may be a caller's word (D12, P4)."""
    told: dict[tuple[str, str, str], Drifting] = {}
    for each in found:
        where = (
            each.provider,
            each.model if knows(each.provider, each.model) else OTHER,
            each.source,
        )
        before = told.get(where, Drifting(*where, 0, 0))
        ours = before.ours_pico + each.ours_pico
        told[where] = Drifting(*where, ours, before.theirs_pico + each.theirs_pico)
    worst = sorted(told.values(), key=lambda each: -abs(each.share))[:MOST_DRIFTS]
    around.metrics.drift = {(each.provider, each.model, each.source): each.share for each in worst}


async def _of_budget(ring: Ring, alert: Alert) -> None:
    """A budget's alert: the soft thresholds warn, at the hard one calls are refused."""
    told = told_of(alert)
    pot, share = alert.pot, alert.share / WHOLE
    whose = f"{pot.budget} of {pot.subject}" if pot.subject else pot.budget
    alarm = Alarm(
        "budget",
        f"{pot.budget} {pot.subject} {pot.span} {pot.since} {alert.share}",
        "critical" if alert.share >= WHOLE else "warning",
        f"Budget {whose} has reached {share:.0%} of its {pot.span}.",
        told,
    )
    await ring.raise_(alarm)


_TROUBLE = frozenset({"flush_failed", "entry_refused", "accounting_failed", "records_held"})


def notice_of(log: Log, metrics: Metrics) -> Callable[[Happening, int, str], None]:
    """What accounting tells: to the log, and where it is trouble to a counter."""

    def notice(happening: Happening, number: int, detail: str) -> None:
        if happening == "written":
            return
        if happening in _TROUBLE:
            if happening == "entry_refused":
                metrics.usage_refused += number
            else:
                metrics.usage_failures += 1
            log.event("error", "ledger trouble", what=happening, number=number, detail=detail)
        else:
            log.event("info", "journal", what=happening, number=number, detail=detail)

    return notice


def told_by(log: Log, metrics: Metrics) -> Listener:
    """Where the operator hears that a budget is nearly used up, or used up."""

    def alarm(alert: Alert) -> None:
        metrics.alarmed(alert.pot.budget, alert.pot.span, alert.share)
        log.event("warn", "budget", **told_of(alert))

    return alarm
