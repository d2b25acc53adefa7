"""The tables behind the admin API: the audit log, names, providers and tiers, submitted keys, resets.

Times are whole Unix milliseconds, in the audit log microseconds. Keys of providers are sealed for
the very row that they stand in (``store/sql/tenant_keys.py``).
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, LargeBinary, String, Table, Text

from dragoman.store.tables import metadata

audit = Table(
    "audit",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at_us", BigInteger, nullable=False),
    Column("action", String(64), nullable=False),
    Column("target", Text, nullable=False),
    Column("tenant", String(128), nullable=False),
    Column("actor", String(64), nullable=False),
    Column("actor_tenant", String(128), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("request_id", Text, nullable=False),
    Column("before", Text, nullable=True),
    Column("after", Text, nullable=True),
    Column("previous", String(64), nullable=False),
    Column("seal", String(64), nullable=False),
    Index("ix_audit_tenant_number", "tenant", "number"),
)
"""What administrators did, one row hanging on the other (``audit/chain.py``)."""

named = Table(
    "named",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("name", String(256), primary_key=True),
    Column("tenant", String(128), primary_key=True),
    Column("body", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
)
"""Aliases, routes and policies: ``body`` is JSON (``catalog/stored.py``); the empty tenant is the house."""

stored_providers = Table(
    "stored_providers",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("body", Text, nullable=False),
    Column("sealed_key", LargeBinary, nullable=True),
    Column("key_preview", String(32), nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
)
"""Providers that an administrator added, changed or disabled."""

stored_tiers = Table(
    "stored_tiers",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("body", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
)
"""Tiers that an administrator added or changed: ``body`` is JSON, the limits that were said."""

usage_resets = Table(
    "usage_resets",
    metadata,
    Column("key_id", String(64), primary_key=True),
    Column("at_us", BigInteger, nullable=False),
)
"""Since when a key's use counts anew, where somebody has said so; the ledger keeps all of it."""

submitted = Table(
    "submitted_keys",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("provider", String(64), nullable=False),
    Column("tier", BigInteger, nullable=True),
    Column("preview", String(32), nullable=False),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("sealed_key", LargeBinary, nullable=False),
    Column("submitted_by", String(64), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("adopted_ms", BigInteger, nullable=True),
)
"""Keys of providers that somebody handed in; they serve nothing until an administrator adopts them."""
