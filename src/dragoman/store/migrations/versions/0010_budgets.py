"""Budgets: definitions, pots, leases, charges, and what the operator was told of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def _pot() -> list[sa.Column[str] | sa.Column[int]]:
    return [
        sa.Column("budget", sa.String(128), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("span", sa.String(8), nullable=False),
        sa.Column("since", sa.BigInteger, autoincrement=False, nullable=False),
    ]


_POT = ("budget", "subject", "span", "since")


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "budgets",
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("definition", sa.Text, nullable=False),
        sa.Column("changed_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_budgets"),
    )
    op.create_table(
        "budget_pots",
        *_pot(),
        sa.Column("spent_pico", sa.BigInteger, nullable=False),
        sa.Column("held_pico", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint(*_POT, name="pk_budget_pots"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "budget_leases",
        *_pot(),
        sa.Column("holder", sa.String(36), nullable=False),
        sa.Column("granted_pico", sa.BigInteger, nullable=False),
        sa.Column("seen_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint(*_POT, "holder", name="pk_budget_leases"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_budget_leases_holder", "budget_leases", ["holder"])
    op.create_table(
        "budget_charges",
        sa.Column("call_id", sa.String(36), nullable=False),
        sa.Column("attempt_id", sa.String(36), nullable=False),
        sa.Column("payers", sa.Text, nullable=False),
        sa.Column("holder", sa.String(36), nullable=False),
        sa.Column("admitted_us", sa.BigInteger, nullable=False),
        sa.Column("reserved_pico", sa.BigInteger, nullable=False),
        sa.Column("spent_pico", sa.BigInteger, nullable=False),
        sa.Column("held_pico", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("call_id", "attempt_id", name="pk_budget_charges"),
        sqlite_with_rowid=False,
    )
    held = sa.text("held_pico > 0")
    op.create_index(
        "ix_budget_charges_held",
        "budget_charges",
        ["call_id"],
        sqlite_where=held,
        postgresql_where=held,
    )
    op.create_table(
        "budget_alerts",
        *_pot(),
        sa.Column("share", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("told_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint(*_POT, "share", name="pk_budget_alerts"),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO meta (name, number) VALUES ('budgets_generation', 0)")


def downgrade() -> None:
    """Removes them; what was spent of budgets is forgotten, the ledger keeps its rows."""
    op.execute("DELETE FROM meta WHERE name = 'budgets_generation'")
    op.drop_table("budget_alerts")
    op.drop_index("ix_budget_charges_held", table_name="budget_charges")
    op.drop_table("budget_charges")
    op.drop_index("ix_budget_leases_holder", table_name="budget_leases")
    op.drop_table("budget_leases")
    op.drop_table("budget_pots")
    op.drop_table("budgets")
