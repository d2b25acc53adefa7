"""The tables that reports read: what every call adds to the sums of its day, as a whole and by its labels.

They are kept in the transaction that inserts the calls (``sql/ledger.py``), like the sums of hours beside
them: a month of ten million calls is some ten thousand rows here. A span that begins or ends within a
day is made exact by the hours, and within an hour by the calls themselves.

``labels`` holds what callers write themselves (a caller's name, an end user, tags), which may be any
number of different words; nothing that is asked without them reads it. ``name`` is cut to what an index
of PostgreSQL takes; the call's own row has all of it.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, String, Table, Text

from dragoman.store.ledger_tables import sum_columns
from dragoman.store.tables import metadata

days = Table(
    "ledger_days",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("day", BigInteger, primary_key=True, autoincrement=False),
    Column("provider", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    *sum_columns(),
    Index("ix_ledger_days_day", "day"),
    sqlite_with_rowid=False,
)
"""Sums of ``ledger_requests`` by UTC days since 1970; provider and model as in ``ledger_hours``."""

labels = Table(
    "ledger_labels",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("kind", String(8), primary_key=True),
    Column("day", BigInteger, primary_key=True, autoincrement=False),
    Column("name", Text, primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("provider", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    *sum_columns(),
    Index("ix_ledger_labels_kind_day", "kind", "day"),
    sqlite_with_rowid=False,
)
"""The same sums by the names in calls.

Of the kind ``caller`` each call has one, of ``project`` and ``user`` one at most, of ``tag`` several.
"""
