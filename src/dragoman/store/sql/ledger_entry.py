"""Rows of the ledger's tables read back as the entry that they were written from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import fields

from dragoman.accounting.entry import AttemptRow, Consumed, Entry, RequestRow

if TYPE_CHECKING:
    from sqlalchemy.engine import Row

_CONSUMED = [field.name for field in fields(Consumed)]


def entry_of_rows(request: Row[Any], attempts: Sequence[Row[Any]]) -> Entry:
    """The entry of a call's row and its attempts' rows, with all of their tables' columns."""
    return Entry(
        request_of_row(request),
        tuple(AttemptRow(**_named(AttemptRow, row)) for row in attempts),
    )


def request_of_row(row: Row[Any]) -> RequestRow:
    """The row of a call, with all of its table's columns."""
    return RequestRow(**_named(RequestRow, row))


def _named(kind: type[RequestRow | AttemptRow], row: Row[Any]) -> dict[str, Any]:
    names = [field.name for field in fields(kind) if field.name != "consumed"]
    consumed = Consumed(*(getattr(row, name) for name in _CONSUMED))
    return {**{name: getattr(row, name) for name in names}, "consumed": consumed}
