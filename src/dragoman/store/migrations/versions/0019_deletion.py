"""Tenants that were deleted stay known by their id, and keys whose calls were cut off when they were revoked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Makes room for when that was."""
    op.add_column("tenants", sa.Column("deleted_ms", sa.BigInteger, nullable=True))
    op.add_column("keys", sa.Column("cut_ms", sa.BigInteger, nullable=True))


def downgrade() -> None:
    """Forgets it. Such a tenant is a suspended one then, without keys that serve: nothing opens by that."""
    op.drop_column("keys", "cut_ms")
    op.drop_column("tenants", "deleted_ms")
