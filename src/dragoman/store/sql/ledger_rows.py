"""What a batch of entries is to the driver: parameters of rows, and what they add to the hours.

All of this is work for each call, behind the data path but on the same core, so it is spelt out.
What was measured: ``sqlite3`` asks its adapters about every parameter that is no plain int, float
or str, so that each None costs as much as four numbers and a bool as well; to SQLite an unknown
therefore goes as ``UNKNOWN``, which no count, time or text of ours is, and ``NULLIF`` makes it NULL.
Both tables are written without a look at what is there (``ON CONFLICT DO NOTHING``); the sums are
made here of those calls that were new.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgspec
from sqlalchemy import bindparam, func, literal_column
from sqlalchemy.dialects import postgresql, sqlite

from dragoman.accounting.entry import AttemptRow, Consumed, Entry, RequestRow
from dragoman.accounting.ports import MEDIA
from dragoman.store.budget_tables import charges
from dragoman.store.ledger_tables import SETTLED, SUMS, attempts, hours, requests
from dragoman.store.settling_tables import unsettled
from dragoman.store.sql.budget_charges import paid
from dragoman.store.sql.direct import Step, run_all
from dragoman.store.usage_tables import days, labels

if TYPE_CHECKING:
    from sqlalchemy import Column, ColumnElement, Table
    from sqlalchemy.engine import Dialect
    from sqlalchemy.ext.asyncio import AsyncConnection

HOUR_US = 3_600_000_000
LONGEST_LABEL = 200
"""Characters of a name that sums are kept by: what fits into an index of PostgreSQL's with all the rest."""
UNKNOWN = -1

Row: TypeAlias = tuple[Any, ...]

WORKED = ("complete", "client_cut", "upstream_cut", "timeout", "unknown")
"""Ends of a call that a provider has worked on."""
UNFAILED = ("complete", "client_cut")
METERED = ("chat", "embeddings")
"""Operations that consume tokens."""


class Spelling(NamedTuple):
    """How a driver is given what is unknown, no, and yes."""

    unknown: int | None
    flags: tuple[int, int]


class Statements(NamedTuple):
    """What a batch runs, as the driver takes it."""

    request: str
    attempt: str
    ours: str
    """Of these calls, those that a batch has inserted."""
    hours: str
    days: str
    labels: str
    charge: str
    spelling: Spelling
    question: str


def statements(dialect: Dialect) -> Statements:
    """The statements in the words of a database."""
    if dialect.name == "postgresql":
        ours = "SELECT call_id FROM ledger_requests WHERE call_id = ANY($1) AND batch = $2"
        spelling = Spelling(None, (False, True))
    else:
        ours = (
            "SELECT call_id FROM ledger_requests"
            " WHERE call_id IN (SELECT value FROM json_each(?)) AND batch = ?"
        )
        spelling = Spelling(UNKNOWN, (0, 1))
    return Statements(
        insert_of(dialect, requests),
        insert_of(dialect, attempts),
        ours,
        _add_to(dialect, hours),
        _add_to(dialect, days),
        _add_to(dialect, labels),
        insert_of(dialect, charges),
        spelling,
        insert_of(dialect, unsettled),
    )


def calls_parameter(dialect: Dialect, calls: list[str]) -> list[str] | str:
    """Any number of calls as the one parameter that ``Statements.ours`` has for them."""
    return calls if dialect.name == "postgresql" else msgspec.json.encode(calls).decode()


def insert_of(dialect: Dialect, table: Table) -> str:
    """Inserts a row unless it is there; the parameters are the table's columns in their order."""
    columns = inserted(table)
    if dialect.name == "postgresql":
        given: dict[str, Any] = {column.name: bindparam(column.name) for column in columns}
        plain = postgresql.insert(table).values(given).on_conflict_do_nothing()
        return _compiled(dialect, plain, columns)
    values = {column.name: _told(column) for column in columns}
    spelt = sqlite.insert(table).values(values).on_conflict_do_nothing()
    return _compiled(dialect, spelt, columns)


def inserted(table: Table) -> list[Column[Any]]:
    """The columns that a new row has; what later figures bring is empty until then."""
    return [column for column in table.columns if column.name not in SETTLED]


def _told(column: Column[Any]) -> ColumnElement[Any]:
    given: ColumnElement[Any] = bindparam(column.name)
    unknown: ColumnElement[Any] = literal_column(str(UNKNOWN))
    return func.nullif(given, unknown) if column.nullable else given


def _add_to(dialect: Dialect, table: Table) -> str:
    """Adds to the sums of a table; the parameters are its columns in their order."""
    make = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
    statement = make(table)
    return _compiled(
        dialect,
        statement.on_conflict_do_update(
            index_elements=list(table.primary_key),
            set_={name: table.c[name] + statement.excluded[name] for name in SUMS},
        ),
        list(table.columns),
    )


def _compiled(dialect: Dialect, statement: Any, columns: list[Column[Any]]) -> str:
    compiled = statement.compile(dialect=dialect)
    assert list(compiled.positiontup or ()) == [column.name for column in columns]
    return str(compiled)


