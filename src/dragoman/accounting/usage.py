"""Reports of what was used: totals, sums by groups, or a row for each call, as JSON, CSV or lines of JSON.

Sums of groups are few and come whole, in pages; rows of calls may be millions and come in pieces of some
thousand, so that neither memory nor the event loop pays for all of them at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct, field

from dragoman.accounting.asked import DIMENSIONS, FEW_LINES, ONLY, Asked
from dragoman.accounting.ports import Ledger, Line, Only, Scope, Sums
from dragoman.accounting.question import Dimension, Key, Reports
from dragoman.accounting.report import Shown, Totals, shown, totals
from dragoman.accounting.search import Hit
from dragoman.accounting.sheet import CONTENT_TYPE as CSV
from dragoman.accounting.sheet import sheet
from dragoman.core.cursor import bad_cursor, cursor_of, place_of

JSON = "application/json"
JSON_LINES = "application/jsonl; charset=utf-8"
MOST_GROUPS = 100_000
_TIMES = frozenset({"day", "month"})
_MEMBER = {"key": "key_id", "user": "end_user"}
"""What a dimension is called in an answer, where it is another name."""
_EMPTY_IS_NONE = frozenset({"provider", "model"})
NAMES = frozenset(_MEMBER.get(name, name) for name in DIMENSIONS)
"""Members that groups are named by."""
_encoder = msgspec.json.Encoder()


class Document(Struct, frozen=True):
    """A report to be sent: whole, or in pieces that somebody closes."""

    content_type: str
    body: bytes = b""
    pieces: AsyncIterator[bytes] | None = None
    name: str = ""
    """What a file of it is called; empty: it is none."""


class Grouped(Struct, frozen=True):
    """A page of sums, and the totals of all of them."""

    data: list[Totals]
    totals: Totals
    has_more: bool
    next_cursor: str | None
    """Where the next page begins; None at the end."""
    object: str = field(default="list")


class Page(Struct, frozen=True):
    """What is told behind the rows of a page of calls."""

    has_more: bool
    next_cursor: str | None


class Exports(Protocol):
    """A ledger whose calls can be read from end to end, whoever's they are."""

    def calls(self, scope: Scope, only: Only) -> AsyncIterator[list[Hit]]:
        """All calls of a scope, the oldest first, in lists of some thousands."""
        ...


async def own_usage(ledger: Ledger, reports: Reports, scope: Scope, asked: Asked) -> Document:
    """The report of one key's own calls."""
    if not asked.calls:
        return await sums_document(reports, scope, asked)
    if asked.form == "json":
        return Document(JSON, await _page_of_calls(ledger, scope, asked))
    lines = ledger.lines(scope, asked.limit, only=only_of(asked))
    pages = ([(line,) for line in page] async for page in lines)
    return _stream(pages, asked, (), _nobody)


def all_calls(exports: Exports, scope: Scope, asked: Asked) -> Document:
    """Every call of a scope with whose it is, the oldest first, as CSV or lines of JSON."""
    pages = (
        [(hit.line, hit.tenant, hit.key_id) for hit in page]
        async for page in exports.calls(scope, only_of(asked))
    )
    return _stream(pages, asked, ("tenant", "key_id"), lambda row: row[1:])


def only_of(asked: Asked) -> Only:
    """Which calls are asked for."""
    return Only(**{name: getattr(asked, name) for name in ONLY})


# --------------------------------------------------------------------------- sums


async def sums_document(reports: Reports, scope: Scope, asked: Asked) -> Document:
    """Totals, or a page of sums by groups."""
    question = asked.question(scope)
    if asked.form == "csv":
        found = await reports.ask(question, MOST_GROUPS)
        rows, _ = page_of_sums(found, asked, asked.limit or MOST_GROUPS)
        return Document(
            CSV, await asyncio.to_thread(sheet_of_sums, rows, asked.group), name="usage"
        )
    if not asked.group:
        found = await reports.ask(question, 1)
        return Document(JSON, _encoder.encode(totals(found.get((), Sums()))))
    return Document(JSON, _encoder.encode(await grouped(reports, scope, asked)))


async def grouped(reports: Reports, scope: Scope, asked: Asked) -> Grouped:
    """A page of sums by groups, with the totals of all."""
    found = await reports.ask(asked.question(scope), MOST_GROUPS)
    all_of_it = await reports.ask(msgspec.structs.replace(asked.question(scope), group=()), 1)
    rows, after = page_of_sums(found, asked, asked.limit or FEW_LINES)
    return Grouped(
        data=[totals(sums, **names_of(asked.group, key)) for key, sums in rows],
        totals=totals(all_of_it.get((), Sums())),
        has_more=after is not None,
        next_cursor=after,
    )


