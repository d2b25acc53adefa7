"""Where Alembic runs our migrations: on the connection that ``store/schema.py`` hands over.

That connection is in a transaction already, and is committed by who opened it; there is no
offline mode, and no alembic.ini.
"""

from __future__ import annotations

from alembic import context

from dragoman.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
