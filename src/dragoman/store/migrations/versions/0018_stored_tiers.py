"""Tiers that administrators add and change over the admin API."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0015"


def upgrade() -> None:
    """Makes the table; the generation that other processes watch is the names'."""
    op.create_table(
        "stored_tiers",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("changed_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_stored_tiers"),
    )


def downgrade() -> None:
    """Removes it; tiers are again those of the files alone."""
    op.drop_table("stored_tiers")
