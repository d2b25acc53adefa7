"""The tables of tenants' own credentials at providers, and of who may use no others.

Times are whole Unix milliseconds. A value is sealed with its tenant's key for the very row that it stands
in, together with its provider and address (``store/sql/credentials.py``).
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from dragoman.store.tables import metadata

credentials = Table(
    "provider_credentials",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("provider", String(64), nullable=False),
    Column("name", String(128), nullable=False),
    Column("sealed_value", LargeBinary, nullable=False),
    Column("preview", String(32), nullable=False),
    Column("origin", Text, nullable=False),
    Column("weight", Integer, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger, nullable=True),
    UniqueConstraint("tenant", "provider", "name", name="uq_provider_credentials_tenant"),
)
"""One row a credential."""

holders = Table(
    "credential_holders",
    metadata,
    Column("tenant", String(128), primary_key=True),
    Column("own_only", Boolean, nullable=False),
    Column("generation", BigInteger, nullable=False, index=True),
    Column("own_word", Boolean, nullable=False, server_default=false()),
)
"""Every tenant that ever had one, and the generation at which anything of its was last changed.

``own_only`` is the operator's word, ``own_word`` the tenant's: its calls are made with its own credentials alone
where either of them says so.
"""
