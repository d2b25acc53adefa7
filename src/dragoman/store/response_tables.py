"""The tables of what the gateway keeps of responses (D30).

``input`` and ``reply`` are sealed under the tenant's own key (``sql/tenant_keys.py``); both are
NULL where a provider keeps the response, and only whose it is has to be known here. Every key
begins with the tenant: the same id may stand in several tenants, and is another row in each.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    String,
    Table,
    Text,
    text,
)

from dragoman.store.tables import metadata

responses = Table(
    "kept_responses",
    metadata,
    Column("tenant", String(128), primary_key=True),
    Column("id", String(512), primary_key=True),
    Column("previous", String(512), nullable=True),
    Column("provider", Text, nullable=False),
    Column("credential", Text, nullable=True),
    Column("input", LargeBinary, nullable=True),
    Column("reply", LargeBinary, nullable=True),
    Column("size", BigInteger, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("deleted_ms", BigInteger, nullable=True),
    Index("ix_kept_responses_expires_ms", "expires_ms"),
    Index("ix_kept_responses_id", "id"),
    Index(
        "ix_kept_responses_held",
        "tenant",
        "expires_ms",
        "size",
        sqlite_where=text("size > 0"),
        postgresql_where=text("size > 0"),
    ),
)
"""One row a response; ``size`` is that of its content before it was sealed.

Of one that a provider kept the row stays, with ``deleted_ms``, until it would have expired: a
journal may still have a note of it, which must not bring it back.
"""

items = Table(
    "kept_items",
    metadata,
    Column("tenant", String(128), primary_key=True),
    Column("id", String(512), primary_key=True),
    Column("response", String(512), primary_key=True),
    ForeignKeyConstraint(
        ["tenant", "response"],
        ["kept_responses.tenant", "kept_responses.id"],
        name="fk_kept_items_response",
        ondelete="CASCADE",
    ),
    Index("ix_kept_items_tenant_response", "tenant", "response"),
    Index("ix_kept_items_id", "id"),
)
"""Which response an item stands in, for those who refer to it by its id alone."""

lasting = Table(
    "kept_lasting",
    metadata,
    Column("tenant", String(128), primary_key=True),
    Column("id", String(512), primary_key=True),
    Column("provider", String(128), primary_key=True),
    Column("credential", Text, nullable=True),
    Column("noted_ms", BigInteger, nullable=False),
    Index("ix_kept_lasting_id", "id"),
)
"""What a provider keeps beyond the response that it came with: conversations, what is in them, containers.

Nobody tells the gateway when such a thing is gone, so whose it is stays known.
"""
