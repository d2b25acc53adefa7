"""Calls of all tenants: looked through, and each explained. Of what was said in them there is nothing here."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import Query
from pydantic import BaseModel, Field

from dragoman.accounting.explain import explain
from dragoman.accounting.ports import Scope
from dragoman.accounting.report import ms, time_of, usd
from dragoman.accounting.search import Hit, Search
from dragoman.admin.bench import DeskOf, room
from dragoman.admin.metrics import Moment
from dragoman.admin.paging import Asked, Listed, Word, page_of, place_of
from dragoman.admin.spans import span
from dragoman.core.errors import CallerError

router = room("requests")


class CallShown(BaseModel):
    """One call; null is unknown."""

    call_id: str
    request_id: str
    created_at: str
    tenant: str
    key_id: str
    caller: str
    status: str
    http_status: int | None
    error_code: str | None
    stream: bool
    dialect: str
    operation: str
    requested_model: str
    provider: str | None
    model: str | None
    attempts: int
    input_tokens: int | None
    output_tokens: int | None
    tokens_from: str
    cost_usd: str | None
    cost_from: str
    first_event_ms: float | None
    latency_ms: float | None


class Filter(Asked):
    """Which calls are wanted."""

    tenant: Word | None = None
    key_id: Word | None = None
    provider: Word | None = None
    model: Word | None = Field(None, description="The provider's own id of it")
    requested_model: Word | None = Field(None, description="As the caller wrote it")
    status: Word | None = Field(None, examples=["complete", "upstream_error", "refused"])
    error_code: Word | None = None
    project: Word | None = None
    user: Word | None = Field(None, description="Who was behind the caller, as it said")
    tag: Word | None = Field(None, examples=["team=search"])
    since: Moment = None
    until: Moment = None


def _shown(hit: Hit) -> CallShown:
    line = hit.line
    return CallShown(
        call_id=line.call_id,
        request_id=line.request_id,
        created_at=time_of(line.created_us),
        tenant=hit.tenant,
        key_id=hit.key_id,
        caller=line.caller,
        status=line.status,
        http_status=line.http_status,
        error_code=line.error_code,
        stream=line.stream,
        dialect=line.dialect,
        operation=line.operation,
        requested_model=line.requested_model,
        provider=line.provider,
        model=line.model,
        attempts=line.attempts,
        input_tokens=line.input_tokens,
        output_tokens=line.output_tokens,
        tokens_from=line.tokens_from,
        cost_usd=None if line.cost_pico is None else usd(line.cost_pico),
        cost_from=line.cost_from,
        first_event_ms=ms(line.first_event_s),
        latency_ms=ms(line.duration_s),
    )


@router.get("/api/admin/requests")
async def list_calls(desk: DeskOf, asked: Annotated[Filter, Query()]) -> Listed[CallShown]:
    """The newest calls first; those of this moment are there as well."""
    since, until = span(asked.since, asked.until)
    search = Search(
        tenant=asked.tenant,
        key_id=asked.key_id,
        provider=asked.provider,
        model=asked.model,
        requested_model=asked.requested_model,
        status=asked.status,
        error_code=asked.error_code,
        project=asked.project,
        end_user=asked.user,
        tag=asked.tag,
        since_us=since,
        until_us=until,
    )
    before = place_of(asked.cursor, str)
    await desk.flush()
    hits = await desk.search.calls(search, before=before, limit=asked.limit + 1)
    return page_of(hits, asked.limit, _shown, lambda hit: hit.line.call_id)


@router.get("/api/admin/requests/{id}")
async def explain_call(desk: DeskOf, id: Word) -> dict[str, Any]:  # noqa: A002  the member's name
    """What became of one call of any tenant: its candidates, attempts, times, losses and cost."""
    await desk.flush()
    entry = await desk.ledger.entry(Scope(None), id)
    if entry is None:
        raise CallerError(
            "not_found", f"No call {id[:64]!a} is known.", code="not_found", param="id"
        )
    found: dict[str, Any] = msgspec.to_builtins(explain(entry))
    return {"tenant": entry.request.tenant, **found}