_OF_OLD = 12
"""So many of what was consumed stand in the midst of a row, and the rest, which came later, near its end."""


def _consumed(used: Consumed, unknown: int | None) -> Row:
    return (
        unknown if used.input_tokens is None else used.input_tokens,
        unknown if used.output_tokens is None else used.output_tokens,
        unknown if used.cache_read_tokens is None else used.cache_read_tokens,
        unknown if used.cache_write_tokens is None else used.cache_write_tokens,
        unknown if used.cache_write_1h_tokens is None else used.cache_write_1h_tokens,
        unknown if used.reasoning_tokens is None else used.reasoning_tokens,
        unknown if used.audio_input_tokens is None else used.audio_input_tokens,
        unknown if used.audio_output_tokens is None else used.audio_output_tokens,
        unknown if used.web_searches is None else used.web_searches,
        used.tokens_from,
        unknown if used.cost_pico is None else used.cost_pico,
        used.cost_from,
        unknown if used.image_input_tokens is None else used.image_input_tokens,
        unknown if used.image_output_tokens is None else used.image_output_tokens,
        used.units,
        used.service_tier,
    )


def question_values(row: AttemptRow, due_ms: int, spelling: Spelling) -> Row:
    """The parameters of an attempt that is to be asked about."""
    return (
        row.attempt_id,
        row.call_id,
        row.provider,
        row.model,
        row.tenant,
        spelling.unknown if row.credential is None else row.credential,
        row.upstream_id,
        row.created_us,
        due_ms,
        0,
    )


def entry_values(entry: Entry, batch: int, spelling: Spelling) -> tuple[Row, list[Row]]:
    """The parameters of a call's row, and of its attempts'; what both show of tokens is spelt once."""
    shown, unknown = entry.request.consumed, spelling.unknown
    used = _consumed(shown, unknown)
    return _request_values(entry.request, used, batch, spelling), [
        _attempt_values(
            row, used if row.consumed is shown else _consumed(row.consumed, unknown), spelling
        )
        for row in entry.attempts
    ]


def _request_values(row: RequestRow, used: Row, batch: int, spelling: Spelling) -> Row:
    unknown, flags = spelling
    return (
        row.call_id,
        row.request_id,
        row.trace_id,
        row.tenant,
        row.key_id,
        row.caller,
        row.dialect,
        row.operation,
        row.requested_model,
        unknown if row.provider is None else row.provider,
        unknown if row.model is None else row.model,
        row.status,
        unknown if row.http_status is None else row.http_status,
        flags[row.stream],
        row.attempts,
        *used[:_OF_OLD],
        unknown if row.upstream_id is None else row.upstream_id,
        unknown if row.first_event_s is None else row.first_event_s,
        unknown if row.duration_s is None else row.duration_s,
        row.created_us,
        unknown if row.error_code is None else row.error_code,
        row.losses,
        batch,
        row.adjusted,
        row.choice,
        row.project,
        row.end_user,
        row.tags,
        *used[_OF_OLD:],
        unknown if row.charged_pico is None else row.charged_pico,
        row.other_cost_pico,
    )


def _attempt_values(row: AttemptRow, used: Row, spelling: Spelling) -> Row:
    unknown, flags = spelling
    return (
        row.call_id,
        row.attempt_id,
        row.number,
        row.tenant,
        row.provider,
        row.model,
        unknown if row.credential is None else row.credential,
        row.status,
        unknown if row.upstream_status is None else row.upstream_status,
        unknown if row.upstream_id is None else row.upstream_id,
        unknown if row.error_kind is None else row.error_kind,
        *used[:_OF_OLD],
        row.price_source,
        row.price_from,
        unknown if row.first_event_s is None else row.first_event_s,
        unknown if row.duration_s is None else row.duration_s,
        row.created_us,
        unknown if row.error_code is None else row.error_code,
        *used[_OF_OLD:],
        flags[row.served],
        row.terms,
        unknown if row.charged_pico is None else row.charged_pico,
        *(paid(row.charge) or (unknown, unknown)),
    )


class SumRows(NamedTuple):
    """The parameters of ``Statements.hours``, ``days`` and ``labels``."""

    hours: list[Row]
    days: list[Row]
    labels: list[Row]


async def add_sums(connection: AsyncConnection, made: Statements, rows: SumRows) -> None:
    """Adds to all sums; those who write and those who settle do it in the one order, so that none deadlock."""
    await run_all(connection, [*map(Step, (made.hours, made.days, made.labels), rows)])


def difference(before: SumRows, after: SumRows) -> SumRows:
    """What is to be added where the same calls count otherwise than before."""
    return SumRows(*map(_more, before, after))


def _more(before: list[Row], after: list[Row]) -> list[Row]:
    found: dict[Row, list[int]] = {}
    for rows, sign in ((before, -1), (after, 1)):
        for row in rows:
            key, numbers = row[: -len(SUMS)], row[-len(SUMS) :]
            _sum(found, key, [sign * number for number in numbers])
    return _in_order({key: numbers for key, numbers in found.items() if any(numbers)})


