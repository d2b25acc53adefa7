"""Tables of comma-separated values (RFC 4180) that a spreadsheet may open without running anything of them.

What callers write themselves stands in these tables. Text that a spreadsheet would take for a formula gets an
apostrophe before it, and every text stands in quotes (`reliability.md` W10).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import TypeAlias

Cell: TypeAlias = str | int | float | bool | None

CONTENT_TYPE = "text/csv; charset=utf-8; header=present"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_AMOUNT = "_usd"
"""What the names of columns end in whose text is a number of ours."""


def sheet(columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, head: bool = True) -> bytes:
    """A table, or with ``head`` False the rest of one; unknown numbers are empty."""
    amounts = [name.endswith(_AMOUNT) for name in columns]
    written = io.StringIO(newline="")
    writer = csv.writer(written, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
    if head:
        writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(cell, amount) for cell, amount in zip(row, amounts, strict=True)])
    return written.getvalue().encode()


def _cell(value: Cell, amount: bool) -> str | int | float:  # noqa: FBT001  by position, for each cell
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and not amount and value.startswith(_FORMULA):
        return f"'{value}"
    return value
