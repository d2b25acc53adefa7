"""A tenant's own word that its calls are made with its own credentials alone, beside the operator's."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Makes room for it; nobody has said so yet."""
    op.add_column(
        "credential_holders",
        sa.Column("own_word", sa.Boolean, nullable=False, server_default=sa.false()),
    )


def downgrade() -> None:
    """Forgets it. Whoever has said so is bound by the operator's rule from now on: nothing opens by that."""
    op.execute("UPDATE credential_holders SET own_only = own_word WHERE own_word")
    op.drop_column("credential_holders", "own_word")
