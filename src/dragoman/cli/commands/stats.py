"""``dragoman stats``: what was used in all, and of late (R-CLI-012)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import typer

from dragoman.cli.access import KEY, URL, KeyOption, UrlOption
from dragoman.cli.output import JsonOption, say, say_json
from dragoman.cli.settings import EnvFileOption
from dragoman.cli.views import TenantOption, days_line, media_words, with_views

if TYPE_CHECKING:
    from dragoman.accounting.ports import Sums
    from dragoman.accounting.question import Dimension, Key
    from dragoman.stores import Views

SUMMARY = "Show usage statistics."

_HELP = """Show usage statistics: requests, cost, tokens, callers and models, in all, this month and today.

    dragoman stats

    dragoman stats --tenant acme --json
"""
_DAYS = 30


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("stats", help=_HELP, short_help=SUMMARY)(stats)


def stats(
    *,
    tenant: TenantOption = None,
    env_file: EnvFileOption = None,
    base_url: UrlOption = URL,
    key: KeyOption = KEY,
    as_json: JsonOption = False,
) -> None:
    """Reads the ledger, and tells."""

    async def read(views: Views) -> tuple[dict[Key, Sums], ...]:
        from dragoman.accounting.ports import Scope
        from dragoman.accounting.question import Question
        from dragoman.accounting.usage import MOST_GROUPS

        async def by(dimension: Dimension) -> dict[Key, Sums]:
            return await views.reports.ask(Question(Scope(tenant), (dimension,)), MOST_GROUPS)

        return await by("day"), await by("caller"), await by("model")

    days, callers, models = with_views(read, env_file, (base_url, key), as_json=as_json)
    by_day = {key[0]: sums for key, sums in days.items()}
    found = _told(by_day, {key[0] for key in callers}, {key[0] for key in models if key[0]})
    if as_json:
        say_json(found)
        return
    for name in ("total", "this_month", "today"):
        say(f"{name.replace('_', ' '):11} {sentence(found[name])}")
    say(f"callers     {found['callers']}")
    say(f"models      {', '.join(found['models']) or 'none'}")
    say(f"{days_line(by_day, _today(), _DAYS)}  requests a day, the last {_DAYS} days")


def _today() -> str:
    return time.strftime("%Y-%m-%d", time.gmtime())


def _told(days: dict[str, Sums], callers: set[str], models: set[str]) -> dict[str, Any]:
    today = _today()
    return {
        "total": few(list(days.values())),
        "this_month": few([sums for day, sums in days.items() if day[:7] == today[:7]]),
        "today": few([sums for day, sums in days.items() if day == today]),
        "callers": len(callers),
        "models": sorted(models),
        "requests_by_day": {day: days[day].requests for day in sorted(days)},
    }


def few(several: list[Sums]) -> dict[str, Any]:
    """Requests, cost and tokens, as R-ADD-010 has them: the cost with six decimals at least.

    What was estimated stands apart (D25), as does what other tries have cost; what nobody has told is None.
    """
    from dragoman.accounting.ports import Sums
    from dragoman.accounting.report import add, media_of, totals

    whole = Sums()
    for sums in several:
        add(whole, sums)
    told = totals(whole)
    guessed = told.estimated
    return {
        "requests": whole.requests,
        "cost": _six(told.cost_usd),
        "tokens": told.total_tokens if told.total_tokens or not whole.unknown_tokens else None,
        "estimated": {
            "requests": guessed.requests,
            "cost": _six(guessed.cost_usd),
            "tokens": guessed.input_tokens + guessed.output_tokens,
        },
        "unknown_cost": whole.unknown_cost,
        "unknown_usage": whole.unknown_tokens,
        "other_cost": _six(told.other_cost_usd),
        "media": media_of(whole),
    }


def sentence(told: dict[str, Any]) -> str:
    """What ``few`` has found, for people."""
    guessed = told["estimated"]
    parts = [f"{told['requests']} requests", *_spent(told)]
    if guessed["requests"]:
        parts.append(f"estimated of {guessed['requests']}: {' and '.join(_spent(guessed))}")
    if told["unknown_cost"]:
        parts.append(f"cost of {told['unknown_cost']} unknown")
    if told["other_cost"].strip("0."):
        parts.append(f"other tries ${told['other_cost']}")
    parts += media_words(told["media"])
    return ", ".join(parts)


def _spent(told: dict[str, Any]) -> tuple[str, str]:
    cost, tokens = told["cost"], told["tokens"]
    return (
        "unknown cost" if cost is None else f"${cost}",
        "unknown tokens" if tokens is None else f"{tokens} tokens",
    )


def _six(amount: str | None) -> str | None:
    """An amount with six decimals, or with all that it has."""
    if amount is None:
        return None
    whole, _, fraction = amount.partition(".")
    return f"{whole}.{fraction.ljust(6, '0')}"


def status() -> str:
    """It needs the database alone."""
    return "ready"
