"""Answers that are given again: by an Idempotency-Key, or to a client that lost its stream."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "kept_answers",
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("scope", sa.String(80), nullable=False),
        sa.Column("call_id", sa.String(36), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("reply", sa.LargeBinary, nullable=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("lease_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "scope", name="pk_kept_answers"),
    )
    op.create_index("ix_kept_answers_expires_ms", "kept_answers", ["expires_ms"])
    op.create_index("ix_kept_answers_call_id", "kept_answers", ["call_id"])
    op.create_index("ix_kept_answers_held", "kept_answers", ["tenant", "expires_ms", "size"])


def downgrade() -> None:
    """Removes the table; what was kept to be given again is lost."""
    op.drop_index("ix_kept_answers_held", table_name="kept_answers")
    op.drop_index("ix_kept_answers_call_id", table_name="kept_answers")
    op.drop_index("ix_kept_answers_expires_ms", table_name="kept_answers")
    op.drop_table("kept_answers")
