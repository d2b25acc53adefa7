"""How providers have been doing, who of them is disabled, and which keys rest."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "health",
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("provider", sa.String(128), nullable=False),
        sa.Column("model", sa.String(512), nullable=False),
        sa.Column("credential", sa.String(64), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("changed_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("kind", "provider", "model", "credential", name="pk_health"),
    )
    op.create_index("ix_health_changed_ms", "health", ["changed_ms"])


def downgrade() -> None:
    """Removes it; the gateway learns anew how providers are doing."""
    op.drop_table("health")
