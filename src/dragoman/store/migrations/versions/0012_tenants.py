"""Tenants and projects of their own; a key's project, label, scopes, suspension, and the secret it had before.

Every tenant that a key names is there afterwards, with a project ``default`` that holds all its keys. A user has
one key in a tenant now, no longer one in all of them.
"""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_ROLE = "ck_keys_role"


def _columns() -> tuple[sa.Column[Any], ...]:
    """What a key has from now on; a column belongs to one table, so they are made anew each time."""
    return (
        sa.Column("project", sa.String(128), nullable=False, server_default="default"),
        sa.Column("label", sa.String(256), nullable=True),
        sa.Column("scopes", sa.Text, nullable=True),
        sa.Column("suspended_ms", sa.BigInteger, nullable=True),
        sa.Column("previous_digest", sa.LargeBinary(32), nullable=True),
        sa.Column("previous_pepper_version", sa.Integer, nullable=True),
        sa.Column("previous_until_ms", sa.BigInteger, nullable=True),
    )


def _keys(*more: sa.Column[Any] | sa.UniqueConstraint, roles: str) -> sa.Table:
    """The table of keys, as it has to be said to have SQLite make it anew: it changes no constraint in place."""
    return sa.Table(
        "keys",
        sa.MetaData(),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("user_id", sa.String(256), nullable=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("pepper_version", sa.Integer, nullable=False),
        sa.Column("rps", sa.Integer, nullable=True),
        sa.Column("rpm", sa.Integer, nullable=True),
        sa.Column("rpd", sa.Integer, nullable=True),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=True),
        sa.Column("revoked_ms", sa.BigInteger, nullable=True),
        sa.Column("tier", sa.String(64), nullable=True),
        sa.Column("tpm", sa.BigInteger, nullable=True),
        sa.Column("tpd", sa.BigInteger, nullable=True),
        sa.Column("max_tokens", sa.BigInteger, nullable=True),
        sa.Column("concurrency", sa.Integer, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.UniqueConstraint("digest", name="uq_keys_digest"),
        sa.CheckConstraint(f"role IN ({roles})", name=_ROLE),
        sa.Index("ix_keys_tenant", "tenant"),
        *more,
    )


def upgrade() -> None:
    """Makes the tables with a row for each tenant that there is, and widens the keys."""
    _make_tables()
    before = _keys(sa.UniqueConstraint("user_id", name="uq_keys_user_id"), roles="'admin', 'user'")
    with op.batch_alter_table("keys", copy_from=before) as table:
        for column in _columns():
            table.add_column(column)
        table.drop_constraint("uq_keys_user_id", type_="unique")
        table.create_unique_constraint("uq_keys_tenant_user_id", ["tenant", "user_id"])
        table.create_unique_constraint("uq_keys_previous_digest", ["previous_digest"])
        table.drop_constraint(op.f(_ROLE), type_="check")
        table.create_check_constraint(op.f(_ROLE), "role IN ('admin', 'tenant_admin', 'user')")
    op.execute(
        "INSERT INTO tenants (id, name, created_ms) "
        "SELECT tenant, tenant, min(created_ms) FROM keys GROUP BY tenant"
    )
    op.execute(
        "INSERT INTO projects (tenant, id, name, created_ms) "
        "SELECT id, 'default', 'default', created_ms FROM tenants"
    )


def _make_tables() -> None:
    op.create_table(
        "tenants",
        sa.Column("id", sa.String(128), nullable=False),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("scopes", sa.Text, nullable=True),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("suspended_ms", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_tenants"),
    )
    op.create_table(
        "projects",
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("id", sa.String(128), nullable=False),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("scopes", sa.Text, nullable=True),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("suspended_ms", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_projects"),
    )


def downgrade() -> None:
    """Removes them. Nothing opens wider than it was: keys that were suspended or narrowed by a scope end now.

    Who manages a tenant becomes a user; of keys of one user in several tenants the oldest keeps the user.
    """
    ended = sa.text(
        "UPDATE keys SET expires_ms = :now WHERE (expires_ms IS NULL OR expires_ms > :now) AND "
        "(suspended_ms IS NOT NULL OR scopes IS NOT NULL "
        "OR tenant IN (SELECT id FROM tenants WHERE suspended_ms IS NOT NULL OR scopes IS NOT NULL) "
        "OR EXISTS (SELECT 1 FROM projects WHERE projects.tenant = keys.tenant "
        "AND projects.id = keys.project "
        "AND (projects.suspended_ms IS NOT NULL OR projects.scopes IS NOT NULL)))"
    )
    op.execute(ended.bindparams(sa.bindparam("now", int(time.time() * 1000), sa.BigInteger)))
    op.execute("UPDATE keys SET role = 'user' WHERE role = 'tenant_admin'")
    op.execute(
        "UPDATE keys SET user_id = NULL WHERE EXISTS (SELECT 1 FROM keys AS older "
        "WHERE older.user_id = keys.user_id AND (older.created_ms < keys.created_ms "
        "OR (older.created_ms = keys.created_ms AND older.id < keys.id)))"
    )
    after = _keys(
        *_columns(),
        sa.UniqueConstraint("tenant", "user_id", name="uq_keys_tenant_user_id"),
        sa.UniqueConstraint("previous_digest", name="uq_keys_previous_digest"),
        roles="'admin', 'tenant_admin', 'user'",
    )
    with op.batch_alter_table("keys", copy_from=after) as table:
        table.drop_constraint(op.f(_ROLE), type_="check")
        table.create_check_constraint(op.f(_ROLE), "role IN ('admin', 'user')")
        table.drop_constraint("uq_keys_previous_digest", type_="unique")
        table.drop_constraint("uq_keys_tenant_user_id", type_="unique")
        table.create_unique_constraint("uq_keys_user_id", ["user_id"])
        for column in reversed(_columns()):
            table.drop_column(column.name)
    op.drop_table("projects")
    op.drop_table("tenants")
