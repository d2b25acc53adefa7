"""Figures that come later, in SQL: what is to be asked, and a settlement as one transaction.

The attempt's row, the call's row, the sums of its hour, its budgets' pots and the drift change together or not at
all, and only if the question was still open: two who ask at once settle once.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import and_, case, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from dragoman.accounting.settling import (
    DOUBTFUL,
    GOOD,
    WORKED,
    Compared,
    Question,
    Settlement,
    Spent,
    is_unsettled,
)
from dragoman.core.budget import Pot, pots_of
from dragoman.core.ids import uuid7_of
from dragoman.credentials.own import OWN
from dragoman.store.budget_tables import charges
from dragoman.store.ledger_tables import attempts, requests
from dragoman.store.settling_tables import drifts, unsettled
from dragoman.store.sql.budget_charges import Totals, add_to_pots
from dragoman.store.sql.ledger_entry import entry_of_rows
from dragoman.store.sql.ledger_rows import Added, SumRows, add_sums, difference, statements

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Delete
    from sqlalchemy.ext.asyncio import AsyncConnection

    from dragoman.accounting.entry import AttemptRow, Consumed, Entry
    from dragoman.core.budget import Charge
    from dragoman.store.engine import Database

DAY_US = 86_400_000_000


class Drift(Struct, frozen=True):
    """What we reckoned and what the provider says of a day and a model; amounts in 10⁻¹² USD."""

    day: int
    provider: str
    model: str
    source: str
    calls: int
    ours_pico: int
    theirs_pico: int


class SqlSettling:
    """What is to be settled in a database, and how it is."""

    def __init__(self, database: Database, told: Callable[[Totals], None] | None = None) -> None:
        """``told`` hears how the pots of budgets stand that a settlement has moved."""
        self._database = database
        self._told = told
        self._statements = statements(database.engine.dialect)

    async def due(self, now_ms: int, limit: int) -> list[Question]:
        """What is to be asked now, the longest due first."""
        query = select(*unsettled.c).where(unsettled.c.due_ms <= now_ms)
        query = query.order_by(unsettled.c.due_ms).limit(limit)
        async with self._database.read() as connection:
            return [Question(**row) for row in (await connection.execute(query)).mappings()]

    async def waiting(self) -> int:
        """How many are still to be asked about."""
        query = select(func.count()).select_from(unsettled)
        async with self._database.read() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def later(self, attempt_id: str, due_ms: int, tries: int) -> None:
        """It is asked about again at that time."""
        mine = unsettled.c.attempt_id == attempt_id
        async with self._database.write() as connection:
            await connection.execute(
                update(unsettled).where(mine).values(due_ms=due_ms, tries=tries)
            )

    async def drop(self, attempt_id: str) -> None:
        """Nobody will ever tell; the ledger's row stays as it is."""
        async with self._database.write() as connection:
            await connection.execute(_closing(attempt_id))

    async def reopened(
        self, call_id: str, provider: str, upstream_id: str, due_ms: int
    ) -> Question | None:
        """The question of a call's attempt, also where nobody was to ask any more; None: it has its figures."""
        async with self._database.write() as connection:
            entry = await _entry(connection, call_id)
            if entry is None:
                return None
            row = next(
                (
                    row
                    for row in entry.attempts
                    if (row.provider, row.upstream_id) == (provider, upstream_id)
                    and is_unsettled(row, entry.request.operation, 0.0)
                ),
                None,
            )
            if row is None:
                return None
            asked = Question(
                row.attempt_id,
                call_id,
                provider,
                row.model,
                row.tenant,
                row.credential,
                upstream_id,
                row.created_us,
                due_ms,
                0,
            )
            make = postgresql.insert if self._database.backend == "postgresql" else sqlite.insert
            added = make(unsettled).values(**asdict(asked))
            await connection.execute(added.on_conflict_do_nothing())
        return asked

    async def settle(
        self,
        question: Question,
        decide: Callable[[Entry], tuple[Settlement | None, Compared | None]],
    ) -> Settlement | None:
        """Settles an attempt as ``decide`` says of its call; None: it was done already, or nothing changes."""
        totals: Totals = {}
        async with self._database.write() as connection:
            if (await connection.execute(_closing(question.attempt_id))).rowcount != 1:
                return None
            entry = await _entry(connection, question.call_id)
            if entry is None:
                return None
            settlement, comparison = decide(entry)
            if comparison is not None:
                await _add_drift(connection, question, comparison)
            if settlement is None:
                return None
            await self._write(connection, settlement)
            charge = settlement.attempt.charge
            if charge is not None:
                totals = await _pay(connection, settlement.attempt, charge)
        if self._told is not None and totals:
            self._told(totals)
        return settlement

    async def _write(self, connection: AsyncConnection, settlement: Settlement) -> None:
        row, request = settlement.attempt, settlement.after.request
        await connection.execute(
            update(attempts)
            .where(attempts.c.call_id == row.call_id, attempts.c.attempt_id == row.attempt_id)
            .values(
                **_columns(row.consumed),
                served=row.served,
                charged_pico=row.charged_pico,
                settled_us=row.settled_us,
                settled_from=row.settled_from,
                former=row.former,
            )
        )
        await connection.execute(
            update(requests)
            .where(requests.c.call_id == request.call_id)
            .values(
                **_columns(request.consumed),
                charged_pico=request.charged_pico,
                other_cost_pico=request.other_cost_pico,
            )
        )
        await add_sums(connection, self._statements, moved_sums(settlement))

    # --- drift

    async def note_day(
        self, day: int, provider: str, found: Mapping[str, tuple[int, int, int]]
    ) -> None:
        """Keeps what a provider reports of a day: model → calls, ours, theirs; again replaces it."""
        make = postgresql.insert if self._database.backend == "postgresql" else sqlite.insert
        rows = [
            Drift(day, provider, model, "report", *amounts) for model, amounts in found.items()
        ] or [Drift(day, provider, "", "report", 0, 0, 0)]
        statement = make(drifts)
        names = ("calls", "ours_pico", "theirs_pico")
        more = statement.on_conflict_do_update(
            index_elements=list(drifts.primary_key),
            set_={name: statement.excluded[name] for name in names},
        )
        async with self._database.write() as connection:
            await connection.execute(more, [_row(each) for each in rows])

    async def has_day(self, day: int, provider: str) -> bool:
        """Whether the provider's report of that day is there."""
        query = select(drifts.c.day).where(
            drifts.c.day == day, drifts.c.provider == provider, drifts.c.source == "report"
        )
        async with self._database.read() as connection:
            return (await connection.execute(query.limit(1))).first() is not None

    async def drifts(self, since_day: int) -> list[Drift]:
        """All that is known of drift from a day on."""
        query = select(*drifts.c).where(drifts.c.day >= since_day)
        async with self._database.read() as connection:
            return [Drift(**row) for row in (await connection.execute(query)).mappings()]

    async def spent_of_day(self, day: int, providers: Sequence[str]) -> dict[str, Spent]:
        """What attempts with keys of the house came to on a day, by model.

        What tenants' own keys have spent stands on their bills, and in no report of ours.
        """
        row = attempts.c
        since, until = day * DAY_US, (day + 1) * DAY_US
        slack = 3_600_000_000
        doubtful = row.cost_from.in_(DOUBTFUL)
        known = case((doubtful, 0), else_=func.coalesce(row.cost_pico, 0))
        worked = or_(
            row.status.in_(WORKED),
            and_(row.status == "upstream_error", row.upstream_status.between(1, GOOD - 1)),
        )
        open_ones = func.sum(case((and_(doubtful, worked), 1), else_=0))
        query = (
            select(row.model, func.count(), func.sum(known), open_ones, func.max(known))
            .where(
                row.call_id >= _id_at(since - slack),
                row.call_id < _id_at(until),
                row.created_us >= since,
                row.created_us < until,
                row.provider.in_(providers),
                or_(row.credential.is_(None), ~row.credential.startswith(OWN, autoescape=True)),
            )
            .group_by(row.model)
        )
        async with self._database.read() as connection:
            found = (await connection.execute(query)).all()
        return {model: Spent(*map(int, numbers)) for model, *numbers in found}


