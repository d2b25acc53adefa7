"""The tables of tenants and of their projects; ``keys`` names both by their ids.

Times are whole Unix milliseconds; ``scopes`` is JSON (``store/sql/scope_text.py``).
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Table, Text

from dragoman.store.tables import metadata

tenants = Table(
    "tenants",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("name", String(256), nullable=False),
    Column("scopes", Text, nullable=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("suspended_ms", BigInteger, nullable=True),
    Column("deleted_ms", BigInteger, nullable=True),
)
"""Whose keys, usage and names are nobody else's. A new database has none: the first key makes its tenant.

Of one that was deleted the row stays: what the ledger has of it must never be another's of that name."""

projects = Table(
    "projects",
    metadata,
    Column("tenant", String(128), primary_key=True),
    Column("id", String(128), primary_key=True),
    Column("name", String(256), nullable=False),
    Column("scopes", Text, nullable=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("suspended_ms", BigInteger, nullable=True),
)
"""Parts of a tenant, each with keys and budgets of its own; every tenant has the project ``default``."""
