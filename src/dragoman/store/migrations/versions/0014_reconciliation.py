"""What is charged and by whom a call is found, figures that come later, and alerts that are sent out."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0011"

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


def downgrade() -> None:
    """Removes them."""
    for name in _SUMS:
        op.drop_column("ledger_hours", name)
    for table, columns in _NEW.items():
        for column in columns():
            op.drop_column(table, column.name)
