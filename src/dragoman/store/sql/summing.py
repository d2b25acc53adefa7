"""Questions to the ledger's sums: any span of time, by any of what they are kept by.

A span is made of whole days, the whole hours at its ends, and the calls of the hours that it cuts: each
from the table that has them, so that the answer is exact and a year costs no more than its days. Labels
are kept by the day alone; of a day that a question about them cuts, the calls are read, by their ids,
which are in the order of time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import case, func, literal_column, select, true

from dragoman.accounting.ports import Scope, Sums
from dragoman.accounting.question import LABELS, Key, Question
from dragoman.accounting.report import time_of
from dragoman.core.errors import invalid
from dragoman.core.ids import uuid7_of
from dragoman.store.ledger_tables import SUMS, hours, requests
from dragoman.store.sql.ledger_rows import HOUR_US, LONGEST_LABEL
from dragoman.store.sql.sums import (
    COUNTED,
    Bounds,
    add_row,
    first_element,
    split,
    sum_query,
    within,
)
from dragoman.store.tables import meta
from dragoman.store.usage_tables import days, labels

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, FromClause, Select, Table
    from sqlalchemy.ext.asyncio import AsyncConnection

    from dragoman.store.engine import Backend, Database

DAY_US = 24 * HOUR_US
KEPT_SINCE = "ledger_kept_since_us"
"""The counter that says before which moment single calls were removed."""
SLACK_S = 60
"""By how much an id may be older than the moment that its row tells."""
_EPOCH = date(1970, 1, 1)
_MANY = 500
"""Rows beyond which their addition is left to a thread."""


class _Source(NamedTuple):
    """A table of sums, or the calls: what its days are, what it counts, and who it tells apart."""

    table: Table
    day: ColumnElement[Any]
    counted: Mapping[str, ColumnElement[int]]
    names: dict[str, ColumnElement[Any]]
    unit: int
    """Microseconds of what its sums are kept by; 1: it keeps calls."""
    moment: ColumnElement[Any]


def _source(table: Table, unit: int, moment: ColumnElement[Any]) -> _Source:
    names: dict[str, ColumnElement[Any]] = {
        name: table.c[name] for name in ("tenant", "provider", "model")
    }
    names["key"] = table.c.key_id
    day = moment if unit == DAY_US else moment // (DAY_US // unit)
    kept: Mapping[str, ColumnElement[int]] = {name: table.c[name] for name in SUMS if unit > 1}
    return _Source(table, day, kept or COUNTED, names, unit, moment)


_DAYS = _source(days, DAY_US, days.c.day)
_HOURS = _source(hours, HOUR_US, hours.c.hour)
_LABELS = _source(labels, DAY_US, labels.c.day)
_CALLS = _source(requests, 1, requests.c.created_us)
_CALLS.names["provider"] = func.coalesce(requests.c.provider, "")
_CALLS.names["model"] = func.coalesce(requests.c.model, "")
_WRITTEN = {"caller": "caller", "project": "project", "user": "end_user"}
"""Columns of calls that have what callers write."""
for _name, _column in _WRITTEN.items():
    _CALLS.names[_name] = func.substr(requests.c[_column], 1, LONGEST_LABEL)
    _LABELS.names[_name] = labels.c.name
_LABELS.names["tag"] = labels.c.name


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a span that one table answers for."""

    source: _Source
    bounds: Bounds


