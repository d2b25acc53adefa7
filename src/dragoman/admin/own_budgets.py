"""Which budgets pay for a caller's key, as the key itself is told: its own, its project's and its tenant's.

Of a budget that tenants share nothing is told: what is left of it says what others have spent. One that each
end user has a part of is not here either, for whose part a call pays from is only known by the call.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from dragoman.admin.budgets import every_rule, window_of
from dragoman.admin.desk import Desk
from dragoman.admission.budget_rules import Rule, covering, payment
from dragoman.core.budget import Pot, since_of
from dragoman.core.call import Caller


class OwnWindow(BaseModel):
    """A budget in one stretch of time; amounts are decimal strings of USD."""

    window: Literal["day", "month", "total"]
    resets_at: str | None
    limit_usd: str
    spent_usd: str
    held_usd: str = Field(description="For attempts whose cost nobody knows")
    left_usd: str = Field(description="The limit without what is spent and held")


class OwnBudget(BaseModel):
    """A budget that pays for the key's calls."""

    name: str
    of: Literal["key", "project", "tenant"] = Field(description="Whose calls spend it together")
    windows: list[OwnWindow]


async def own_budgets(desk: Desk, caller: Caller) -> list[OwnBudget]:
    """The caller's, by the alphabet, with what is left of each."""
    known = (await every_rule(desk)).values()
    paid = payment(covering(known, caller), caller, "")
    mine = sorted(
        (
            (rule, payer.subject)
            for rule, payer in zip(paid.rules, paid.payers, strict=True)
            if rule.is_private and not rule.by_user
        ),
        key=lambda each: each[0].name,
    )
    wall = desk.wall()
    pots = [
        [Pot(rule.name, subject, span, since_of(span, wall)) for span, _ in rule.bounds]
        for rule, subject in mine
    ]
    stands = iter(await desk.budgets.standing_of([pot for its in pots for pot in its]))
    return [
        OwnBudget(
            name=rule.name,
            of=_of(rule),
            windows=[
                OwnWindow(**window_of(pot, limit, next(stands)))
                for pot, (_, limit) in zip(its, rule.bounds, strict=True)
            ],
        )
        for (rule, _), its in zip(mine, pots, strict=True)
    ]


def _of(rule: Rule) -> Literal["key", "project", "tenant"]:
    """The narrowest that it names, or gives a part of its own to."""
    if rule.key or rule.each == "key":
        return "key"
    return "project" if rule.project or rule.each == "project" else "tenant"
