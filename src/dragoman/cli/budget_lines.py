"""How budgets are told on the command line: as members for programs, as lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dragoman.admission.budget_rules import Rule
    from dragoman.core.budget import Pot
    from dragoman.store.sql.budgets import Hold, Lease, Standing, Told

_SPAN = {"day": "daily", "month": "monthly", "total": "total"}
_MOST_SHOWN = 50


def usd(pico: int) -> str:
    """An amount of 10⁻¹² USD as people read it."""
    from dragoman.core import money

    return money.plain(money.from_pico(pico))


def amounts(rule: Rule) -> str:
    """What a budget holds in its windows."""
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
    return ", ".join(
        f"{usd(sum(getattr(each, what) for each in standings if each.pot.span == span))} {_SPAN[span]}"
        for span, _ in rule.bounds
    )


def described(rule: Rule, standings: list[Standing]) -> dict[str, object]:
    """A budget and how it stands, for programs."""
    from dragoman.admission.budget_definition import definition_of

    limits = dict(rule.bounds)
    return {
        "name": rule.name,
        **definition_of(rule),
        "source": rule.source,
        "windows": [_standing(each, limits[each.pot.span]) for each in standings],
    }


def _window(pot: Pot) -> dict[str, object]:
    from dragoman.core.budget import ends_at, time_of

    end = ends_at(pot)
    resets = None if end is None else time_of(end)
    return {"subject": pot.subject, "window": pot.span, "resets_at": resets}


def _standing(each: Standing, limit: int) -> dict[str, object]:
    return {
        **_window(each.pot),
        "limit_usd": usd(limit),
        "spent_usd": usd(each.spent),
        "held_usd": usd(each.held),
        "leased_usd": usd(each.leased),
    }


def held(hold: Hold) -> dict[str, object]:
    """A hold, for programs."""
    from dragoman.core.budget import time_of

    return {
        "call_id": hold.call_id,
        "attempt_id": hold.attempt_id,
        "budgets": ["/".join(filter(None, payer)) for payer in hold.payers],
        "held_usd": usd(hold.held),
        "since": time_of(hold.admitted_us / 1_000_000),
    }


def lease_of(lease: Lease) -> dict[str, object]:
    """A lease, for programs."""
    from dragoman.core.budget import time_of

    return {
        **_window(lease.pot),
        "holder": lease.holder,
        "leased_usd": usd(lease.granted),
        "seen": time_of(lease.seen_ms / 1000),
    }


def alert_of(each: Told) -> dict[str, object]:
    """What the operator was told, for programs."""
    from dragoman.core.budget import time_of

    return {
        **_window(each.pot),
        "share": each.share / 1_000_000,
        "told": time_of(each.told_ms / 1000),
    }


def lines_of(
    rule: Rule,
    standings: list[Standing],
    holds: list[Hold],
    leases: list[Lease],
    told: list[Told],
) -> Iterator[str]:
    """A budget in lines for people."""
    yield f"{rule.name}: {amounts(rule)}, {covers(rule)}; defined in: {rule.source}"
    limits = dict(rule.bounds)
    for each in standings[:_MOST_SHOWN]:
        shown = _standing(each, limits[each.pot.span])
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
