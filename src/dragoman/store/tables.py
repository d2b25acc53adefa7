"""The tables of keys and secrets, and the one ``metadata`` that every table of ours hangs on.

Times are whole Unix milliseconds. What a migration makes and what stands here are compared
by a test, so neither can drift from the other.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    },
)

keys = Table(
    "keys",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("tenant", String(128), nullable=False, index=True),
    Column("name", String(256), nullable=False),
    Column("user_id", String(256), nullable=True),
    Column("role", String(16), nullable=False),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("pepper_version", Integer, nullable=False),
    Column("rps", Integer, nullable=True),
    Column("rpm", Integer, nullable=True),
    Column("rpd", Integer, nullable=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=True),
    Column("revoked_ms", BigInteger, nullable=True),
    Column("tier", String(64), nullable=True),
    Column("tpm", BigInteger, nullable=True),
    Column("tpd", BigInteger, nullable=True),
    Column("max_tokens", BigInteger, nullable=True),
    Column("concurrency", Integer, nullable=True),
    Column("project", String(128), nullable=False, server_default="default"),
    Column("label", String(256), nullable=True),
    Column("scopes", Text, nullable=True),
    Column("suspended_ms", BigInteger, nullable=True),
    Column("previous_digest", LargeBinary(32), nullable=True, unique=True),
    Column("previous_pepper_version", Integer, nullable=True),
    Column("previous_until_ms", BigInteger, nullable=True),
    Column("cut_ms", BigInteger, nullable=True),
    UniqueConstraint("tenant", "user_id"),
    CheckConstraint("role IN ('admin', 'tenant_admin', 'user')", name="role"),
)
"""Callers' keys; of the key itself only its keyed digest (D19), and of the secret that it had before its last
rotation, as long as that still counts. ``cut_ms``: when its calls under way were to end, too. ``scopes`` is JSON
(``store/sql/scope_text.py``)."""

secrets = Table(
    "secrets",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("sealed_by", String(16), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)
"""Random secrets of this database, versioned, sealed by FERNET_KEY or a file (D19, D22)."""

meta = Table(
    "meta",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False),
)
"""Counters that other processes watch, such as the generation of the keys."""
