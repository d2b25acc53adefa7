"""``dragoman usage``: what your key has used, as the gateway tells it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dragoman.cli.access import KEY, URL, KeyOption, UrlOption, gateway_here
from dragoman.cli.output import JsonOption, fail, say, say_json, table
from dragoman.cli.views import SinceOption, UntilOption, estimated_words, sparkline

SUMMARY = "Show what your key has used."

_HELP = """Show what your key has used, day by day or by any other group.

Groups are day, month, provider, model, caller, root, project, user and tag; several stand with commas between
them. The gateway is asked, so that the calls of this moment are there.

    dragoman usage --group model --since 2026-01-01

    dragoman usage --group request --csv > calls.csv
"""


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("usage", help=_HELP, short_help=SUMMARY)(usage)


def usage(
    *,
    group: Annotated[str, typer.Option(help="By what.")] = "day",
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many rows.")] = 31,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, with all rows.")] = False,
    base_url: UrlOption = URL,
    key: KeyOption = KEY,
    as_json: JsonOption = False,
) -> None:
    """Asks the gateway, and tells."""
    from dragoman.cli.gateway import Gateway, GatewayRefusal

    query = {"group": group, "since": since, "until": until}
    query |= {"format": "csv"} if as_csv else {"limit": str(limit)}
    try:
        found = Gateway(base_url, key).read("/v1/usage", query)
    except GatewayRefusal as refusal:
        fail(refusal.message, as_json=as_json)
    if as_csv:
        say(found.rstrip())
    elif as_json:
        say_json(found)
    elif not found["data"]:
        say("Nothing was used yet.")
    elif group == "request":
        _calls(found["data"])
    else:
        _groups(found, group)


def _calls(rows: list[dict[str, Any]]) -> None:
    names = (
        "created_at",
        "caller",
        "model",
        "status",
        "input_tokens",
        "output_tokens",
        "tokens_from",
        "cost_usd",
        "cost_from",
    )
    table("Calls", names, [tuple(_text(row[name]) for name in names) for row in rows])


def _groups(found: dict[str, Any], group: str) -> None:
    rows = found["data"]
    numbers = ("requests", "failed_requests", "input_tokens", "output_tokens", "cost_usd")
    names = tuple(rows[0])[len(tuple(found["totals"])) :]
    guessing = any(row["estimated"]["requests"] for row in rows)
    told = [
        (
            *(_text(row[name]) for name in names),
            *(_text(row[name]) for name in numbers),
            *((_text(row["estimated"]["cost_usd"]),) if guessing else ()),
        )
        for row in rows
    ]
    table("Usage", (*names, *numbers, *(("estimated_usd",) if guessing else ())), told)
    if group == "day":
        say(sparkline([row["requests"] for row in reversed(rows)]))
    totals = found["totals"]
    cost = "unknown" if totals["cost_usd"] is None else f"{totals['cost_usd']} USD"
    more = "; there are more rows" if found["has_more"] else ""
    say(f"{totals['requests']} requests, {totals['total_tokens']} tokens, {cost} in all{more}")
    if totals["estimated"]["requests"]:
        say(f"not in it, estimated: {estimated_words(totals['estimated'])}")
    if totals["unknown_cost"]:
        say(f"not in it: {totals['unknown_cost']} requests of which nobody knows the cost")


def _text(value: object) -> str:
    return "-" if value is None else str(value)


def status() -> str:
    """Whether there is a gateway to ask."""
    return gateway_here()