def _id_at(micros: int) -> str:
    return uuid7_of(max(0, micros) / 1_000_000, 0)


def moved_sums(settlement: Settlement) -> SumRows:
    """What a settlement adds to the sums: what the call's row counts for now, less what it did."""
    before, after = Added(), Added()
    before.count([settlement.before.request])
    after.count([settlement.after.request])
    return difference(before.rows(), after.rows())


def _closing(attempt_id: str) -> Delete:
    return delete(unsettled).where(unsettled.c.attempt_id == attempt_id)


def _columns(used: Consumed) -> dict[str, object]:
    return {name: getattr(used, name) for name in used.__struct_fields__}


def _row(each: Drift) -> dict[str, object]:
    return {name: getattr(each, name) for name in each.__struct_fields__}


async def _entry(connection: AsyncConnection, call_id: str) -> Entry | None:
    whole = select(*requests.c).where(requests.c.call_id == call_id).with_for_update()
    found = (await connection.execute(whole)).first()
    if found is None:
        return None
    query = select(*attempts.c).where(attempts.c.call_id == call_id).order_by(attempts.c.number)
    tries = (await connection.execute(query)).all()
    paid = (await connection.execute(select(*charges.c).where(charges.c.call_id == call_id))).all()
    return entry_of_rows(found, tries, paid)


async def _pay(connection: AsyncConnection, row: AttemptRow, before: Charge) -> Totals:
    """Has budgets pay the cost that is known now in place of what they paid or held."""
    cost = row.consumed.cost_pico
    if cost is None:
        return {}
    moved: defaultdict[Pot, list[int]] = defaultdict(lambda: [0, 0])
    for pot in pots_of(before.stake.payers, before.wall):
        moved[pot][0] += cost - before.spent
        moved[pot][1] -= before.held
    await connection.execute(
        update(charges)
        .where(charges.c.call_id == row.call_id, charges.c.attempt_id == row.attempt_id)
        .values(spent_pico=cost, held_pico=0)
    )
    return await add_to_pots(connection, moved)


async def _add_drift(connection: AsyncConnection, question: Question, found: Compared) -> None:
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    day = question.created_us // DAY_US
    each = Drift(day, question.provider, question.model, "lookup", 1, found.ours, found.theirs)
    statement = make(drifts)
    more = statement.on_conflict_do_update(
        index_elements=list(drifts.primary_key),
        set_={
            name: drifts.c[name] + statement.excluded[name]
            for name in ("calls", "ours_pico", "theirs_pico")
        },
    )
    await connection.execute(more, [_row(each)])
