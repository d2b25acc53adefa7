"""A key's tier, and limits of its own on tokens and on calls under way."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0008"

_COLUMNS: tuple[tuple[str, sa.String | sa.Integer], ...] = (
    ("tier", sa.String(64)),
    ("tpm", sa.BigInteger()),
    ("tpd", sa.BigInteger()),
    ("max_tokens", sa.BigInteger()),
    ("concurrency", sa.Integer()),
)


def upgrade() -> None:
    """Adds the columns; no key has a tier yet."""
    for name, kind in _COLUMNS:
        op.add_column("keys", sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    """Removes them, and with them what they limited."""
    for name, _ in reversed(_COLUMNS):
        op.drop_column("keys", name)
