"""Credentials of tenants at providers, and who may use no others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_COUNTER = "credentials_generation"


def upgrade() -> None:
    """Makes the tables, and the counter that other processes watch."""
    op.create_table(
        "provider_credentials",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("sealed_value", sa.LargeBinary, nullable=False),
        sa.Column("preview", sa.String(32), nullable=False),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("weight", sa.Integer, nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("changed_ms", sa.BigInteger, nullable=False),
        sa.Column("used_ms", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_provider_credentials"),
        sa.UniqueConstraint("tenant", "provider", "name", name="uq_provider_credentials_tenant"),
    )
    op.create_table(
        "credential_holders",
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("own_only", sa.Boolean, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant", name="pk_credential_holders"),
    )
    op.create_index("ix_credential_holders_generation", "credential_holders", ["generation"])
    meta = sa.table("meta", sa.column("name", sa.String), sa.column("number", sa.BigInteger))
    op.bulk_insert(meta, [{"name": _COUNTER, "number": 0}])


def downgrade() -> None:
    """Removes them; every call is made with the house's credentials again."""
    meta = sa.table("meta", sa.column("name", sa.String), sa.column("number", sa.BigInteger))
    op.execute(meta.delete().where(meta.c.name == _COUNTER))
    op.drop_index("ix_credential_holders_generation", table_name="credential_holders")
    op.drop_table("credential_holders")
    op.drop_table("provider_credentials")
