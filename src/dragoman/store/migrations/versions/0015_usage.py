"""Sums by the day, as a whole and by the callers' names: what reports read."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

_SUMS = (
    "requests",
    "failed",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_pico",
    "estimated_requests",
    "estimated_input_tokens",
    "estimated_output_tokens",
    "estimated_cost_pico",
    "unknown_tokens",
    "unknown_cost",
    "charged_pico",
    "other_cost_pico",
    "estimated_charged_pico",
)
_DAY_US = 86_400_000_000
_LONGEST = 200
_WORKED = (
    "attempts > 0 AND operation IN ('chat', 'embeddings')"
    " AND status IN ('complete', 'client_cut', 'upstream_cut', 'timeout', 'unknown')"
)


def _counted() -> tuple[str, ...]:
    """What a call adds to each of the sums, in their order."""
    real = "CASE WHEN tokens_from <> 'estimated' THEN COALESCE({}, 0) ELSE 0 END"
    guessed = "CASE WHEN tokens_from = 'estimated' THEN COALESCE({}, 0) ELSE 0 END"
    return (
        "1",
        "CASE WHEN status NOT IN ('complete', 'client_cut') THEN 1 ELSE 0 END",
        real.format("input_tokens"),
        real.format("output_tokens"),
        real.format("cache_read_tokens"),
        real.format("cache_write_tokens"),
        real.format("reasoning_tokens"),
        "CASE WHEN cost_from <> 'estimated' THEN COALESCE(cost_pico, 0) ELSE 0 END",
        "CASE WHEN tokens_from = 'estimated' OR cost_from = 'estimated' THEN 1 ELSE 0 END",
        guessed.format("input_tokens"),
        guessed.format("output_tokens"),
        "CASE WHEN cost_from = 'estimated' THEN COALESCE(cost_pico, 0) ELSE 0 END",
        f"CASE WHEN tokens_from = 'none' AND {_WORKED} THEN 1 ELSE 0 END",
        f"CASE WHEN cost_from = 'none' AND {_WORKED} THEN 1 ELSE 0 END",
        "CASE WHEN cost_from <> 'estimated' THEN COALESCE(charged_pico, 0) ELSE 0 END",
        "other_cost_pico",
        "CASE WHEN cost_from = 'estimated' THEN COALESCE(charged_pico, 0) ELSE 0 END",
    )


def _sums() -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in _SUMS]


def upgrade() -> None:
    """Makes the tables, and fills them from the sums of hours and from the calls."""
    op.create_table(
        "ledger_days",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("day", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        *_sums(),
        sa.PrimaryKeyConstraint(
            "tenant", "key_id", "day", "provider", "model", name="pk_ledger_days"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_ledger_days_day", "ledger_days", ["day"])
    op.create_table(
        "ledger_labels",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("day", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        *_sums(),
        sa.PrimaryKeyConstraint(
            "tenant", "kind", "day", "name", "key_id", "provider", "model", name="pk_ledger_labels"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_ledger_labels_kind_day", "ledger_labels", ["kind", "day"])
    op.execute("INSERT INTO meta (name, number) VALUES ('ledger_kept_since_us', 0)")
    op.execute(_days_of_hours())
    # Tags are as new as this: no call has one yet where nobody has gone back and forth.
    for kind, column in (("caller", "caller"), ("project", "project"), ("user", "end_user")):
        op.execute(_labels_of_calls(kind, column))


def _days_of_hours() -> sa.sql.dml.Insert:
    place = ("tenant", "key_id", "day", "provider", "model")
    days = sa.table("ledger_days", *map(sa.column, (*place, *_SUMS)))
    of_hours = [sa.column(name, sa.BigInteger) for name in _SUMS]
    key: list[sa.ColumnElement[Any]] = [
        sa.column("tenant"),
        sa.column("key_id"),
        sa.literal_column("hour / 24"),
        sa.column("provider"),
        sa.column("model"),
    ]
    found = sa.select(*key, *map(sa.func.sum, of_hours)).select_from(sa.table("ledger_hours"))
    return days.insert().from_select([*place, *_SUMS], found.group_by(*key))


def _labels_of_calls(kind: str, column: str) -> sa.sql.dml.Insert:
    place = ("kind", "tenant", "day", "name", "key_id", "provider", "model")
    labels = sa.table("ledger_labels", *map(sa.column, (*place, *_SUMS)))
    key: list[sa.ColumnElement[Any]] = [
        sa.column("tenant"),
        sa.literal_column(f"created_us / {_DAY_US}"),
        sa.literal_column(f"SUBSTR({column}, 1, {_LONGEST})"),
        sa.column("key_id"),
        sa.literal_column("COALESCE(provider, '')"),
        sa.literal_column("COALESCE(model, '')"),
    ]
    of_calls: list[sa.ColumnElement[Any]] = [
        sa.func.sum(sa.literal_column(term)) for term in _counted()
    ]
    found = sa.select(sa.literal_column(f"'{kind}'"), *key, *of_calls).select_from(
        sa.table("ledger_requests")
    )
    if kind != "caller":
        found = found.where(sa.column(column) != "")
    return labels.insert().from_select([*place, *_SUMS], found.group_by(*key))


def downgrade() -> None:
    """Removes them; the calls keep all that they were made from, unless they were removed themselves."""
    op.execute("DELETE FROM meta WHERE name = 'ledger_kept_since_us'")
    op.drop_index("ix_ledger_labels_kind_day", table_name="ledger_labels")
    op.drop_table("ledger_labels")
    op.drop_index("ix_ledger_days_day", table_name="ledger_days")
    op.drop_table("ledger_days")
