"""What the gateway keeps of responses, and which response an item stands in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Makes the two tables."""
    op.create_table(
        "kept_responses",
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("id", sa.String(512), nullable=False),
        sa.Column("previous", sa.String(512), nullable=True),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("credential", sa.Text, nullable=True),
        sa.Column("input", sa.LargeBinary, nullable=True),
        sa.Column("reply", sa.LargeBinary, nullable=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_kept_responses"),
    )
    op.create_index("ix_kept_responses_expires_ms", "kept_responses", ["expires_ms"])
    op.create_index("ix_kept_responses_id", "kept_responses", ["id"])
    op.create_table(
        "kept_items",
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("id", sa.String(512), nullable=False),
        sa.Column("response", sa.String(512), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", "response", name="pk_kept_items"),
        sa.ForeignKeyConstraint(
            ["tenant", "response"],
            ["kept_responses.tenant", "kept_responses.id"],
            name="fk_kept_items_response",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_kept_items_tenant_response", "kept_items", ["tenant", "response"])
    op.create_index("ix_kept_items_id", "kept_items", ["id"])


def downgrade() -> None:
    """Removes the two tables; what clients had the gateway keep is lost."""
    op.drop_index("ix_kept_items_id", table_name="kept_items")
    op.drop_index("ix_kept_items_tenant_response", table_name="kept_items")
    op.drop_table("kept_items")
    op.drop_index("ix_kept_responses_id", table_name="kept_responses")
    op.drop_index("ix_kept_responses_expires_ms", table_name="kept_responses")
    op.drop_table("kept_responses")
