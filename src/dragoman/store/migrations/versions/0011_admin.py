"""What is done over the admin API: the audit log, names and providers of its own, submitted keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_COUNTERS = ("audit_last", "names_generation")


def upgrade() -> None:
    """Makes the tables, and the counters that other processes watch."""
    op.create_table(
        "audit",
        sa.Column("number", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("actor_tenant", sa.String(128), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("before", sa.Text, nullable=True),
        sa.Column("after", sa.Text, nullable=True),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("seal", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_audit"),
    )
    op.create_index("ix_audit_tenant_number", "audit", ["tenant", "number"])
    op.create_table(
        "named",
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("changed_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", "tenant", name="pk_named"),
    )
    op.create_table(
        "stored_providers",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("sealed_key", sa.LargeBinary, nullable=True),
        sa.Column("key_preview", sa.String(32), nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("changed_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_stored_providers"),
    )
    op.create_table(
        "submitted_keys",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("tier", sa.BigInteger, nullable=True),
        sa.Column("preview", sa.String(32), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("sealed_key", sa.LargeBinary, nullable=False),
        sa.Column("submitted_by", sa.String(64), nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("adopted_ms", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_submitted_keys"),
        sa.UniqueConstraint("digest", name="uq_submitted_keys_digest"),
    )
    op.create_table(
        "usage_resets",
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("key_id", name="pk_usage_resets"),
    )
    meta = sa.table("meta", sa.column("name", sa.String), sa.column("number", sa.BigInteger))
    op.bulk_insert(meta, [{"name": name, "number": 0} for name in _COUNTERS])


def downgrade() -> None:
    """Removes them; names and providers are again those of the configuration alone."""
    meta = sa.table("meta", sa.column("name", sa.String), sa.column("number", sa.BigInteger))
    op.execute(meta.delete().where(meta.c.name.in_(_COUNTERS)))
    op.drop_table("usage_resets")
    op.drop_table("submitted_keys")
    op.drop_table("stored_providers")
    op.drop_table("named")
    op.drop_index("ix_audit_tenant_number", table_name="audit")
    op.drop_table("audit")
