"""Charges of budgets, written in the ledger's own transaction: a row each, and their sums in the pots.

What a charge covers leaves the lease of the process that had set it aside, so that spent, held and leased
together stay what they were; what a provider asks for beyond that is spent as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from sqlalchemy import and_, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from dragoman.core.budget import Charge, Payer, Pot, pots_of
from dragoman.store.budget_tables import leases, pots

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Table
    from sqlalchemy.ext.asyncio import AsyncConnection

Totals: TypeAlias = dict[Pot, tuple[int, int]]
"""What is spent and held of pots."""
Charged: TypeAlias = tuple[str, str, Charge]
"""A charge, with its call and its attempt."""

_AT_ONCE = 100
"""Pots in one question."""
_payers = msgspec.json.Decoder(tuple[Payer, ...])
_encode = msgspec.json.Encoder().encode


async def charge(connection: AsyncConnection, insert: str, charged: Sequence[Charged]) -> Totals:
    """Writes charges of attempts that are new, by ``Statements.charge``; how their pots stand then."""
    spent: defaultdict[Pot, list[int]] = defaultdict(lambda: [0, 0])
    covered: defaultdict[tuple[Pot, str], int] = defaultdict(int)
    for _, _, each in charged:
        for pot in pots_of(each.stake.payers, each.wall):
            sums = spent[pot]
            sums[0] += each.spent
            sums[1] += each.held
            covered[pot, each.stake.holder] += each.covered
    await connection.exec_driver_sql(insert, [_row(*each) for each in charged])
    await add_to_pots(connection, spent)
    for (pot, holder), amount in sorted(covered.items()):
        if amount:
            lease = and_(is_pot(leases, pot), leases.c.holder == holder)
            left = leases.c.granted_pico - amount
            await connection.execute(update(leases).where(lease).values(granted_pico=left))
    return await totals_of(connection, sorted(spent))


async def add_to_pots(connection: AsyncConnection, added: Mapping[Pot, Sequence[int]]) -> None:
    """Adds to what is spent and held, in one order for all processes, so that none deadlock."""
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = make(pots)
    more = statement.on_conflict_do_update(
        index_elements=list(pots.primary_key),
        set_={
            name: pots.c[name] + statement.excluded[name] for name in ("spent_pico", "held_pico")
        },
    )
    rows = [
        {**pot._asdict(), "spent_pico": sums[0], "held_pico": sums[1]}
        for pot, sums in sorted(added.items())
    ]
    if rows:
        await connection.execute(more, rows)


async def totals_of(connection: AsyncConnection, wanted: Sequence[Pot]) -> Totals:
    """How pots stand; one without a row has nothing spent."""
    found: Totals = {}
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        query = select(pots).where(or_(*(is_pot(pots, pot) for pot in some)))
        for row in (await connection.execute(query)).all():
            pot = Pot(row.budget, row.subject, row.span, row.since)
            found[pot] = (row.spent_pico, row.held_pico)
    return found


def is_pot(table: Table, pot: Pot) -> ColumnElement[bool]:
    """Whether a row is of that pot."""
    column = table.c
    return and_(
        column.budget == pot.budget,
        column.subject == pot.subject,
        column.span == pot.span,
        column.since == pot.since,
    )


def read_payers(text: str) -> tuple[Payer, ...]:
    """The payers that a row of a charge names."""
    return _payers.decode(text)


def _row(call_id: str, attempt_id: str, each: Charge) -> tuple[Any, ...]:
    """The parameters of a charge's row, in the order of its columns."""
    stake = each.stake
    return (
        call_id,
        attempt_id,
        _encode(stake.payers).decode(),
        stake.holder,
        round(each.wall * 1_000_000),
        stake.pico,
        each.spent,
        each.held,
    )
