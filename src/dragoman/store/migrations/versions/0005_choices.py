"""How a call was routed, what had to be filled in, why an attempt failed: what explains a call."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Makes three columns; of calls before them nothing is known there."""
    for name in ("adjusted", "choice"):
        op.add_column(
            "ledger_requests", sa.Column(name, sa.Text(), nullable=False, server_default="")
        )

    op.add_column("ledger_attempts", sa.Column("error_code", sa.Text(), nullable=True))


def downgrade() -> None:
    """Removes them, and what they hold."""
    op.drop_column("ledger_attempts", "error_code")
    for name in ("choice", "adjusted"):
        op.drop_column("ledger_requests", name)
