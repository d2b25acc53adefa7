"""Charges of budgets, written in the ledger's own transaction: who has paid, and their sums in the pots.

What nearly every attempt has cost is spent at once, and its own row says by whom (``payers``). Only what is
held for an attempt is a row of the charges' table, by which it is found until somebody knows its cost.

What a charge covers leaves the lease of the process that had set it aside, so that spent, held and leased
together stay what they were; what a provider asks for beyond that is spent as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from operator import add
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from sqlalchemy import and_, bindparam, update
from sqlalchemy.dialects import postgresql, sqlite

from dragoman.accounting.served import COST, Served
from dragoman.core.budget import DAY_S, Charge, Payer, Pot, pots_of
from dragoman.store.budget_tables import leases, pots
from dragoman.store.sql.direct import Step, ask, run_each

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Table
    from sqlalchemy.engine import Dialect
    from sqlalchemy.ext.asyncio import AsyncConnection

Totals: TypeAlias = dict[Pot, tuple[int, int]]
"""What is spent and held of pots."""
Charged: TypeAlias = tuple[str, str, Charge]
"""A charge, with its call and its attempt."""

_AT_ONCE = 100
"""Pots in one statement."""
_payers = msgspec.json.Decoder(tuple[Payer, ...])
_encode = msgspec.json.Encoder().encode


async def charge(
    connection: AsyncConnection,
    insert: str,
    charged: Sequence[Charged],
    served: Sequence[Served] = (),
) -> Totals:
    """Charges attempts that are new; how their pots stand then. ``insert``: ``Statements.charge``."""
    spent, covered = _summed(charged, served)
    held = [_row(*each) for each in charged if each[2].held]
    if held:
        await run_each(connection, insert, held)
    leaving = [(amount, *pot, holder) for (pot, holder), amount in sorted(covered.items())]
    then = [Step(_leaving(connection.dialect), leaving)] if leaving else []
    return await add_to_pots(connection, spent, then)


def _summed(
    charged: Sequence[Charged], served: Sequence[Served]
) -> tuple[dict[Pot, list[int]], dict[tuple[Pot, str], int]]:
    """What is spent and held of each pot, and what of it each process had set aside.

    Calls of one day and the same payers pay from the same pots, so those are found once for all of them.
    """
    alike: defaultdict[tuple[tuple[Payer, ...], float, str], list[tuple[int, int, int]]]
    alike = defaultdict(list)
    for _, _, each in charged:
        stake = each.stake
        its = (each.spent, each.held, stake.pico)
        alike[stake.payers, each.wall // DAY_S, stake.holder].append(its)
    payers: tuple[Payer, ...] | None = None
    day, rows = -1.0, list[tuple[int, int, int]]()
    for one in served:
        its_stake = one.stake
        if its_stake is None:
            continue
        # All of these are this process's own, and a key's calls mostly follow one another.
        if its_stake.payers is not payers or one.wall // DAY_S != day:
            payers, day = its_stake.payers, one.wall // DAY_S
            rows = alike[payers, day, its_stake.holder]
        rows.append((one.facts[COST], 0, its_stake.pico))
    pots_spent: dict[Pot, list[int]] = {}
    pots_covered: dict[tuple[Pot, str], int] = {}
    for (its_payers, its_day, holder), its_rows in alike.items():
        spent, held, set_aside = zip(*its_rows, strict=True)
        covered = sum(map(min, set_aside, map(add, spent, held)))
        all_spent, all_held = sum(spent), sum(held)
        for pot in pots_of(its_payers, its_day * DAY_S):
            sums = pots_spent.setdefault(pot, [0, 0])
            sums[0] += all_spent
            sums[1] += all_held
            if covered:
                pots_covered[pot, holder] = pots_covered.get((pot, holder), 0) + covered
    return pots_spent, pots_covered


async def add_to_pots(
    connection: AsyncConnection, added: Mapping[Pot, Sequence[int]], then: Sequence[Step] = ()
) -> Totals:
    """Adds to what is spent and held, in one order for all processes, so that none deadlock; how they stand.

    ``then`` is run after the last of them.
    """
    rows = [(*pot, *sums) for pot, sums in sorted(added.items())]
    assert rows or not then, "what leaves a lease was spent or is held"
    found: Totals = {}
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        given = tuple(chain.from_iterable(some))
        last = then if start + _AT_ONCE >= len(rows) else ()
        adding = _adding(connection.dialect, len(some))
        for row in await ask(connection, adding, given, last):
            budget, subject, span, since, spent, held = row
            found[Pot(budget, subject, span, since)] = (spent, held)
    return found


# These are asked with every batch of calls, and are the same each time.


@lru_cache(maxsize=_AT_ONCE)
def _adding(dialect: Dialect, number: int) -> str:
    """Adds to so many pots; the parameters, and what comes back, are the table's columns in their order."""
    make = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
    names = [column.name for column in pots.columns]
    statement = make(pots).values(
        [{name: bindparam(f"{name}_{place}") for name in names} for place in range(number)]
    )
    more = statement.on_conflict_do_update(
        index_elements=list(pots.primary_key),
        set_={
            name: pots.c[name] + statement.excluded[name] for name in ("spent_pico", "held_pico")
        },
    )
    return str(more.returning(pots).compile(dialect=dialect))


@lru_cache
def _leaving(dialect: Dialect) -> str:
    """Takes an amount, which is first of the parameters, from a lease: a pot and its holder."""
    its = [column == bindparam(f"of_{column.name}") for column in leases.primary_key]
    granted = leases.c.granted_pico
    less = update(leases).where(*its).values({granted.name: granted - bindparam("amount")})
    return str(less.compile(dialect=dialect))


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


def paid(charge: Charge | None) -> tuple[int, str] | None:
    """What an attempt's own row says of its charge: ``reserved_pico`` and ``payers``.

    None where there is none, or one that is held.
    """
    if charge is None or charge.held:
        return None
    stake = charge.stake
    return stake.pico, words_of(stake.payers)


@lru_cache(maxsize=1024)
def words_of(payers: tuple[Payer, ...]) -> str:
    """Payers as they are written: the same few at nearly every call."""
    return _encode(payers).decode()


def _row(call_id: str, attempt_id: str, each: Charge) -> tuple[Any, ...]:
    """The parameters of a charge's row, in the order of its columns."""
    stake = each.stake
    return (
        call_id,
        attempt_id,
        words_of(stake.payers),
        stake.holder,
        round(each.wall * 1_000_000),
        stake.pico,
        each.spent,
        each.held,
    )
