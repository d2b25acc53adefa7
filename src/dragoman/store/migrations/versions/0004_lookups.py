"""What calls and kept responses are looked up by: a call's names, and what a tenant keeps."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Makes the three indexes."""
    op.create_index("ix_ledger_requests_request_id", "ledger_requests", ["request_id"])
    op.create_index("ix_ledger_requests_upstream_id", "ledger_requests", ["upstream_id"])
    op.create_index(
        "ix_kept_responses_held",
        "kept_responses",
        ["tenant", "expires_ms", "size"],
        sqlite_where=sa.text("size > 0"),
        postgresql_where=sa.text("size > 0"),
    )


def downgrade() -> None:
    """Removes them; nothing is lost."""
    op.drop_index("ix_kept_responses_held", table_name="kept_responses")
    op.drop_index("ix_ledger_requests_upstream_id", table_name="ledger_requests")
    op.drop_index("ix_ledger_requests_request_id", table_name="ledger_requests")
