"""``dragoman routes``: names that choose among several models, of a running gateway, in force at once."""

from __future__ import annotations

import typer

from dragoman.cli.access import URL, KeyOption, UrlOption, gateway_here
from dragoman.cli.managing import managed, named, removed
from dragoman.cli.output import JsonOption
from dragoman.cli.route_work import (
    CandidatesArgument,
    NameArgument,
    StrategyOption,
    body,
    show,
    tell,
)

SUMMARY = "List, set and remove names that choose among models."

_HELP = """List, set and remove routes: names that choose among several models, in a running gateway.

They are in force at once, go before those of dragoman.toml and are kept in the database. An administrator's key
is needed, in DRAGOMAN_API_KEY.

    dragoman routes set smart anthropic/claude-sonnet-4-5 openai/gpt-5-mini

    dragoman routes set spread openai/gpt-5-mini=3 groq/llama-3.3-70b-versatile --strategy weighted
"""
_AT = "/api/admin/routes"


def add_to(app: typer.Typer) -> None:
    """Registers the group."""
    group = typer.Typer(help=_HELP, short_help=SUMMARY, no_args_is_help=True)
    group.command("list", short_help="Show the routes.")(list_)
    group.command("set", short_help="Add a route, or take the place of one.")(set_)
    group.command("remove", short_help="Remove a route.")(remove)
    app.add_typer(group, name="routes")


def list_(*, base_url: UrlOption = URL, key: KeyOption = "", as_json: JsonOption = False) -> None:
    """Show routes, those of dragoman.toml as well.

    dragoman routes list --json
    """
    show("Routes", "routes", _AT, base_url, key, as_json=as_json)


def set_(
    name: NameArgument,
    candidates: CandidatesArgument,
    *,
    strategy: StrategyOption = None,
    base_url: UrlOption = URL,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Add a route, or take the place of one.

    dragoman routes set smart anthropic/claude-sonnet-4-5 openai/gpt-5-mini
    """
    said = body(candidates, strategy, as_json=as_json)
    tell(managed("PUT", named(_AT, name), said, base_url, key, as_json=as_json), as_json=as_json)


def remove(
    name: NameArgument,
    *,
    base_url: UrlOption = URL,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Remove a route that was added here; one of dragoman.toml that it had hidden is back.

    dragoman routes remove smart
    """
    removed(_AT, name, f"The route {name} is removed.", base_url, key, as_json=as_json)


def status() -> str:
    """Whether there is a gateway to ask."""
    return gateway_here()
