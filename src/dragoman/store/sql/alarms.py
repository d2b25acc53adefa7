"""Alarms in SQL: what was raised, what is on its way, and the figures that are judged."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from sqlalchemy import and_, case, delete, func, or_, select, true, update
from sqlalchemy.dialects import postgresql, sqlite

from dragoman.alarms.judge import Drifting, Failing, Spending
from dragoman.alarms.ring import Letter
from dragoman.core.ids import uuid7_of
from dragoman.store.ledger_tables import attempts, hours
from dragoman.store.settling_tables import drifts, outbox, raised

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement

    from dragoman.alarms.alarm import Alarm
    from dragoman.core.clock import Clock
    from dragoman.store.engine import Database

WEEK_H = 168
_SLACK_S = 60
_MOST = 200
"""Of those who spend most in an hour so many are looked at."""


class SqlAlarms:
    """An ``Outbox`` in SQLite or PostgreSQL."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def raise_(
        self, alarm: Alarm, alarm_id: str, body: str, endpoints: Sequence[str]
    ) -> bool:
        """Notes it and puts it in the outbox; whether nobody had raised it before."""
        now = int(self._clock.wall() * 1000)
        if await self._is_known(alarm.key):
            return False
        make = postgresql.insert if self._database.backend == "postgresql" else sqlite.insert
        note = make(raised).values(key=alarm.key, told_ms=now).on_conflict_do_nothing()
        async with self._database.write() as connection:
            if (await connection.execute(note)).rowcount != 1:
                return False
            rows = [
                {
                    "id": alarm_id,
                    "endpoint": endpoint,
                    "body": body,
                    "created_ms": now,
                    "due_ms": now,
                    "tries": 0,
                }
                for endpoint in dict.fromkeys(endpoints)
            ]
            if rows:
                await connection.execute(outbox.insert(), rows)
        return True

    async def _is_known(self, key: str) -> bool:
        """A look costs less than a transaction that writes, and most alarms go on for some time."""
        async with self._database.read() as connection:
            found = await connection.execute(select(raised.c.key).where(raised.c.key == key))
            return found.first() is not None

    async def due(self, now_ms: int, limit: int) -> list[Letter]:
        """What is to be sent now."""
        row = outbox.c
        query = select(row.id, row.endpoint, row.body, row.tries).where(row.due_ms <= now_ms)
        async with self._database.read() as connection:
            found = await connection.execute(query.order_by(row.due_ms).limit(limit))
            return [Letter(*each) for each in found.all()]

    async def taken(self, letter: Letter) -> None:
        """It has arrived, or is given up."""
        async with self._database.write() as connection:
            await connection.execute(delete(outbox).where(_is(letter)))

    async def later(self, letter: Letter, due_ms: int) -> None:
        """It is sent again at that time."""
        async with self._database.write() as connection:
            await connection.execute(
                update(outbox).where(_is(letter)).values(due_ms=due_ms, tries=letter.tries + 1)
            )

    async def forget(self, before_ms: int) -> None:
        """Of what was raised before that nobody needs to know any more."""
        async with self._database.write() as connection:
            await connection.execute(delete(raised).where(raised.c.told_ms < before_ms))

    # --- figures

    async def spending(self, hour: int, least_pico: int) -> list[Spending]:
        """Who spends at least so much in that hour: everybody together, tenants, and keys."""
        row = hours.c
        cost = row.cost_pico + row.estimated_cost_pico + row.other_cost_pico
        query = select(row.tenant, row.key_id, func.sum(cost)).where(row.hour == hour)
        async with self._database.read() as connection:
            found = (await connection.execute(query.group_by(row.tenant, row.key_id))).all()
            sums: defaultdict[tuple[str, str, str], int] = defaultdict(int)
            for tenant, key_id, pico in found:
                for whose in _scopes(tenant, key_id):
                    sums[whose] += int(pico or 0)
            most = sorted(sums.items(), key=lambda item: -item[1])[:_MOST]
            spending = []
            for (scope, tenant, key_id), pico in most:
                if pico < least_pico:
                    break
                before = (
                    select(func.count(func.distinct(row.hour)), func.sum(cost))
                    .where(row.hour >= hour - WEEK_H, row.hour < hour, cost > 0)
                    .where(_whose(tenant, key_id))
                )
                count, total = (await connection.execute(before)).one()
                told = (pico, int(total or 0), int(count))
                spending.append(Spending(scope, tenant, key_id, *told))
        return spending

    async def failing(self, since_s: float) -> list[Failing]:
        """How attempts have ended since then, by provider and model; refusals of requests are no failures."""
        row = attempts.c
        of_provider = or_(
            row.upstream_status.is_(None),
            row.upstream_status >= 500,
            row.upstream_status < 400,
            row.upstream_status.in_((401, 402, 403, 429)),
        )
        failed = or_(
            row.status.in_(("upstream_cut", "timeout", "unknown", "house_error")),
            and_(row.status == "upstream_error", of_provider),
        )
        query = (
            select(row.provider, row.model, func.count(), func.sum(case((failed, 1), else_=0)))
            .where(
                row.call_id >= uuid7_of(max(0.0, since_s - _SLACK_S), 0),
                row.created_us >= int(since_s * 1_000_000),
                row.status.not_in(("client_cut", "hedge_lost")),
            )
            .group_by(row.provider, row.model)
        )
        async with self._database.read() as connection:
            found = (await connection.execute(query)).all()
        return [Failing(provider, model, int(n), int(bad)) for provider, model, n, bad in found]

    async def drifting(self, since_day: int) -> list[Drifting]:
        """What is known of drift since then, by model and where it was found."""
        row = drifts.c
        query = (
            select(
                row.provider,
                row.model,
                row.source,
                func.sum(row.ours_pico),
                func.sum(row.theirs_pico),
            )
            .where(row.day >= since_day, row.calls + row.theirs_pico > 0)
            .group_by(row.provider, row.model, row.source)
        )
        async with self._database.read() as connection:
            found = (await connection.execute(query)).all()
        return [Drifting(p, m, s, int(ours), int(theirs)) for p, m, s, ours, theirs in found]


def _scopes(tenant: str, key_id: str) -> tuple[tuple[str, str, str], ...]:
    """Whose spending a key's is."""
    return ("all", "", ""), ("tenant", tenant, ""), ("key", tenant, key_id)


def _is(letter: Letter) -> ColumnElement[bool]:
    return and_(outbox.c.id == letter.id, outbox.c.endpoint == letter.endpoint)


def _whose(tenant: str, key_id: str) -> ColumnElement[bool]:
    if key_id:
        return and_(hours.c.tenant == tenant, hours.c.key_id == key_id)
    return hours.c.tenant == tenant if tenant else true()