def names_of(group: Sequence[Dimension], key: Key) -> dict[str, str | None]:
    """The names of a group as members of an answer."""
    return {
        _MEMBER.get(name, name): None if name in _EMPTY_IS_NONE and not value else value
        for name, value in zip(group, key, strict=True)
    }


def page_of_sums(
    found: dict[Key, Sums], asked: Asked, limit: int
) -> tuple[list[tuple[Key, Sums]], str | None]:
    """A page of groups in their order, and the cursor of the next one.

    By name the newest times come first and all else by the alphabet; by cost the dearest.
    """

    def place(key: Key, cost: int) -> list[Any]:
        names = [
            -int(value.replace("-", "")) if name in _TIMES else value
            for name, value in zip(asked.group, key, strict=True)
        ]
        return [-cost, *names] if asked.sort == "cost" else names

    def rank(item: tuple[Key, Sums]) -> list[Any]:
        key, sums = item
        return place(key, sums.cost_pico + sums.estimated_cost_pico)

    rows = sorted(found.items(), key=rank)
    before = place_of(asked.cursor, tuple[str, ...])
    if before is not None:
        try:
            *key, cost = before
            passed = place(tuple(key), int(cost))
        except ValueError:
            raise bad_cursor() from None
        rows = [row for row in rows if rank(row) > passed]
    page = rows[:limit]
    if len(rows) <= limit:
        return page, None
    names, sums = page[-1]
    return page, cursor_of([*names, str(sums.cost_pico + sums.estimated_cost_pico)])


_SUMMED = tuple(
    name for name in Totals.__struct_fields__ if name != "estimated" and name not in NAMES
)


def sheet_of_sums(rows: list[tuple[Key, Sums]], group: Sequence[Dimension]) -> bytes:
    """Groups as CSV, a column for each number."""
    names = [_MEMBER.get(name, name) for name in group]
    estimated = ("requests", "input_tokens", "output_tokens", "cost_usd")
    columns = (*names, *_SUMMED, *(f"estimated_{name}" for name in estimated))
    cells = []
    for key, sums in rows:
        told = totals(sums)
        cells.append(
            (
                *key,
                *(getattr(told, name) for name in _SUMMED),
                *(getattr(told.estimated, name) for name in estimated),
            )
        )
    return sheet(columns, cells)


# --------------------------------------------------------------------------- calls


async def _page_of_calls(ledger: Ledger, scope: Scope, asked: Asked) -> bytes:
    limit = asked.limit or FEW_LINES
    before = place_of(asked.cursor, tuple[int, str])
    pieces: list[bytes] = []
    count, more = 0, False
    last: Line | None = None
    async for lines in ledger.lines(scope, limit + 1, before=before, only=only_of(asked)):
        shown_now = lines[: limit - count]
        more = more or len(lines) > len(shown_now)
        count += len(shown_now)
        if shown_now:
            last = shown_now[-1]
            pieces.append(await asyncio.to_thread(_members, shown_now))
    after = cursor_of((last.created_us, last.call_id)) if more and last is not None else None
    rest = _encoder.encode(Page(more, after))[1:]
    return b'{"object":"list","data":[' + b",".join(pieces) + b"]," + rest


def _members(lines: Sequence[Line]) -> bytes:
    """The lines as members of a JSON array, without its brackets."""
    return _encoder.encode([shown(line) for line in lines])[1:-1]


def _stream(
    pages: AsyncIterator[list[Any]],
    asked: Asked,
    more: tuple[str, ...],
    whose: Callable[[Any], tuple[str, ...]],
) -> Document:
    """Rows of calls, in pieces; ``more`` names what stands before a call, ``whose`` tells it."""
    columns = (*more, *Shown.__struct_fields__)

    def cells(row: Any) -> tuple[Any, ...]:
        return (*whose(row), *(_flat(value) for value in msgspec.structs.astuple(shown(row[0]))))

    def as_csv(page: list[Any]) -> bytes:
        return sheet(columns, map(cells, page), head=False)

    def as_lines(page: list[Any]) -> bytes:
        return _encoder.encode_lines(
            [
                dict(zip(more, whose(row), strict=True)) | msgspec.structs.asdict(shown(row[0]))
                for row in page
            ]
        )

    is_csv = asked.form == "csv"
    head = sheet(columns, ()) if is_csv else b""
    return Document(
        CSV if is_csv else JSON_LINES,
        pieces=_pieces(head, pages, as_csv if is_csv else as_lines),
        name="calls",
    )


def _nobody(_: Any) -> tuple[str, ...]:
    return ()


def _flat(value: Any) -> Any:
    return " ".join(value) if isinstance(value, list) else value


async def _pieces(
    head: bytes, pages: AsyncIterator[list[Any]], encode: Callable[[list[Any]], bytes]
) -> AsyncIterator[bytes]:
    begun = False
    async for page in pages:
        piece = await asyncio.to_thread(encode, page)
        yield piece if begun else head + piece
        begun = True
    if not begun:
        yield head