class Summing:
    """Sums of a ledger in SQLite or PostgreSQL, as ``accounting.question.Reports`` wants them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ask(self, question: Question, most: int) -> dict[Key, Sums]:
        """The sums of at most ``most`` groups, by their names in the order of the question's."""
        kinds = question.kinds
        if len(kinds) > 1:
            raise invalid(
                f"{' and '.join(sorted(kinds))} cannot be asked for together: sums are kept by each of "
                "them alone.",
                "group",
                "invalid_field_value",
            )
        found: dict[tuple[Any, ...], Sums] = {}
        months: list[int] = []
        async with self._database.read() as connection:
            pieces = _pieces(question.scope, labelled=bool(kinds))
            await self._check_kept(connection, pieces)
            if "month" in question.group:
                months = await _months(connection, question.scope)
            for piece in pieces:
                query = self._query(question, piece, months).limit(most + 1)
                rows = (await connection.execute(query)).all()
                await _merge(found, rows, len(question.group))
        if len(found) > most:
            raise invalid(
                f"That are more than {most} groups: say a shorter span, or filter.",
                "group",
                "invalid_field_value",
            )
        return {_told(question, key, months): sums for key, sums in found.items()}

    async def _check_kept(self, connection: AsyncConnection, pieces: Sequence[_Piece]) -> None:
        """Refuses to count calls that were removed; whole hours, or days of labels, still know them."""
        starts = [
            piece.bounds[0] or 0
            for piece in pieces
            if piece.source is _CALLS and piece.bounds[0] != piece.bounds[1]
        ]
        if not starts:
            return
        asked = select(meta.c.number).where(meta.c.name == KEPT_SINCE)
        kept = (await connection.execute(asked)).scalar_one_or_none() or 0
        if min(starts) < kept:
            raise invalid(
                f"Single calls before {time_of(kept)} were removed, so that since and until must be "
                "whole hours there, and whole UTC days where callers are told apart.",
                "since",
                "invalid_field_value",
            )

    def _query(self, question: Question, piece: _Piece, months: list[int]) -> Select[Any]:
        source = piece.source
        if source is _CALLS and "tag" in question.kinds:
            source, each = _each_tag(source, self._database.backend)
        else:
            each = None
        terms = [self._term(source, name, months) for name in question.group]
        query: Select[Any] = sum_query(terms, source.counted)
        if each is not None:
            query = query.select_from(requests.join(each, true())).where(requests.c.tags != "")
        query = query.where(
            within(source.table, source.moment, question.scope, *_of_unit(source, piece.bounds))
        )
        for name in ("provider", "model"):
            if (wanted := getattr(question, name)) is not None:
                query = query.where(source.names[name] == wanted)
        for name in LABELS:
            if (wanted := getattr(question, name)) is not None:
                query = query.where(self._term(source, name, months) == wanted[:LONGEST_LABEL])
        if source is _LABELS:
            query = query.where(labels.c.kind == next(iter(question.kinds)))
        if piece.source is _CALLS:
            query = query.where(*_ids(question.scope, piece.bounds))
        return query if terms else query.having(func.count() > 0)

    def _term(self, source: _Source, name: str, months: list[int]) -> ColumnElement[Any]:
        match name:
            case "day":
                return source.day
            case "month":
                return _month(source.day, months)
            case "root":
                return first_element(source.names["caller"], self._database.backend)
            case _:
                return source.names[name]

    async def total(self, scope: Scope) -> Sums:
        """The totals of a scope."""
        found = await self.ask(Question(scope), 1)
        return found.get((), Sums())

    async def by_hour(self, scope: Scope) -> dict[int, Sums]:
        """The totals of each hour, counted from 1970."""
        found: dict[tuple[Any, ...], Sums] = {}
        whole, edges = split(scope.since_us, scope.until_us)
        pieces = [_Piece(_CALLS, edge) for edge in edges]
        if whole is not None:
            pieces.append(_Piece(_HOURS, _in_us(whole, HOUR_US)))
        async with self._database.read() as connection:
            for piece in pieces:
                source = piece.source
                hour = source.moment // (HOUR_US // source.unit)
                query = sum_query([hour], source.counted).where(
                    within(source.table, source.moment, scope, *_of_unit(source, piece.bounds))
                )
                await _merge(found, (await connection.execute(query)).all(), 1)
        return {key[0]: sums for key, sums in found.items()}

    async def by_day(self, scope: Scope) -> dict[int, Sums]:
        """The totals of each UTC day, counted from 1970."""
        found = await self.ask(Question(scope, ("day",)), 1_000_000)
        return {(date.fromisoformat(key[0]) - _EPOCH).days: sums for key, sums in found.items()}

    async def by_model(self, scope: Scope) -> dict[tuple[str, str], Sums]:
        """The totals of each provider and model."""
        found = await self.ask(Question(scope, ("provider", "model")), 1_000_000)
        return {(key[0], key[1]): sums for key, sums in found.items()}


