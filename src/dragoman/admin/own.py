"""What a caller sees of itself: its key, and what it has used (R-SURF-012, R-AUTH-012)."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from dragoman.accounting.ports import Scope
from dragoman.accounting.report import time_of
from dragoman.admin.bench import CallOf, DeskOf, room
from dragoman.admin.desk import Desk
from dragoman.admin.metrics import Moment
from dragoman.admin.paging import Asked, Listed, page_of, place_of
from dragoman.admin.reach import caller_of, reach_of
from dragoman.admin.spans import SumsShown, span, sums_shown
from dragoman.catalog.keys import mask
from dragoman.core.call import Call, Caller

router = room("own")

_DAY_US = 86_400 * 1_000_000


class UserShown(BaseModel):
    """Whose key it is."""

    id: str
    role: str
    tenant: str
    name: str


class TierShown(BaseModel):
    """What the key may use; 0 and null are no limit."""

    id: str | None
    limits: dict[str, int | float | bool | None]


class Used(BaseModel):
    """What of its allowance it has used."""

    token_usage: int
    request_count: int
    remaining_tokens: int | None
    max_tokens: int | None


class KeyMe(BaseModel):
    """The presented key."""

    api_key_preview: str
    api_key_hash: str = Field(description="Names the key in reports; it opens nothing")
    user: UserShown
    tier: TierShown
    usage: Used
    maxTokens: int | None  # noqa: N815  as R-ADD-021 spells these
    remainingTokens: int | None  # noqa: N815
    totalTokenUsage: int  # noqa: N815
    totalRequestCount: int  # noqa: N815
    currentDayRequestCount: int  # noqa: N815
    estimatedCost: str | None = Field(description="USD in all, as a decimal string")  # noqa: N815
    role: str
    source: Literal["database"]
    timestamp: str


@router.get("/v1/keys/me")
async def key_me(desk: DeskOf, call: CallOf) -> KeyMe:
    """Usage, limits and tier of the presented key; it answers when the allowance is used up as well."""
    caller = caller_of(call)
    await desk.flush()
    now_us = int(desk.wall() * 1_000_000)
    since = await desk.keys.counts_since_us(caller.key_id)
    ever = await desk.ledger.sums(Scope(caller.tenant, caller.key_id, since))
    today = await desk.ledger.sums(Scope(caller.tenant, caller.key_id, now_us - now_us % _DAY_US))
    limits = desk.limits(caller)
    tokens = ever.tokens
    allowance = limits.max_tokens or None
    left = None if allowance is None else max(0, allowance - tokens)
    shown = sums_shown(ever)
    credential = call.proof.value if call.proof is not None else ""
    return KeyMe(
        api_key_preview=mask(credential),
        api_key_hash=hashlib.blake2b(
            credential.encode(), digest_size=16, person=b"keys/me"
        ).hexdigest(),
        user=UserShown(id=caller.key_id, role=caller.role, tenant=caller.tenant, name=caller.name),
        tier=TierShown(
            id=caller.tier,
            limits={name: getattr(limits, name) for name in limits.__struct_fields__},
        ),
        usage=Used(
            token_usage=tokens,
            request_count=ever.requests,
            remaining_tokens=left,
            max_tokens=allowance,
        ),
        maxTokens=allowance,
        remainingTokens=left,
        totalTokenUsage=tokens,
        totalRequestCount=ever.requests,
        currentDayRequestCount=today.requests,
        estimatedCost=shown["cost_usd"],
        role=caller.role,
        source="database",
        timestamp=time_of(now_us),
    )


class Stats(BaseModel):
    """What was used of late."""

    scope: Literal["tenant", "key"]
    tenant: str
    today: SumsShown
    this_month: SumsShown
    total: SumsShown


def _scope(caller: Caller, since: int | None = None, until: int | None = None) -> Scope:
    own = caller.key_id if reach_of(caller) == "own" else None
    return Scope(caller.tenant, own, since, until)


@router.get("/v1/stats")
async def stats(desk: DeskOf, call: CallOf) -> Stats:
    """Sums of today, of this month and of all time: the tenant's, or a user's own."""
    caller = caller_of(call)
    await desk.flush()
    day = datetime.fromtimestamp(desk.wall(), UTC).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    starts = (day, day.replace(day=1), None)
    sums = [
        await desk.ledger.sums(
            _scope(caller, None if start is None else int(start.timestamp()) * 1_000_000)
        )
        for start in starts
    ]
    today, month, total = (SumsShown(**sums_shown(each)) for each in sums)
    return Stats(
        scope="key" if reach_of(caller) == "own" else "tenant",
        tenant=caller.tenant,
        today=today,
        this_month=month,
        total=total,
    )


class UsageOf(BaseModel):
    """What one model has served."""

    provider: str | None
    model: str | None
    usage: SumsShown


class UsageAsked(Asked):
    """Which span is wanted."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    since: Moment = None
    until: Moment = None


@router.get("/v1/admin/usage")
async def tenant_usage(
    desk: DeskOf, call: CallOf, asked: Annotated[UsageAsked, Query()]
) -> Listed[UsageOf]:
    """What the caller's tenant has used, model by model."""
    return await _usage(desk, call, asked)


async def _usage(desk: Desk, call: Call, asked: UsageAsked) -> Listed[UsageOf]:
    since, until = span(asked.since, asked.until)
    after = place_of(asked.cursor, tuple[str, str])
    await desk.flush()
    found = await desk.ledger.by_model(_scope(caller_of(call), since, until))
    keys = [key for key in sorted(found) if after is None or key > after]
    return page_of(
        keys,
        asked.limit,
        lambda key: UsageOf(
            provider=key[0] or None,
            model=key[1] or None,
            usage=SumsShown(**sums_shown(found[key])),
        ),
        lambda key: key,
    )
