"""The tables of budgets: what is defined, what is spent and leased of each pot, what is held for attempts.

Amounts are whole 10⁻¹² USD, times whole Unix milliseconds; ``since`` is the first UTC day of a stretch, counted
from 1970. Of each pot, what is spent, held and leased together never exceeds what it holds; a charge moves its
amount from a lease to ``spent`` or ``held`` in the transaction that writes the ledger's rows.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, String, Table, Text

from dragoman.store.tables import metadata


def _pot() -> list[Column[str] | Column[int]]:
    return [
        Column("budget", String(128), primary_key=True),
        Column("subject", Text, primary_key=True),
        Column("span", String(8), primary_key=True),
        Column("since", BigInteger, primary_key=True, autoincrement=False),
    ]


budgets = Table(
    "budgets",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("definition", Text, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
)
"""Budgets of the operator's own, as JSON in the words of ``dragoman.toml``."""

pots = Table(
    "budget_pots",
    metadata,
    *_pot(),
    Column("spent_pico", BigInteger, nullable=False),
    Column("held_pico", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""What was spent of each pot, and what is held for attempts whose cost nobody knows (D27)."""

leases = Table(
    "budget_leases",
    metadata,
    *_pot(),
    Column("holder", String(36), primary_key=True),
    Column("granted_pico", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
    Index("ix_budget_leases_holder", "holder"),
    sqlite_with_rowid=False,
)
"""What each process may spend of a pot without asking; a process is called by the tag of its journal."""

charges = Table(
    "budget_charges",
    metadata,
    Column("call_id", String(36), primary_key=True),
    Column("attempt_id", String(36), primary_key=True),
    Column("payers", Text, nullable=False),
    Column("holder", String(36), nullable=False),
    Column("admitted_us", BigInteger, nullable=False),
    Column("reserved_pico", BigInteger, nullable=False),
    Column("spent_pico", BigInteger, nullable=False),
    Column("held_pico", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""A row for each attempt that budgets have held something for; ``payers`` is a JSON list of budget and subject.

Of all others, which are most, the attempt's own row says who has paid its cost (``payers``); of gateways
before that was so, there is a row here of each.
"""
Index(
    "ix_budget_charges_held",
    charges.c.call_id,
    sqlite_where=charges.c.held_pico > 0,
    postgresql_where=charges.c.held_pico > 0,
)

alerts = Table(
    "budget_alerts",
    metadata,
    *_pot(),
    Column("share", BigInteger, primary_key=True, autoincrement=False),
    Column("told_ms", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Which shares of which pots (millionths) the operator was told of."""
