"""What a tenant owes for a month: a line for each of its keys and models, in whole 10⁻¹² USD until it is told.

The lines are the ledger's own sums of the month's UTC days, so that their total is the ledger's to the last
digit. What somebody has estimated stands apart (D25), as does what nobody knows yet; a month is final when it
is over and nothing of it is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import msgspec
from msgspec import Struct, field

from dragoman.accounting.ports import Scope, Sums
from dragoman.accounting.question import Key, Question, Reports
from dragoman.accounting.report import add, time_of, usd
from dragoman.accounting.sheet import sheet
from dragoman.core.errors import CallerError

MOST_LINES = 100_000
_MONTH = re.compile(r"(?:19[7-9]\d|20\d\d)-(?:0[1-9]|1[0-2])")
_DECEMBER = 12


class Item(Struct, frozen=True):
    """What one key has used of one model; amounts in USD."""

    key_id: str
    provider: str | None
    model: str | None
    requests: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    charged_usd: str
    estimated_usd: str
    """Charged for what somebody has estimated."""
    total_usd: str


class Invoice(Struct, frozen=True):
    """One tenant's month."""

    tenant: str
    month: str
    since: str
    until: str
    final: bool
    """Nothing of it changes any more, unless a call of which nobody knows is reconciled later."""
    requests: int
    unknown_cost: int
    """Calls that a provider worked on and of which nobody knows yet what they cost."""
    charged_usd: str
    estimated_usd: str
    total_usd: str
    cost_usd: str
    """What providers were paid for it, all attempts together, as far as anybody knows."""
    lines: list[Item]
    object: str = field(default="invoice")
    currency: str = field(default="USD")


def month_of(text: str) -> tuple[int, int]:
    """The first moment of a month written 2026-01, and of the next, in Unix microseconds.

    Raises:
        CallerError: it is none.
    """
    if not _MONTH.fullmatch(text):
        raise CallerError(
            "not_found",
            f"There is no month {text[:40]!a}; months are written 2026-01.",
            code="not_found",
            param="month",
        )
    year, month = int(text[:4]), int(text[5:])
    first = datetime(year, month, 1, tzinfo=UTC)
    after = first.replace(year=year + month // _DECEMBER, month=month % _DECEMBER + 1)
    return int(first.timestamp()) * 1_000_000, int(after.timestamp()) * 1_000_000


async def invoices(reports: Reports, month: str, now_us: int, tenant: str | None) -> list[Invoice]:
    """The invoices of all tenants that have called in a month, or of one, which may have none.

    Raises:
        CallerError: there is no such month, or more lines than an invoice may have.
    """
    since, until = month_of(month)
    asked = Question(Scope(tenant, None, since, until), ("tenant", "key", "provider", "model"))
    found = await reports.ask(asked, MOST_LINES)
    by_tenant: dict[str, dict[Key, Sums]] = {} if tenant is None else {tenant: {}}
    for (whose, *line), sums in found.items():
        by_tenant.setdefault(whose, {})[tuple(line)] = sums
    over = now_us >= until
    return [invoice_of(whose, month, by_tenant[whose], over=over) for whose in sorted(by_tenant)]


def invoice_of(tenant: str, month: str, lines: Mapping[Key, Sums], *, over: bool) -> Invoice:
    """A tenant's month of its sums by key, provider and model."""
    since, until = month_of(month)
    whole = Sums()
    for sums in lines.values():
        add(whole, sums)
    return Invoice(
        tenant=tenant,
        month=month,
        since=time_of(since),
        until=time_of(until),
        final=over and not whole.unknown_cost,
        requests=whole.requests,
        unknown_cost=whole.unknown_cost,
        charged_usd=usd(whole.charged_pico),
        estimated_usd=usd(whole.estimated_charged_pico),
        total_usd=usd(whole.charged_pico + whole.estimated_charged_pico),
        cost_usd=usd(whole.cost_pico + whole.estimated_cost_pico + whole.other_cost_pico),
        lines=[_item(key, lines[key]) for key in sorted(lines)],
    )


def _item(key: Key, sums: Sums) -> Item:
    key_id, provider, model = key
    return Item(
        key_id=key_id,
        provider=provider or None,
        model=model or None,
        requests=sums.requests,
        input_tokens=sums.input_tokens + sums.estimated_input_tokens,
        output_tokens=sums.output_tokens + sums.estimated_output_tokens,
        cache_read_tokens=sums.cache_read_tokens,
        cache_write_tokens=sums.cache_write_tokens,
        reasoning_tokens=sums.reasoning_tokens,
        charged_usd=usd(sums.charged_pico),
        estimated_usd=usd(sums.estimated_charged_pico),
        total_usd=usd(sums.charged_pico + sums.estimated_charged_pico),
    )


def invoices_as_csv(found: Sequence[Invoice]) -> bytes:
    """A row for each line of each invoice."""
    rows = (
        (each.tenant, each.month, each.final, *msgspec.structs.astuple(line))
        for each in found
        for line in each.lines
    )
    return sheet(("tenant", "month", "final", *Item.__struct_fields__), rows)


def invoices_as_text(found: Sequence[Invoice]) -> str:
    """The invoices as people read them."""
    return "\n".join(line for each in found for line in _lines(each)) + "\n"


def _on_one_line(text: str) -> str:
    """A caller chooses models' names: none of them begins a line, or another invoice."""
    return text if text.isprintable() else ascii(text)


def _lines(each: Invoice) -> Iterator[str]:
    yield f"Invoice for {each.tenant}, {each.month} (UTC)"
    state = "final" if each.final else "preliminary"
    yield f"{each.requests} requests, {state}"
    yield ""
    guessing = each.estimated_usd != "0"
    rows: list[tuple[str, ...]] = [
        ("key", "model", "requests", "input", "output", "USD", *["estimated USD"] * guessing)
    ]
    rows += [
        (
            line.key_id,
            _on_one_line("/".join(filter(None, (line.provider, line.model)))) or "none reached",
            str(line.requests),
            str(line.input_tokens),
            str(line.output_tokens),
            line.total_usd,
            *[line.estimated_usd] * guessing,
        )
        for line in each.lines
    ]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        left = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        right = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        yield "  ".join((*left, *right))
    yield ""
    yield f"Total: {each.total_usd} USD"
    if guessing:
        yield f"of which for estimated usage: {each.estimated_usd} USD"
    if each.unknown_cost:
        yield f"Not in it: {each.unknown_cost} requests of which nobody knows the cost yet."
    yield ""