def _each_tag(source: _Source, backend: Backend) -> tuple[_Source, FromClause]:
    """The calls once for each of their tags."""
    tags = requests.c.tags
    if backend == "postgresql":
        each = func.unnest(func.string_to_array(tags, ",")).table_valued("value", name="each_tag")
        each = each.render_derived()
    else:
        # No sign of a tag means anything in JSON (``accounting/tags.py``).
        quoted = func.replace(tags, ",", '","')
        listed = literal_column("'[\"'").op("||")(quoted).op("||")(literal_column("'\"]'"))
        each = func.json_each(listed).table_valued("value", name="each_tag")
    names = {**source.names, "tag": each.c.value}
    return source._replace(names=names), each


def _pieces(scope: Scope, *, labelled: bool) -> list[_Piece]:
    """The parts of a span, each with the table that is asked for it."""
    whole, edges = split(scope.since_us, scope.until_us, DAY_US)
    pieces = []
    if whole is not None:
        pieces.append(_Piece(_LABELS if labelled else _DAYS, _in_us(whole, DAY_US)))
    for edge in edges:
        if labelled:
            pieces.append(_Piece(_CALLS, edge))
            continue
        by_hour, rest = split(*edge)
        if by_hour is not None:
            pieces.append(_Piece(_HOURS, _in_us(by_hour, HOUR_US)))
        pieces += [_Piece(_CALLS, part) for part in rest]
    return pieces


def _in_us(bounds: Bounds, unit: int) -> Bounds:
    first, last = bounds
    return None if first is None else first * unit, None if last is None else last * unit


def _of_unit(source: _Source, bounds: Bounds) -> Bounds:
    """Bounds of microseconds in what the table's moments are counted in."""
    first, last = bounds
    return (
        None if first is None else first // source.unit,
        None if last is None else last // source.unit,
    )


def _ids(scope: Scope, bounds: Bounds) -> list[ColumnElement[bool]]:
    """Where calls of a span are by their ids; a key has an index of its own."""
    return [] if scope.key_id is not None else ids_within(bounds)


def ids_within(bounds: Bounds) -> list[ColumnElement[bool]]:
    """Where calls of a span are by their ids, which the table is ordered by."""
    first, last = bounds
    found: list[ColumnElement[bool]] = []
    if first is not None:
        found.append(requests.c.call_id >= uuid7_of(max(0, first / 1_000_000 - SLACK_S), 0))
    if last is not None:
        found.append(requests.c.call_id < uuid7_of(max(0, last / 1_000_000 + SLACK_S), 0))
    return found


async def _months(connection: AsyncConnection, scope: Scope) -> list[int]:
    """The first days of all months that the span, or the ledger where it has no end, touches."""
    ends = []
    for said, term in ((scope.since_us, func.min), (scope.until_us, func.max)):
        if said is not None:
            ends.append(said // DAY_US)
        else:
            ends.append((await connection.execute(select(term(days.c.day)))).scalar_one() or 0)
    first, last = (_EPOCH + timedelta(days=day) for day in ends)
    found = []
    month = first.replace(day=1)
    while month <= last:
        found.append((month - _EPOCH).days)
        month = (month + timedelta(days=32)).replace(day=1)
    return found or [0]


def _month(day: ColumnElement[Any], months: list[int]) -> ColumnElement[Any]:
    """The place of a day's month among ``months``; written out, as GROUP BY wants the same text again."""
    bounds: list[tuple[ColumnElement[bool], ColumnElement[Any]]] = [
        (day < literal_column(str(first)), literal_column(str(place)))
        for place, first in enumerate(months[1:])
    ]
    last: ColumnElement[Any] = literal_column(str(len(months) - 1))
    return case(*bounds, else_=last) if bounds else day * literal_column("0")


async def _merge(found: dict[tuple[Any, ...], Sums], rows: Sequence[Any], groups: int) -> None:
    def add() -> None:
        for row in rows:
            add_row(found, row, groups)

    if len(rows) > _MANY:
        await asyncio.to_thread(add)
    else:
        add()


def _told(question: Question, key: tuple[Any, ...], months: list[int]) -> Key:
    """The names of a group as they are told."""
    return tuple(
        (_EPOCH + timedelta(days=value)).isoformat()
        if name == "day"
        else (_EPOCH + timedelta(days=months[value])).isoformat()[:7]
        if name == "month"
        else str(value)
        for name, value in zip(question.group, key, strict=True)
    )
