"""The table of providers' health: figures, who is disabled, which keys rest, whose breakers are open.

``state`` is one JSON object, whose members ``health/sharing.py`` defines: figures come and go without a
migration, and nobody asks the database about a single one of them.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, String, Table, Text

from dragoman.store.tables import metadata

health = Table(
    "health",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("provider", String(128), primary_key=True),
    Column("model", String(512), primary_key=True),
    Column("credential", String(64), primary_key=True),
    Column("state", Text, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    Index("ix_health_changed_ms", "changed_ms"),
)
"""One row a provider, model or key, and kind; ``*`` stands for all of them."""
