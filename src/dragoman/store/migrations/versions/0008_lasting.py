"""Whose the things are that outlive a response, and which responses were deleted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_MOVE = """
    INSERT INTO kept_lasting (tenant, id, provider, credential, noted_ms)
    SELECT i.tenant, i.id, r.provider, MAX(r.credential), MAX(r.created_ms)
    FROM kept_items AS i JOIN kept_responses AS r ON r.tenant = i.tenant AND r.id = i.response
    WHERE r.reply IS NULL AND substr(i.id, 1, 5) IN ('conv_', 'cntr_')
    GROUP BY i.tenant, i.id, r.provider
"""
"""Conversations and containers that were noted as items, told by how OpenAI calls them."""


def upgrade() -> None:
    """Makes the table and the column; what is known of conversations and containers goes there."""
    op.create_table(
        "kept_lasting",
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("id", sa.String(512), nullable=False),
        sa.Column("provider", sa.String(128), nullable=False),
        sa.Column("credential", sa.Text, nullable=True),
        sa.Column("noted_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", "provider", name="pk_kept_lasting"),
    )
    op.create_index("ix_kept_lasting_id", "kept_lasting", ["id"])
    op.add_column("kept_responses", sa.Column("deleted_ms", sa.BigInteger, nullable=True))
    op.execute(_MOVE)


def downgrade() -> None:
    """Removes both; conversations whose responses are gone are anybody's again."""
    op.execute("DELETE FROM kept_responses WHERE deleted_ms IS NOT NULL")
    op.drop_column("kept_responses", "deleted_ms")
    op.drop_index("ix_kept_lasting_id", table_name="kept_lasting")
    op.drop_table("kept_lasting")
