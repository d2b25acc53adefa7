"""Of an attempt whose cost budgets have spent at once, its own row says by whom; charges are of what is held."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Makes room for it; who has paid for older attempts stays among the charges."""
    op.add_column("ledger_attempts", sa.Column("reserved_pico", sa.BigInteger, nullable=True))
    op.add_column("ledger_attempts", sa.Column("payers", sa.Text, nullable=True))


def downgrade() -> None:
    """Makes a charge of each again; which process had set it aside is not known any more."""
    op.execute(
        "INSERT INTO budget_charges (call_id, attempt_id, payers, holder, admitted_us,"
        " reserved_pico, spent_pico, held_pico)"
        " SELECT a.call_id, a.attempt_id, a.payers, '', r.created_us,"
        " coalesce(a.reserved_pico, 0), coalesce(a.cost_pico, 0), 0"
        " FROM ledger_attempts AS a JOIN ledger_requests AS r ON r.call_id = a.call_id"
        " WHERE a.payers IS NOT NULL AND NOT EXISTS (SELECT 1 FROM budget_charges AS c"
        " WHERE c.call_id = a.call_id AND c.attempt_id = a.attempt_id)"
    )
    op.drop_column("ledger_attempts", "payers")
    op.drop_column("ledger_attempts", "reserved_pico")
