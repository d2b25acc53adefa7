"""The table of what was asked and answered, of tenants for whom the operator keeps it.

Both bodies are sealed under the tenant's own key (``sql/tenant_keys.py``); the sizes are those of the whole
ones, of which only the beginning may have been kept.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, String, Table

from dragoman.store.tables import metadata

bodies = Table(
    "kept_bodies",
    metadata,
    Column("tenant", String(128), primary_key=True),
    Column("call_id", String(36), primary_key=True),
    Column("request", LargeBinary, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("request_size", BigInteger, nullable=False),
    Column("answer_size", BigInteger, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Index("ix_kept_bodies_created_ms", "created_ms"),
    Index("ix_kept_bodies_call_id", "call_id"),
)
