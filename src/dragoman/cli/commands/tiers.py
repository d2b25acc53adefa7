"""``dragoman tiers``: limits by name, of a running gateway, in force with the next request."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dragoman.cli.access import URL, KeyOption, UrlOption, gateway_here
from dragoman.cli.key_options import LIMIT
from dragoman.cli.managing import listed, managed, named, removed
from dragoman.cli.output import USAGE, JsonOption, fail, say, say_json, table

SUMMARY = "List, set and remove tiers: limits by name."

_HELP = """List, set and remove tiers: limits by name, in a running gateway, in force with the next request.

They go before those of tiers.json and dragoman.toml and are kept in the database. An administrator's key is
needed, in DRAGOMAN_API_KEY.

    dragoman tiers set team --rpm 600 --tpm 1000000 --concurrency 50

    dragoman keys update 4fG7hJ2k --tier team
"""
_AT = "/api/admin/tiers"
_LIMITS = ("rps", "rpm", "rpd", "tpm", "tpd", "max_tokens", "concurrency")
_SCORES = ("min_provider_score", "max_provider_score")
_SCORE = Annotated[float | None, typer.Option(min=0, max=100, help="Who answers, by score.")]


def add_to(app: typer.Typer) -> None:
    """Registers the group."""
    group = typer.Typer(help=_HELP, short_help=SUMMARY, no_args_is_help=True)
    group.command("list", short_help="Show all tiers.")(list_)
    group.command("set", short_help="Add a tier, or change its limits.")(set_)
    group.command("remove", short_help="Forget a tier that was added here.")(remove)
    app.add_typer(group, name="tiers")


def list_(*, base_url: UrlOption = URL, key: KeyOption = "", as_json: JsonOption = False) -> None:
    """Show all tiers, those of the files as well.

    dragoman tiers list --json
    """
    found = listed(_AT, base_url, key, as_json=as_json)
    if as_json:
        say_json({"tiers": found})
        return
    rows = [(each["id"], each["source"], _line(each)) for each in found]
    table("Tiers", ("tier", "from", "limits"), rows)


def set_(
    tier: Annotated[str, typer.Argument(metavar="NAME", help="Its name.")],
    *,
    rps: LIMIT = None,
    rpm: LIMIT = None,
    rpd: LIMIT = None,
    tpm: LIMIT = None,
    tpd: LIMIT = None,
    max_tokens: LIMIT = None,
    concurrency: LIMIT = None,
    min_provider_score: _SCORE = None,
    max_provider_score: _SCORE = None,
    base_url: UrlOption = URL,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Add a tier, or change some limits of one; what is left out stays. 0 is no limit.

    dragoman tiers set team --rpm 600 --concurrency 50
    """
    numbers = (rps, rpm, rpd, tpm, tpd, max_tokens, concurrency)
    scores = (min_provider_score, max_provider_score)
    said = {
        name: number
        for name, number in zip(_LIMITS + _SCORES, numbers + scores, strict=True)
        if number is not None
    }
    if not said:
        fail("Say at least one limit, such as --rpm 600.", as_json=as_json, code=USAGE)
    known = {each["id"] for each in listed(_AT, base_url, key, as_json=as_json)}
    method = "PATCH" if tier in known else "PUT"
    found = managed(method, named(_AT, tier), said, base_url, key, as_json=as_json)
    if as_json:
        say_json(found)
    else:
        say(f"{found['id']}: {_line(found)}.")


def remove(
    tier: Annotated[str, typer.Argument(metavar="NAME", help="Which one.")],
    *,
    base_url: UrlOption = URL,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Forget a tier that was added here; one that keys still have stays.

    dragoman tiers remove team
    """
    removed(
        _AT,
        tier,
        f"What was said of the tier {tier} here is forgotten.",
        base_url,
        key,
        as_json=as_json,
    )


def _line(tier: dict[str, Any]) -> str:
    said = [f"{name} {tier[name]}" for name in _LIMITS + _SCORES if tier.get(name)]
    return ", ".join(said) or "none"


def status() -> str:
    """Whether there is a gateway to ask."""
    return gateway_here()
