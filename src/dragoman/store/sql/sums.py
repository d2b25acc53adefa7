"""The words of SQL that sums over the ledger are asked in, by reports and by the ledger itself.

What one call adds to each of the sums is said here as ``ledger_rows.Added`` says it in Python: a row of the
tables of sums and the rows that it was made from give the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import BigInteger, and_, case, func, literal_column, or_, select, true
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from dragoman.accounting.ports import Only, Scope, Sums
from dragoman.accounting.question import CHAIN
from dragoman.store.ledger_tables import SUMS, requests
from dragoman.store.sql.ledger_rows import HOUR_US, METERED, UNFAILED, WORKED

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Table
    from sqlalchemy.engine import Row as Found
    from sqlalchemy.sql.compiler import SQLCompiler

    from dragoman.store.engine import Backend

Bounds: TypeAlias = tuple[int | None, int | None]
"""From, and before; None: without an end."""


def split(
    since: int | None, until: int | None, unit: int = HOUR_US
) -> tuple[Bounds | None, list[Bounds]]:
    """A span of microseconds as whole hours, or other units, and what is left of it at its ends."""
    first = -(-since // unit) if since is not None else None
    last = until // unit if until is not None else None
    if first is not None and last is not None and first >= last:
        return None, [(since, until)]
    edges: list[Bounds] = []
    if since is not None and first is not None and since < first * unit:
        edges.append((since, first * unit))
    if until is not None and last is not None and last * unit < until:
        edges.append((last * unit, until))
    return (first, last), edges


def within(
    table: Table,
    moment: ColumnElement[int],
    scope: Scope,
    since: int | None,
    until: int | None,
) -> ColumnElement[bool]:
    """Where a row is of a scope, and of a span in the table's own unit."""
    conditions: list[ColumnElement[bool]] = [true()]
    if scope.tenant is not None:
        conditions.append(table.c.tenant == scope.tenant)
    if scope.key_id is not None:
        conditions.append(table.c.key_id == scope.key_id)
    if since is not None:
        conditions.append(moment >= since)
    if until is not None:
        conditions.append(moment < until)
    return and_(*conditions)


def first_element(caller: ColumnElement[Any], backend: Backend) -> ColumnElement[Any]:
    """The first element of a chain, as ``accounting.question.root_of`` says it."""
    arrow: ColumnElement[Any] = literal_column(f"'{CHAIN}'")
    one: ColumnElement[Any] = literal_column("1")
    if backend == "postgresql":
        return func.trim(func.split_part(caller, arrow, one))
    # The text with a further arrow behind it has one for certain.
    at = func.instr(caller.op("||")(arrow), arrow)
    return func.trim(func.substr(caller, one, at - one))


def only_terms(only: Only, backend: Backend) -> list[ColumnElement[bool]]:
    """Where a call is one of those that are wanted."""
    row = requests.c
    columns = {
        "provider": row.provider,
        "model": row.model,
        "caller": row.caller,
        "project": row.project,
        "user": row.end_user,
    }
    found: list[ColumnElement[bool]] = [
        column == wanted
        for name, column in columns.items()
        if (wanted := getattr(only, name)) is not None
    ]
    if only.root is not None:
        found.append(first_element(row.caller, backend) == only.root)
    if only.tag is not None:
        found.append(has_tag(only.tag))
    return found


def has_tag(tag: str) -> ColumnElement[bool]:
    """Whether a call has a tag; a row has them with commas between them, and no tag has one."""
    comma: ColumnElement[Any] = literal_column("','")
    listed = comma.op("||")(requests.c.tags).op("||")(comma)
    return func.replace(listed, f",{tag},", "") != listed


class _Units(FunctionElement[int]):
    """The number behind a name in ``units`` of a call, as ``images=2 audio_seconds=7``; 0 without it."""

    name = "units"
    inherit_cache = True
    type = BigInteger()


@compiles(_Units, "sqlite")
def _units_in_sqlite(element: _Units, compiler: SQLCompiler, **how: Any) -> str:
    text, name = (compiler.process(each, **how) for each in element.clauses)
    at = f"instr({text}, {name})"
    # A cast takes the digits at the beginning.
    digits = f"substr({text}, {at} + length({name}))"
    return f"CASE WHEN {at} > 0 THEN CAST({digits} AS INTEGER) ELSE 0 END"


@compiles(_Units, "postgresql")
def _units_in_postgresql(element: _Units, compiler: SQLCompiler, **how: Any) -> str:
    text, name = (compiler.process(each, **how) for each in element.clauses)
    return f"COALESCE(CAST(substring({text} from {name} || '([0-9]+)') AS BIGINT), 0)"


def _one_if(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return case((condition, 1), else_=0)


def _where(condition: ColumnElement[bool], name: str) -> ColumnElement[int]:
    return case((condition, func.coalesce(requests.c[name], 0)), else_=0)


def _counted() -> dict[str, ColumnElement[int]]:
    """What one call adds to each of the sums, as ``ledger_rows.Added`` counts it."""
    row = requests.c
    guessed, guessed_cost = row.tokens_from == "estimated", row.cost_from == "estimated"
    worked = and_(
        row.attempts > 0,
        row.operation.in_(METERED),
        row.status.in_(WORKED),
    )
    sums: dict[str, ColumnElement[int]] = {
        "requests": _one_if(row.call_id.is_not(None)),
        "failed": _one_if(row.status.not_in(UNFAILED)),
        "cost_pico": _where(~guessed_cost, "cost_pico"),
        "estimated_requests": _one_if(or_(guessed, guessed_cost)),
        "estimated_input_tokens": _where(guessed, "input_tokens"),
        "estimated_output_tokens": _where(guessed, "output_tokens"),
        "estimated_cost_pico": _where(guessed_cost, "cost_pico"),
        "unknown_tokens": _one_if(and_(worked, row.tokens_from == "none")),
        "unknown_cost": _one_if(and_(worked, row.cost_from == "none")),
        "charged_pico": _where(~guessed_cost, "charged_pico"),
        "other_cost_pico": row.other_cost_pico,
        "estimated_charged_pico": _where(guessed_cost, "charged_pico"),
    }
    for name in ("images", "audio_seconds"):
        sums[name] = case((~guessed, _Units(row.units, literal_column(f"'{name}='"))), else_=0)
    for name in SUMS:
        if name not in sums:
            sums[name] = _where(~guessed, name)
    return {name: sums[name] for name in SUMS}


COUNTED = _counted()
"""What a call's row adds to each of the sums."""
_MONEY = tuple(name for name in SUMS if name.endswith("_pico"))
_SPLIT = 10**9


def sum_query(group: list[ColumnElement[Any]], sums: Mapping[str, ColumnElement[int]]) -> Any:
    """Sums by group; money in two halves, as SQLite's SUM of integers ends at 9.2 million USD."""
    terms: list[ColumnElement[Any]] = []
    for name, term in sums.items():
        if name in _MONEY:
            terms.extend((func.sum(term // _SPLIT), func.sum(term % _SPLIT)))
        else:
            terms.append(func.sum(term))
    return select(*group, *terms).group_by(*group) if group else select(*terms)


def add_row(found: dict[tuple[Any, ...], Sums], row: Found[Any], groups: int) -> None:
    """Adds a row of ``sum_query`` to what was found of its group."""
    key, numbers = tuple(row[:groups]), iter(row[groups:])
    sums = found.setdefault(key, Sums())
    for name in SUMS:
        number = int(next(numbers) or 0)
        if name in _MONEY:
            number = number * _SPLIT + int(next(numbers) or 0)
        setattr(sums, name, getattr(sums, name) + number)
