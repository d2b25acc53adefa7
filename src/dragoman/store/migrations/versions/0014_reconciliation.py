"""What is charged and by whom a call is found, figures that come later, and alerts that are sent out."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

_CONSUMED = ("image_input_tokens", "image_output_tokens")
_SUMS = ("charged_pico", "other_cost_pico", "estimated_charged_pico")


def _consumed() -> list[sa.Column[Any]]:
    return [
        *(sa.Column(name, sa.BigInteger, nullable=True) for name in _CONSUMED),
        sa.Column("units", sa.Text, nullable=False, server_default=""),
    ]


def _of_requests() -> list[sa.Column[Any]]:
    return [
        sa.Column("project", sa.Text, nullable=False, server_default=""),
        sa.Column("end_user", sa.Text, nullable=False, server_default=""),
        sa.Column("tags", sa.Text, nullable=False, server_default=""),
        *_consumed(),
        sa.Column("charged_pico", sa.BigInteger, nullable=True),
        sa.Column("other_cost_pico", sa.BigInteger, nullable=False, server_default="0"),
    ]


def _of_attempts() -> list[sa.Column[Any]]:
    return [
        *_consumed(),
        sa.Column("served", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("terms", sa.Text, nullable=False, server_default=""),
        sa.Column("charged_pico", sa.BigInteger, nullable=True),
        sa.Column("settled_us", sa.BigInteger, nullable=True),
        sa.Column("settled_from", sa.Text, nullable=True),
        sa.Column("former", sa.Text, nullable=True),
    ]


_NEW = {"ledger_requests": _of_requests, "ledger_attempts": _of_attempts}


def upgrade() -> None:
    """Adds the columns; what was recorded before is charged at cost."""
    for table, columns in _NEW.items():
        for column in columns():
            op.add_column(table, column)
    for name in _SUMS:
        op.add_column(
            "ledger_hours", sa.Column(name, sa.BigInteger, nullable=False, server_default="0")
        )
    op.execute("UPDATE ledger_requests SET charged_pico = cost_pico")
    op.execute(
        "UPDATE ledger_hours SET charged_pico = cost_pico,"
        " estimated_charged_pico = estimated_cost_pico"
    )
    op.create_index("ix_ledger_hours_hour", "ledger_hours", ["hour"])
    op.create_table(
        "unsettled",
        sa.Column("attempt_id", sa.String(36), nullable=False),
        sa.Column("call_id", sa.String(36), nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("credential", sa.Text, nullable=True),
        sa.Column("upstream_id", sa.Text, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("due_ms", sa.BigInteger, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("attempt_id", name="pk_unsettled"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_unsettled_due_ms", "unsettled", ["due_ms"])
    op.create_table(
        "ledger_drifts",
        sa.Column("day", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("calls", sa.BigInteger, nullable=False),
        sa.Column("ours_pico", sa.BigInteger, nullable=False),
        sa.Column("theirs_pico", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("day", "provider", "model", "source", name="pk_ledger_drifts"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "turns",
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("holder", sa.String(36), nullable=False),
        sa.Column("until_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_turns"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "raised_alerts",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("told_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_raised_alerts"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_raised_alerts_told_ms", "raised_alerts", ["told_ms"])
    op.create_table(
        "alert_outbox",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("endpoint", sa.String(64), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("due_ms", sa.BigInteger, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", "endpoint", name="pk_alert_outbox"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_alert_outbox_due_ms", "alert_outbox", ["due_ms"])


def downgrade() -> None:
    """Removes them; who was not told yet is not told."""
    op.drop_table("alert_outbox")
    op.drop_table("raised_alerts")
    op.drop_table("turns")
    op.drop_table("ledger_drifts")
    op.drop_table("unsettled")
    op.drop_index("ix_ledger_hours_hour", table_name="ledger_hours")
    for name in _SUMS:
        op.drop_column("ledger_hours", name)
    for table, columns in _NEW.items():
        for column in columns():
            op.drop_column(table, column.name)
