"""Up to which day sums by labels were bounded."""

from __future__ import annotations

from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """None yet."""
    op.execute("INSERT INTO meta (name, number) VALUES ('labels_thinned_day', 0)")


def downgrade() -> None:
    """What was put together stays so: the names are known no more."""
    op.execute("DELETE FROM meta WHERE name = 'labels_thinned_day'")