class Added:
    """What calls add to the sums of hours, days and labels; ``ledger.py`` counts rows in SQL alike.

    Calls that count alike are added up first, and what their kind means is asked once for all. The rows
    are in one order for all who write, so that none deadlock.
    """

    __slots__ = ("_kinds",)

    def __init__(self) -> None:
        self._kinds: dict[Row, list[int]] = {}

    def count(self, rows: Iterable[RequestRow]) -> None:
        """Adds calls."""
        kinds = self._kinds
        for row in rows:
            used = row.consumed
            kind = (
                row.tenant,
                row.key_id,
                row.created_us // HOUR_US,
                row.provider,
                row.model,
                row.caller,
                row.project,
                row.end_user,
                row.tags,
                row.status,
                row.operation,
                row.attempts > 0,
                used.tokens_from,
                used.cost_from,
            )
            sums = kinds.get(kind)
            if sums is None:
                sums = kinds[kind] = [0] * _ADDED
            sums[0] += 1
            sums[1] += used.input_tokens or 0
            sums[2] += used.output_tokens or 0
            sums[6] += used.cost_pico or 0
            sums[7] += row.charged_pico or 0
            # What most calls have none of.
            if used.cache_read_tokens:
                sums[3] += used.cache_read_tokens
            if used.cache_write_tokens:
                sums[4] += used.cache_write_tokens
            if used.reasoning_tokens:
                sums[5] += used.reasoning_tokens
            if row.other_cost_pico:
                sums[8] += row.other_cost_pico
            media = _media_of(used)
            if any(media):
                sums[_PLAIN:] = [a + b for a, b in zip(sums[_PLAIN:], media, strict=True)]

    def add(self, kind: Row, numbers: list[int]) -> None:
        """Adds calls of one kind that are summed up already."""
        _sum(self._kinds, kind, numbers)

    def rows(self) -> SumRows:
        """What is to be added to each of the tables."""
        by_hour: dict[Row, list[int]] = {}
        by_day: dict[Row, list[int]] = {}
        by_label: dict[Row, list[int]] = {}
        for kind, added in self._kinds.items():
            tenant, key_id, hour, provider, model, caller, project, user, tags, *how = kind
            more = _counted(added, *how)
            place = (provider or "", model or "")
            _sum(by_hour, (tenant, key_id, hour, *place), more)
            _sum(by_day, (tenant, key_id, hour // 24, *place), more)
            for label, name in labels_of(caller, project, user, tags):
                _sum(by_label, (tenant, label, hour // 24, name, key_id, *place), more)
        return SumRows(_in_order(by_hour), _in_order(by_day), _in_order(by_label))


def labels_of(caller: str, project: str, user: str, tags: str) -> list[tuple[str, str]]:
    """The labels of a call, with their kinds: one caller, and whatever else it has."""
    found = [("caller", caller[:LONGEST_LABEL])]
    if project:
        found.append(("project", project[:LONGEST_LABEL]))
    if user:
        found.append(("user", user[:LONGEST_LABEL]))
    if tags:
        found += [("tag", tag) for tag in tags.split(",")]
    return found


def _sum(found: dict[Row, list[int]], key: Row, more: list[int]) -> None:
    sums = found.get(key)
    found[key] = [a + b for a, b in zip(sums, more, strict=True)] if sums else more


def _in_order(found: dict[Row, list[int]]) -> list[Row]:
    return [(*key, *found[key]) for key in sorted(found)]


_PLAIN = 9
_UNIT = re.compile(r"(\w+)=(\d{1,15})")
_ADDED = _PLAIN + len(MEDIA)


def _media_of(used: Consumed) -> tuple[int, ...]:
    """What a call adds to ``MEDIA``."""
    units = dict(_UNIT.findall(used.units)) if used.units else {}
    return (
        used.audio_input_tokens or 0,
        used.audio_output_tokens or 0,
        used.image_input_tokens or 0,
        used.image_output_tokens or 0,
        used.web_searches or 0,
        int(units.get("images", 0)),
        int(units.get("audio_seconds", 0)),
    )


def _counted(
    added: Sequence[int],
    status: str,
    operation: str,
    tried: bool,  # noqa: FBT001 -- a part of the kind, by position
    tokens_from: str,
    cost_from: str,
) -> list[int]:
    """What calls of one kind add to each of ``SUMS``; estimated numbers stand apart (D25)."""
    calls, read, written, cache_read, cache_write, reasoning, pico, charged, other, *media = added
    guessed, guessed_cost = tokens_from == "estimated", cost_from == "estimated"
    worked = tried and operation in METERED and status in WORKED
    real = 0 if guessed else 1
    return [
        calls,
        0 if status in UNFAILED else calls,
        read * real,
        written * real,
        cache_read * real,
        cache_write * real,
        reasoning * real,
        0 if guessed_cost else pico,
        calls if guessed or guessed_cost else 0,
        read if guessed else 0,
        written if guessed else 0,
        pico if guessed_cost else 0,
        calls if worked and tokens_from == "none" else 0,
        calls if worked and cost_from == "none" else 0,
        0 if guessed_cost else charged,
        other,
        charged if guessed_cost else 0,
        *(each * real for each in media),
    ]
