"""Budgets in SQL: the operator's definitions, how they stand, and holds that are settled by hand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, delete, func, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from dragoman.admission.budget_definition import decode_definition, encode_definition
from dragoman.core.budget import Pot, pots_of
from dragoman.core.budget_standing import Hold, Lease, Standing, Told, Totals
from dragoman.store.budget_tables import alerts, budgets, charges, leases, pots
from dragoman.store.sql.budget_charges import add_to_pots, read_payers
from dragoman.store.sql.counters import lately, look, move_on

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement
    from sqlalchemy.engine import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from dragoman.admission.budget_rules import Rule
    from dragoman.core.clock import Clock
    from dragoman.store.engine import Database

_GENERATION = "budgets_generation"
ALIVE_MS = 120_000
"""A process whose lease was touched since then is taken to be alive."""
_PAGE = 1000
"""Holds that are read, or released, at once."""


class SqlBudgets:
    """A ``RuleStore`` in a database, and what is done to it by hand."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    # --- definitions

    async def version(self) -> int:
        """A number that every change of a definition moves on."""
        return await look(self._database, _GENERATION)

    async def lately(self) -> int:
        """The same, as it stood half a second ago at most."""
        return await lately(self._database, _GENERATION)

    async def rules(self) -> tuple[Rule, ...]:
        """All definitions, by name."""
        async with self._database.read() as connection:
            rows = (await connection.execute(select(budgets).order_by(budgets.c.name))).all()
        return tuple(decode_definition(row.name, row.definition) for row in rows)

    async def define(self, rule: Rule) -> None:
        """Has a budget count, in place of one of that name; what it has spent stays."""
        make = postgresql.insert if self._database.backend == "postgresql" else sqlite.insert
        row = {
            "name": rule.name,
            "definition": encode_definition(rule),
            "changed_ms": int(self._clock.wall() * 1000),
        }
        statement = make(budgets).values(row)
        more = statement.on_conflict_do_update(
            index_elements=["name"],
            set_={name: statement.excluded[name] for name in ("definition", "changed_ms")},
        )
        async with self._database.write() as connection:
            await connection.execute(more)
            await move_on(connection, _GENERATION)

    async def remove(self, name: str) -> bool:
        """Removes a definition; whether there was one. What was spent of it stays known."""
        async with self._database.write() as connection:
            gone = await connection.execute(delete(budgets).where(budgets.c.name == name))
            await move_on(connection, _GENERATION)
        return bool(gone.rowcount)

    # --- how they stand

    async def standings(self, wanted: Sequence[Pot], *, divided: bool) -> list[Standing]:
        """How the pots of these budgets and stretches stand: the wanted ones, or the parts they are divided in."""
        if not wanted:
            return []
        if not divided:
            found = await self.standing_of(wanted)
        else:
            of_these = or_(
                *(
                    (pots.c.budget == pot.budget)
                    & (pots.c.span == pot.span)
                    & (pots.c.since == pot.since)
                    for pot in wanted
                )
            )
            async with self._database.read() as connection:
                rows = await connection.execute(select(pots).where(of_these))
                leased = await _leased(connection, {pot.budget for pot in wanted})
            found = [_standing(row, leased) for row in rows]
        return sorted(found, key=lambda each: each.pot)

    async def standing_of(self, wanted: Sequence[Pot]) -> list[Standing]:
        """How each of these pots stands, in their order; one that nobody has used has nothing."""
        if not wanted:
            return []
        place = tuple_(pots.c.budget, pots.c.subject, pots.c.span, pots.c.since)
        async with self._database.read() as connection:
            rows = await connection.execute(select(pots).where(place.in_(wanted)))
            names, subjects = {pot.budget for pot in wanted}, {pot.subject for pot in wanted}
            leased = await _leased(connection, names, subjects)
        known = {each.pot: each for each in (_standing(row, leased) for row in rows)}
        return [known.get(pot) or Standing(pot, 0, 0, leased.get(pot, 0)) for pot in wanted]

    async def totals(self, wanted: Sequence[Pot], *, divided: bool) -> list[Totals]:
        """What all parts of a budget have come to in each of these stretches of time."""
        found = []
        async with self._database.read() as connection:
            for pot in wanted:
                of_it = [pots.c.budget == pot.budget, pots.c.span == pot.span]
                leased = [leases.c.budget == pot.budget, leases.c.span == pot.span]
                if not divided:
                    of_it.append(pots.c.subject == "")
                sums = (
                    await connection.execute(
                        select(
                            func.count(), func.sum(pots.c.spent_pico), func.sum(pots.c.held_pico)
                        ).where(*of_it, pots.c.since == pot.since)
                    )
                ).one()
                granted = await connection.execute(
                    select(func.sum(leases.c.granted_pico)).where(
                        *leased, leases.c.since == pot.since
                    )
                )
                numbers = (int(each or 0) for each in (*sums, granted.scalar()))
                found.append(Totals(pot.span, pot.since, *numbers))
        return found

    async def parts(
        self, wanted: Sequence[Pot], *, after: tuple[str, str] | None, limit: int
    ) -> list[Standing]:
        """The parts that a divided budget has in these stretches, by subject and span."""
        place = tuple_(pots.c.subject, pots.c.span)
        query = select(pots).where(
            or_(*((pots.c.span == pot.span) & (pots.c.since == pot.since) for pot in wanted)),
            pots.c.budget == wanted[0].budget,
        )
        if after is not None:
            query = query.where(place > after)
        async with self._database.read() as connection:
            rows = (
                await connection.execute(query.order_by(pots.c.subject, pots.c.span).limit(limit))
            ).all()
            leased = await _leased(connection, {wanted[0].budget}, {row.subject for row in rows})
        return [_standing(row, leased) for row in rows]

    async def holds(self, budget: str | None = None, limit: int = 1000) -> list[Hold]:
        """Attempts that something is held for, oldest first, of one budget if that is said."""
        call, attempt = charges.c.call_id, charges.c.attempt_id
        query = select(charges).where(charges.c.held_pico > 0).order_by(call, attempt)
        page = query.limit(_PAGE)
        found: list[Hold] = []
        async with self._database.read() as connection:
            while len(found) < limit:
                rows = (await connection.execute(page)).all()
                found += [
                    hold
                    for hold in map(_hold, rows)
                    if budget is None or any(payer.budget == budget for payer in hold.payers)
                ]
                if len(rows) < _PAGE:
                    break
                last = rows[-1]
                behind = or_(
                    call > last.call_id,
                    and_(call == last.call_id, attempt > last.attempt_id),
                )
                page = query.where(behind).limit(_PAGE)
        return found[:limit]

    async def leases(self, budget: str | None = None) -> list[Lease]:
        """What processes have leased, of one budget if that is said."""
        query = select(leases).order_by(leases.c.holder)
        if budget is not None:
            query = query.where(leases.c.budget == budget)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return [
            Lease(
                Pot(row.budget, row.subject, row.span, row.since),
                row.holder,
                row.granted_pico,
                row.seen_ms,
            )
            for row in rows
        ]

    async def told(self, budget: str) -> list[Told]:
        """What the operator was told of a budget, newest first."""
        query = select(alerts).where(alerts.c.budget == budget).order_by(alerts.c.told_ms.desc())
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return [
            Told(Pot(row.budget, row.subject, row.span, row.since), row.share, row.told_ms)
            for row in rows
        ]

    # --- settling by hand

    async def settle(self, name: str, cost_pico: int | None) -> list[Hold]:
        """Settles what is held for a call or an attempt: at its cost, or at nothing; a second time does nothing.

        Returns:
            What was held.
        """
        return await self._settle(
            or_(charges.c.call_id == name, charges.c.attempt_id == name), cost_pico
        )

    async def release_all(self, budget: str) -> list[Hold]:
        """Gives back all that is held of a budget; the other budgets of those attempts have it back, too."""
        released: list[Hold] = []
        while found := await self.holds(budget, limit=_PAGE):
            calls = {hold.call_id for hold in found}
            released += await self._settle(charges.c.call_id.in_(calls), None)
        return released

    async def _settle(self, which: ColumnElement[bool], cost_pico: int | None) -> list[Hold]:
        async with self._database.write() as connection:
            query = select(charges).where(charges.c.held_pico > 0, which)
            rows = (await connection.execute(query.with_for_update())).all()
            found = [_hold(row) for row in rows]
            if cost_pico is not None and len(found) > 1:
                raise ValueError("one cost is of one attempt")
            moved: defaultdict[Pot, list[int]] = defaultdict(lambda: [0, 0])
            for hold in found:
                for pot in pots_of(hold.payers, hold.admitted_us / 1_000_000):
                    moved[pot][0] += cost_pico or 0
                    moved[pot][1] -= hold.held
                await connection.execute(
                    update(charges)
                    .where(
                        charges.c.call_id == hold.call_id,
                        charges.c.attempt_id == hold.attempt_id,
                    )
                    .values(held_pico=0, spent_pico=charges.c.spent_pico + (cost_pico or 0))
                )
            await add_to_pots(connection, moved)
        return found

    async def end(self, holder: str) -> bool | None:
        """Frees what a dead process has leased; None where it was seen lately, False where it has nothing."""
        since = int(self._clock.wall() * 1000) - ALIVE_MS
        async with self._database.write() as connection:
            alive = await connection.execute(
                select(leases.c.holder).where(leases.c.holder == holder, leases.c.seen_ms > since)
            )
            if alive.first() is not None:
                return None
            gone = await connection.execute(delete(leases).where(leases.c.holder == holder))
        return bool(gone.rowcount)


async def _leased(
    connection: AsyncConnection, names: set[str], subjects: set[str] | None = None
) -> dict[Pot, int]:
    query = select(leases).where(leases.c.budget.in_(sorted(names)))
    if subjects is not None:
        query = query.where(leases.c.subject.in_(sorted(subjects)))
    found: defaultdict[Pot, int] = defaultdict(int)
    for row in (await connection.execute(query)).all():
        found[Pot(row.budget, row.subject, row.span, row.since)] += row.granted_pico
    return found


def _standing(row: Row[Any], leased: Mapping[Pot, int]) -> Standing:
    pot = Pot(row.budget, row.subject, row.span, row.since)
    return Standing(pot, row.spent_pico, row.held_pico, leased.get(pot, 0))


def _hold(row: Row[Any]) -> Hold:
    return Hold(
        row.call_id, row.attempt_id, read_payers(row.payers), row.admitted_us, row.held_pico
    )
