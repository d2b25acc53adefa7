"""The tables of what comes after a call: figures that are asked for later, and alerts on their way.

Amounts are whole 10⁻¹² USD, times whole Unix milliseconds, days UTC ones counted from 1970.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from dragoman.store.tables import metadata

unsettled = Table(
    "unsettled",
    metadata,
    Column("attempt_id", String(36), primary_key=True),
    Column("call_id", String(36), nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("credential", Text, nullable=True),
    Column("upstream_id", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("due_ms", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Index("ix_unsettled_due_ms", "due_ms"),
    sqlite_with_rowid=False,
)
"""Attempts whose provider is to be asked what they came to, written with their rows."""

drifts = Table(
    "ledger_drifts",
    metadata,
    Column("day", BigInteger, primary_key=True, autoincrement=False),
    Column("provider", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("source", String(16), primary_key=True),
    Column("calls", BigInteger, nullable=False),
    Column("ours_pico", BigInteger, nullable=False),
    Column("theirs_pico", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""What we reckoned and what the provider says, by day and model: of single answers, or of a whole day."""

turns = Table(
    "turns",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("holder", String(36), nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Which of several processes does what one is enough for, and until when it may."""

raised = Table(
    "raised_alerts",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("told_ms", BigInteger, nullable=False),
    Index("ix_raised_alerts_told_ms", "told_ms"),
    sqlite_with_rowid=False,
)
"""Alerts that were raised, by a digest of what each is about: nobody is told twice."""

outbox = Table(
    "alert_outbox",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("endpoint", String(64), primary_key=True),
    Column("body", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("due_ms", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Index("ix_alert_outbox_due_ms", "due_ms"),
    sqlite_with_rowid=False,
)
"""Alerts that an endpoint has not taken yet; the endpoint by a digest of its URL."""
