"""The ledger says in which service tier a call was served, as its cost goes by that."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"

_TABLES = ("ledger_requests", "ledger_attempts")


def upgrade() -> None:
    """Makes room for it; of older calls nobody knows any more, and they count as served as usual."""
    for table in _TABLES:
        op.add_column(table, sa.Column("service_tier", sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    """Forgets it."""
    for table in reversed(_TABLES):
        op.drop_column(table, "service_tier")
