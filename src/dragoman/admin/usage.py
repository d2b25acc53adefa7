"""What was used, of all tenants or of the caller's own: sums by any of their groups, and invoices."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field

from dragoman.accounting.asked import DIMENSIONS, Asked, parse_asked
from dragoman.accounting.invoice import invoices, invoices_as_csv, invoices_as_text
from dragoman.accounting.ports import Scope
from dragoman.accounting.sheet import CONTENT_TYPE
from dragoman.accounting.usage import Document, sums_document
from dragoman.admin.bench import CallOf, DeskOf, room
from dragoman.admin.desk import Desk
from dragoman.admin.metrics import Moment
from dragoman.admin.paging import Word
from dragoman.admin.reach import caller_of
from dragoman.core.errors import invalid

router = room("usage")

_TEXT = "text/plain; charset=utf-8"
_WORDS: dict[str, Any] = {"schema": {"type": "string"}}
_SHEET: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": _WORDS}}}
_PAPER: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": _WORDS, "text/plain": _WORDS}}
}


class UsageAsked(BaseModel):
    """Which sums are wanted, and in which form."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    group: str | None = Field(
        None,
        max_length=256,
        description=f"Of {', '.join(DIMENSIONS)} some, with commas between them; provider,model unless said",
    )
    limit: int = Field(100, ge=1, le=1000, description="Rows of one page")
    cursor: str | None = Field(
        None, max_length=1024, description="`next_cursor` of the page before"
    )
    format: Literal["json", "csv"] = "json"
    sort: Literal["name", "cost"] | None = Field(None, description="cost: the dearest first")
    since: Moment = None
    until: Moment = None
    key_id: Word | None = None
    provider: Word | None = None
    model: Word | None = None
    caller: Word | None = Field(None, description="The whole of a chain")
    root: Word | None = Field(None, description="The first element of a chain of callers")
    project: Word | None = None
    user: Word | None = Field(None, description="The end user, as callers name it")
    tag: Word | None = None


class AllUsageAsked(UsageAsked):
    """Whose sums are wanted as well."""

    tenant: Word | None = None


class UsageListed(BaseModel):
    """A page of sums; the members of ``data`` are those of GET /v1/usage, with the names of their group."""

    object: Literal["list"]
    data: list[dict[str, Any]]
    totals: dict[str, Any]
    has_more: bool
    next_cursor: str | None


class InvoiceAsked(BaseModel):
    """In which form invoices are wanted."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    format: Literal["json", "csv", "text"] = "json"


class AllInvoicesAsked(InvoiceAsked):
    """Whose invoice is wanted as well."""

    tenant: Word | None = None


class InvoicesListed(BaseModel):
    """Invoices, by tenant."""

    object: Literal["list"]
    data: list[dict[str, Any]]


def _asked(said: UsageAsked) -> Asked:
    words = {name: str(value) for name, value in said.model_dump(exclude_none=True).items()}
    asked = parse_asked(words, DIMENSIONS, wide=True)
    if not asked.group and not asked.calls:
        # Also where the word is there and says nothing: this list has always groups.
        asked = parse_asked({**words, "group": "provider,model"}, DIMENSIONS, wide=True)
    if asked.calls:
        raise invalid("group is 'request'; GET …/usage/export has a row for each call.", "group")
    if said.format == "csv" and "limit" not in said.model_fields_set:
        return msgspec.structs.replace(asked, limit=None)
    return asked


def _response(found: Document) -> Response:
    return Response(found.body, media_type=found.content_type)


@router.get("/api/admin/usage", response_model=UsageListed, responses=_SHEET)
async def all_usage(desk: DeskOf, asked: Annotated[AllUsageAsked, Query()]) -> Response:
    """What all tenants have used, in groups, with the totals."""
    return await _usage(desk, _asked(asked), asked.tenant)


@router.get("/v1/admin/usage", response_model=UsageListed, responses=_SHEET)
async def tenant_usage(
    desk: DeskOf, call: CallOf, asked: Annotated[UsageAsked, Query()]
) -> Response:
    """What the caller's tenant has used, in groups, with the totals; model by model unless said."""
    return await _usage(desk, _asked(asked), caller_of(call).tenant)


async def _usage(desk: Desk, asked: Asked, tenant: str | None) -> Response:
    await desk.flush()
    scope = Scope(tenant, asked.key_id, asked.since_us, asked.until_us)
    return _response(await sums_document(desk.reports, scope, asked))


@router.get("/api/admin/invoices/{month}", response_model=InvoicesListed, responses=_PAPER)
async def all_invoices(
    desk: DeskOf, month: Word, asked: Annotated[AllInvoicesAsked, Query()]
) -> Response:
    """What every tenant owes for a month, which is written 2026-01."""
    return await _invoices(desk, month, asked.format, asked.tenant)


@router.get("/v1/admin/invoices/{month}", response_model=InvoicesListed, responses=_PAPER)
async def tenant_invoice(
    desk: DeskOf, call: CallOf, month: Word, asked: Annotated[InvoiceAsked, Query()]
) -> Response:
    """What the caller's tenant owes for a month, which is written 2026-01."""
    return await _invoices(desk, month, asked.format, caller_of(call).tenant)


async def _invoices(desk: Desk, month: str, form: str, tenant: str | None) -> Response:
    await desk.flush()
    found = await invoices(desk.reports, month, int(desk.wall() * 1_000_000), tenant)
    match form:
        case "csv":
            return Response(invoices_as_csv(found), media_type=CONTENT_TYPE)
        case "text":
            return Response(invoices_as_text(found), media_type=_TEXT)
        case _:
            body = msgspec.json.encode({"object": "list", "data": found})
            return Response(body, media_type="application/json")
