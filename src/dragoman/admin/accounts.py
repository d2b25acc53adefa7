"""Accounts at providers that were logged in by OAuth, and what was spent by them today (R-USE-010)."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel, Field

from dragoman.accounting.ports import Scope, Sums
from dragoman.accounting.report import add
from dragoman.admin.bench import DeskOf, room
from dragoman.admin.desk import Desk
from dragoman.admin.spans import SumsShown, sums_shown
from dragoman.credentials.token import State

router = room("accounts")

_DAY_US = 86_400_000_000


class AccountShown(BaseModel):
    """One account; nothing of its token is shown."""

    login: str
    account: str
    organization: str
    state: State
    until: str | None = Field(description="When its token ends; it is renewed before")
    why: str | None = Field(description="Why somebody has to log in anew")


class Today(BaseModel):
    """What a provider with accounts has served since midnight UTC; its cost may be an estimate."""

    provider: str
    requests: int
    usage: SumsShown


class Accounts(BaseModel):
    """All accounts, and today's money."""

    accounts: list[AccountShown]
    today: list[Today]


async def spent_today(desk: Desk) -> list[Today]:
    """What every provider with accounts has served since midnight UTC."""
    await desk.flush()
    midnight = int(desk.wall() * 1_000_000) // _DAY_US * _DAY_US
    found = await desk.ledger.by_model(Scope(None, None, midnight, None))
    registry = desk.registry()
    names = [name for name, each in registry.definitions.items() if each.accounts]
    usage = {name: Sums() for name in names}
    for (provider, _), sums in found.items():
        if provider in usage:
            add(usage[provider], sums)
    return [
        Today(provider=name, requests=sums.requests, usage=SumsShown(**sums_shown(sums)))
        for name, sums in usage.items()
    ]


@router.get("/api/admin/accounts")
async def list_accounts(desk: DeskOf) -> Accounts:
    """How each account stands, and what was spent today by all of a provider's."""
    today = await spent_today(desk)
    standings = await asyncio.to_thread(desk.accounts)
    return Accounts(
        accounts=[
            AccountShown(
                login=each.login,
                account=each.account,
                organization=each.organization,
                state=each.state,
                until=each.until,
                why=each.why,
            )
            for each in standings
        ],
        today=today,
    )
