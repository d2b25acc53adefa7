"""What was asked and answered, of tenants for whom the operator keeps it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Makes the table; nothing is in it before an operator asks for it."""
    op.create_table(
        "kept_bodies",
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("call_id", sa.String(36), nullable=False),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("answer", sa.LargeBinary, nullable=False),
        sa.Column("request_size", sa.BigInteger, nullable=False),
        sa.Column("answer_size", sa.BigInteger, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "call_id", name="pk_kept_bodies"),
    )
    op.create_index("ix_kept_bodies_created_ms", "kept_bodies", ["created_ms"])
    op.create_index("ix_kept_bodies_call_id", "kept_bodies", ["call_id"])


def downgrade() -> None:
    """Removes it, and what was kept."""
    op.drop_table("kept_bodies")
