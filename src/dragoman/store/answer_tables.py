"""The table of answers that are given again: by an Idempotency-Key, or to who lost a stream (D30).

A row is there from the moment in which somebody begins to make the answer: inserting it is the lock.
``lease_ms`` says until when its maker is taken to live; ``reply`` is NULL until the answer is whole.
``fingerprint`` and ``reply`` are sealed under the tenant's own key (``sql/tenant_keys.py``): a hash of a
request would tell who can guess it what was asked.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, String, Table

from dragoman.store.tables import metadata

answers = Table(
    "kept_answers",
    metadata,
    Column("tenant", String(128), primary_key=True),
    Column("scope", String(80), primary_key=True),
    Column("call_id", String(36), nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("reply", LargeBinary, nullable=True),
    Column("size", BigInteger, nullable=False),
    Column("lease_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Index("ix_kept_answers_expires_ms", "expires_ms"),
    Index("ix_kept_answers_call_id", "call_id"),
    Index("ix_kept_answers_held", "tenant", "expires_ms", "size"),
)
"""One row an answer; ``size`` is that of the reply before it was sealed."""
