"""How budgets are told to people on the command line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dragoman.admission.budget_rules import Rule
    from dragoman.core.budget_standing import Hold, Lease, Standing, Told

_SPAN = {"day": "daily", "month": "monthly", "total": "total"}
_MOST_SHOWN = 50


def amounts(rule: Rule) -> str:
    """What a budget holds in its windows."""
    from dragoman.admission.budget_told import usd

    return ", ".join(f"{usd(limit)} USD {_SPAN[span]}" for span, limit in rule.bounds)


def covers(rule: Rule) -> str:
    """Whom a budget covers."""
    named = [
        f"{word} {getattr(rule, word)}"
        for word in ("tenant", "project", "key", "user")
        if getattr(rule, word)
    ]
    whom = ", ".join(named) or "everybody"
    return f"each {rule.each} of {whom}" if rule.each else whom


def summed(rule: Rule, standings: list[Standing], what: str) -> str:
    """What all parts of a budget have spent, or hold, by window."""
    from dragoman.admission.budget_told import usd

    return ", ".join(
        f"{usd(sum(getattr(each, what) for each in standings if each.pot.span == span))} {_SPAN[span]}"
        for span, _ in rule.bounds
    )


def lines_of(
    rule: Rule,
    standings: list[Standing],
    holds: list[Hold],
    leases: list[Lease],
    told: list[Told],
) -> Iterator[str]:
    """A budget in lines for people."""
    from dragoman.admission.budget_told import alert_of, held, lease_of, standing_of

    yield f"{rule.name}: {amounts(rule)}, {covers(rule)}; defined in: {rule.source}"
    limits = dict(rule.bounds)
    for each in standings[:_MOST_SHOWN]:
        shown = standing_of(each, limits[each.pot.span])
        whose = f"{each.pot.subject} " if each.pot.subject else ""
        yield (
            f"{_SPAN[each.pot.span]:9} {whose}{shown['spent_usd']} of {shown['limit_usd']} USD spent, "
            f"{shown['held_usd']} held, {shown['leased_usd']} leased, until {shown['resets_at'] or 'for ever'}"
        )
    for shown in map(alert_of, told[:_MOST_SHOWN]):
        yield f"told      {shown['share']:.0%} of the {shown['window']} {shown['subject']} at {shown['told']}"
    for shown in map(held, holds[:_MOST_SHOWN]):
        yield f"held      {shown['held_usd']} USD for {shown['call_id']} since {shown['since']}"
    for shown in map(lease_of, leases[:_MOST_SHOWN]):
        yield f"leased    {shown['leased_usd']} USD by {shown['holder']}, seen {shown['seen']}"
