"""The ledger: a row a call, a row an attempt, and sums by the hour."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def _consumed() -> tuple[sa.Column[int] | sa.Column[str], ...]:
    return (
        sa.Column("input_tokens", sa.BigInteger, nullable=True),
        sa.Column("output_tokens", sa.BigInteger, nullable=True),
        sa.Column("cache_read_tokens", sa.BigInteger, nullable=True),
        sa.Column("cache_write_tokens", sa.BigInteger, nullable=True),
        sa.Column("cache_write_1h_tokens", sa.BigInteger, nullable=True),
        sa.Column("reasoning_tokens", sa.BigInteger, nullable=True),
        sa.Column("audio_input_tokens", sa.BigInteger, nullable=True),
        sa.Column("audio_output_tokens", sa.BigInteger, nullable=True),
        sa.Column("web_searches", sa.BigInteger, nullable=True),
        sa.Column("tokens_from", sa.String(16), nullable=False),
        sa.Column("cost_pico", sa.BigInteger, nullable=True),
        sa.Column("cost_from", sa.String(16), nullable=False),
    )


def upgrade() -> None:
    """Makes the three tables."""
    op.create_table(
        "ledger_requests",
        sa.Column("call_id", sa.String(36), nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("trace_id", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("dialect", sa.String(16), nullable=False),
        sa.Column("operation", sa.String(16), nullable=False),
        sa.Column("requested_model", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=True),
        sa.Column("model", sa.Text, nullable=True),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("http_status", sa.Integer, nullable=True),
        sa.Column("stream", sa.Boolean, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        *_consumed(),
        sa.Column("upstream_id", sa.Text, nullable=True),
        sa.Column("first_event_s", sa.Float, nullable=True),
        sa.Column("duration_s", sa.Float, nullable=True),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("error_code", sa.Text, nullable=True),
        sa.Column("losses", sa.Text, nullable=False),
        sa.Column("batch", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("call_id", name="pk_ledger_requests"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_ledger_requests_key_id_created_us", "ledger_requests", ["key_id", "created_us"]
    )
    op.create_table(
        "ledger_attempts",
        sa.Column("call_id", sa.String(36), nullable=False),
        sa.Column("attempt_id", sa.String(36), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("credential", sa.Text, nullable=True),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("upstream_status", sa.Integer, nullable=True),
        sa.Column("upstream_id", sa.Text, nullable=True),
        sa.Column("error_kind", sa.Text, nullable=True),
        *_consumed(),
        sa.Column("price_source", sa.Text, nullable=False),
        sa.Column("price_from", sa.Text, nullable=False),
        sa.Column("first_event_s", sa.Float, nullable=True),
        sa.Column("duration_s", sa.Float, nullable=True),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("call_id", "attempt_id", name="pk_ledger_attempts"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ledger_hours",
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("hour", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("failed", sa.BigInteger, nullable=False),
        sa.Column("input_tokens", sa.BigInteger, nullable=False),
        sa.Column("output_tokens", sa.BigInteger, nullable=False),
        sa.Column("cache_read_tokens", sa.BigInteger, nullable=False),
        sa.Column("cache_write_tokens", sa.BigInteger, nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger, nullable=False),
        sa.Column("cost_pico", sa.BigInteger, nullable=False),
        sa.Column("estimated_requests", sa.BigInteger, nullable=False),
        sa.Column("estimated_input_tokens", sa.BigInteger, nullable=False),
        sa.Column("estimated_output_tokens", sa.BigInteger, nullable=False),
        sa.Column("estimated_cost_pico", sa.BigInteger, nullable=False),
        sa.Column("unknown_tokens", sa.BigInteger, nullable=False),
        sa.Column("unknown_cost", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant", "key_id", "hour", "provider", "model", name="pk_ledger_hours"
        ),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Removes the three tables; the record of what was consumed is lost."""
    op.drop_table("ledger_hours")
    op.drop_table("ledger_attempts")
    op.drop_index("ix_ledger_requests_key_id_created_us", table_name="ledger_requests")
    op.drop_table("ledger_requests")
