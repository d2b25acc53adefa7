"""What a caller sees of itself: its key, and what it has used (R-SURF-012, R-AUTH-012)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, Field

from dragoman.accounting.ports import Scope
from dragoman.accounting.report import time_of
from dragoman.admin.bench import CallOf, DeskOf, room
from dragoman.admin.own_budgets import OwnBudget, own_budgets
from dragoman.admin.reach import caller_of, reach_of
from dragoman.admin.spans import SumsShown, sums_shown
from dragoman.catalog.keys import mask
from dragoman.core.call import Caller

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
    budgets: list[OwnBudget] = Field(
        description="Those of the key, its project and its tenant; what tenants share is not told"
    )
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
    ever = await desk.ledger.sums(Scope(caller.tenant, caller.key_id, caller.counts_since_us))
    today = await desk.ledger.sums(Scope(caller.tenant, caller.key_id, now_us - now_us % _DAY_US))
    limits = desk.limits(caller)
    tokens = ever.tokens
    allowance = limits.max_tokens or None
    left = None if allowance is None else max(0, allowance - tokens)
    shown = sums_shown(ever)
    credential = call.proof.value if call.proof is not None else ""
    return KeyMe(
        api_key_preview=mask(credential),
        api_key_hash=desk.name_of(credential),
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
        budgets=await own_budgets(desk, caller),
        estimatedCost=shown["cost_usd"],
        role=caller.role,
        source="database",
        timestamp=time_of(now_us),
    )


class Session(BaseModel):
    """What was used since the gateway's process has started."""

    start_time: str
    usage: SumsShown


class Stats(BaseModel):
    """What was used of late."""

    scope: Literal["tenant", "key"]
    tenant: str
    today: SumsShown
    this_month: SumsShown
    total: SumsShown
    session: Session


def _scope(caller: Caller, since: int | None = None, until: int | None = None) -> Scope:
    own = caller.key_id if reach_of(caller) == "own" else None
    return Scope(caller.tenant, own, since, until)


@router.get("/v1/stats")
async def stats(desk: DeskOf, call: CallOf) -> Stats:
    """Sums of today, of this month, of this session and of all time: the tenant's, or a user's own."""
    caller = caller_of(call)
    await desk.flush()
    day = datetime.fromtimestamp(desk.wall(), UTC).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    starts = (
        int(day.timestamp()) * 1_000_000,
        int(day.replace(day=1).timestamp()) * 1_000_000,
        None,
        desk.started_us,
    )
    sums = [await desk.ledger.sums(_scope(caller, start)) for start in starts]
    today, month, total, session = (SumsShown(**sums_shown(each)) for each in sums)
    return Stats(
        scope="key" if reach_of(caller) == "own" else "tenant",
        tenant=caller.tenant,
        today=today,
        this_month=month,
        total=total,
        session=Session(start_time=time_of(desk.started_us), usage=session),
    )
