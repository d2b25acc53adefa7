"""Numbers for whoever watches the gateway: the ledger's sums, and what its processes count (R-ADM-003).

The ledger is the log of errors, too: every failed call stands in it with its code. Of the newest failed ones at
most ``ADMIN_METRICS_MAX_ERROR_LINES`` are looked through.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from dragoman.accounting.ports import Scope, Sums
from dragoman.accounting.report import add
from dragoman.accounting.search import Search
from dragoman.admin.bench import DeskOf, room
from dragoman.admin.paging import Asked, Listed, Word, page_of, place_of
from dragoman.admin.providers import ProviderShown, shown
from dragoman.admin.spans import SumsShown, span, sums_shown

router = room("metrics")

Moment = Annotated[
    str | None,
    Field(max_length=40, description="ISO 8601 time or Unix seconds", examples=["2026-01-31"]),
]


class Span(BaseModel):
    """Which calls count."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    since: Moment = None
    until: Moment = None
    tenant: Word | None = Field(None, description="Only this tenant's")


class ErrorShown(BaseModel):
    """Failed calls of one kind."""

    code: str
    provider: str | None
    requests: int


class Errors(BaseModel):
    """What has failed."""

    looked_at: int
    capped: bool = Field(description="There are more failed calls than were looked at")
    by_code: list[ErrorShown]


class Summary(BaseModel):
    """All of it in a few numbers."""

    active_requests: int
    providers: int
    providers_degraded: int
    models: int
    rate_limit_hits: int = Field(description="Since the gateway's start")
    usage: SumsShown
    errors: Errors


@router.get("/api/admin/metrics/summary")
async def summary(desk: DeskOf, asked: Annotated[Span, Query()]) -> Summary:
    """What was used in the span, what has failed in it, and how things are now."""
    since, until = span(asked.since, asked.until)
    await desk.flush()
    sums = await desk.ledger.sums(Scope(asked.tenant, None, since, until))
    search = Search(tenant=asked.tenant, since_us=since, until_us=until)
    failures = await desk.search.failures(search, desk.most_errors)
    numbers, conditions = desk.numbers(), desk.conditions()
    by_code = sorted(failures.counts.items(), key=lambda item: (-item[1], item[0]))
    return Summary(
        active_requests=numbers.active,
        providers=len(conditions),
        providers_degraded=sum(each.word != "healthy" for each in conditions.values()),
        models=len(await desk.cards()),
        rate_limit_hits=sum(numbers.limited.values()),
        usage=SumsShown(**sums_shown(sums)),
        errors=Errors(
            looked_at=failures.looked_at,
            capped=failures.capped,
            by_code=[
                ErrorShown(code=code, provider=provider or None, requests=count)
                for (code, provider), count in by_code
            ],
        ),
    )


class ProviderNumbers(BaseModel):
    """One provider."""

    provider: str
    now: ProviderShown | None = Field(description="Null: it is no longer configured")
    attempts: dict[str, int] = Field(description="By how they ended, since the gateway's start")
    usage: SumsShown


class SpanPage(Asked):
    """Which calls count, and which page is wanted."""

    since: Moment = None
    until: Moment = None
    tenant: Word | None = Field(None, description="Only this tenant's")


@router.get("/api/admin/metrics/providers")
async def by_provider(
    desk: DeskOf, asked: Annotated[SpanPage, Query()]
) -> Listed[ProviderNumbers]:
    """Every provider that is configured or has served in the span, by name."""
    after = place_of(asked.cursor, str) or ""
    since, until = span(asked.since, asked.until)
    await desk.flush()
    found = await desk.ledger.by_model(Scope(asked.tenant, None, since, until))
    usage: dict[str, Sums] = {}
    for (provider, _), sums in found.items():
        if provider:
            add(usage.setdefault(provider, Sums()), sums)
    now, attempts = await shown(desk), desk.numbers().attempts
    rows = [
        ProviderNumbers(
            provider=name,
            now=now.get(name),
            attempts={word: n for (who, word), n in attempts.items() if who == name},
            usage=SumsShown(**sums_shown(usage.get(name, Sums()))),
        )
        for name in sorted({*now, *usage})
        if name > after
    ]
    return page_of(rows, asked.limit, lambda row: row, lambda row: row.provider)


class ModelNumbers(BaseModel):
    """One model at one provider."""

    provider: str
    model: str
    usage: SumsShown


class ModelsPage(SpanPage):
    """Whose models are wanted as well."""

    provider: Word | None = None


@router.get("/api/admin/metrics/models")
async def by_model(desk: DeskOf, asked: Annotated[ModelsPage, Query()]) -> Listed[ModelNumbers]:
    """Every model that has served in the span, by provider and id."""
    after = place_of(asked.cursor, tuple[str, str]) or ("", "")
    since, until = span(asked.since, asked.until)
    await desk.flush()
    found = await desk.ledger.by_model(Scope(asked.tenant, None, since, until))
    rows = [
        ModelNumbers(provider=key[0], model=key[1], usage=SumsShown(**sums_shown(found[key])))
        for key in sorted(found)
        if key > after and key[0] and asked.provider in {None, key[0]}
    ]
    return page_of(rows, asked.limit, lambda row: row, lambda row: (row.provider, row.model))


class Queues(BaseModel):
    """What is under way, and what waits."""

    active_requests: int = Field(description="Of all processes of this gateway")
    by_model: dict[str, int] = Field(description="Calls under way at providers, of this process")
    usage_waiting: int = Field(
        description="Settled calls that SQL does not have yet, of this process"
    )
    usage_write_failures: int
    storage_full: bool


@router.get("/api/admin/metrics/queues")
async def queues(desk: DeskOf) -> Queues:
    """How much is under way now."""
    numbers = desk.numbers()
    return Queues(
        active_requests=numbers.active,
        usage_write_failures=numbers.usage_failures,
        **desk.queues(),
    )
