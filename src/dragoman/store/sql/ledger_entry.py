"""Rows of the ledger's tables read back as the entry that they were written from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import fields

from dragoman.accounting.entry import AttemptRow, Consumed, Entry, RequestRow
from dragoman.core.budget import Charge, Stake
from dragoman.store.sql.budget_charges import read_payers

if TYPE_CHECKING:
    from sqlalchemy.engine import Row

_MADE = frozenset({"consumed", "charge"})
_CONSUMED = [field.name for field in fields(Consumed)]


def entry_of_rows(
    request: Row[Any], attempts: Sequence[Row[Any]], charges: Sequence[Row[Any]] = ()
) -> Entry:
    """The entry of a call's row, its attempts' rows and what budgets held, with all of their tables' columns."""
    charged = {row.attempt_id: _charge(row) for row in charges}
    for row in attempts:
        if row.payers is not None and row.attempt_id not in charged:
            # Who had set it aside is not kept; all else is the call's and the attempt's.
            stake = Stake("", row.reserved_pico, read_payers(row.payers))
            wall = request.created_us / 1_000_000
            charged[row.attempt_id] = Charge(stake, wall, row.cost_pico or 0, 0)
    return Entry(
        request_of_row(request),
        tuple(
            AttemptRow(**_named(AttemptRow, row), charge=charged.get(row.attempt_id))
            for row in attempts
        ),
    )


def _charge(row: Row[Any]) -> Charge:
    stake = Stake(row.holder, row.reserved_pico, read_payers(row.payers))
    return Charge(stake, row.admitted_us / 1_000_000, row.spent_pico, row.held_pico)


def request_of_row(row: Row[Any]) -> RequestRow:
    """The row of a call, with all of its table's columns."""
    return RequestRow(**_named(RequestRow, row))


def _named(kind: type[RequestRow | AttemptRow], row: Row[Any]) -> dict[str, Any]:
    names = [field.name for field in fields(kind) if field.name not in _MADE]
    consumed = Consumed(*(getattr(row, name) for name in _CONSUMED))
    return {**{name: getattr(row, name) for name in names}, "consumed": consumed}
