"""How budgets are told to programs, by the command line and over HTTP alike."""

from __future__ import annotations

from dragoman.admission.budget_definition import definition_of
from dragoman.admission.budget_rules import Rule
from dragoman.core import money
from dragoman.core.budget import Pot, ends_at, time_of
from dragoman.core.budget_standing import Hold, Lease, Standing, Told


def usd(pico: int) -> str:
    """An amount of 10⁻¹² USD as people read it."""
    return money.plain(money.from_pico(pico))


def described(rule: Rule, standings: list[Standing]) -> dict[str, object]:
    """A budget and how it stands, for programs."""
    limits = dict(rule.bounds)
    return {
        "name": rule.name,
        **definition_of(rule),
        "source": rule.source,
        "windows": [standing_of(each, limits[each.pot.span]) for each in standings],
    }


def _window(pot: Pot) -> dict[str, object]:
    end = ends_at(pot)
    resets = None if end is None else time_of(end)
    return {"subject": pot.subject, "window": pot.span, "resets_at": resets}


def standing_of(each: Standing, limit: int) -> dict[str, object]:
    """How one part stands in one window, for programs."""
    return {
        **_window(each.pot),
        "limit_usd": usd(limit),
        "spent_usd": usd(each.spent),
        "held_usd": usd(each.held),
        "leased_usd": usd(each.leased),
    }


def held(hold: Hold) -> dict[str, object]:
    """A hold, for programs."""
    return {
        "call_id": hold.call_id,
        "attempt_id": hold.attempt_id,
        "budgets": ["/".join(filter(None, payer)) for payer in hold.payers],
        "held_usd": usd(hold.held),
        "since": time_of(hold.admitted_us / 1_000_000),
    }


def lease_of(lease: Lease) -> dict[str, object]:
    """A lease, for programs."""
    return {
        **_window(lease.pot),
        "holder": lease.holder,
        "leased_usd": usd(lease.granted),
        "seen": time_of(lease.seen_ms / 1000),
    }


def alert_of(each: Told) -> dict[str, object]:
    """What the operator was told, for programs."""
    return {
        **_window(each.pot),
        "share": each.share / 1_000_000,
        "told": time_of(each.told_ms / 1000),
    }
