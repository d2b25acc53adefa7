"""``dragoman aliases``: other names of models, of a running gateway, in force at once."""

from __future__ import annotations

from typing import Annotated

import typer

from dragoman.cli.access import URL, KeyOption, UrlOption, gateway_here
from dragoman.cli.managing import listed, managed, named, removed
from dragoman.cli.output import JsonOption, say, say_json, table

SUMMARY = "List, set and remove other names of models."

_HELP = """List, set and remove aliases: other names of models, in a running gateway, in force at once.

They go before those of dragoman.toml and are kept in the database. An administrator's key is needed, in
DRAGOMAN_API_KEY.

    dragoman aliases set fast groq/llama-3.3-70b-versatile

    dragoman aliases list
"""
_AT = "/api/admin/aliases"


def add_to(app: typer.Typer) -> None:
    """Registers the group."""
    group = typer.Typer(help=_HELP, short_help=SUMMARY, no_args_is_help=True)
    group.command("list", short_help="Show the aliases that were added here.")(list_)
    group.command("set", short_help="Add an alias, or take the place of one.")(set_)
    group.command("remove", short_help="Remove an alias.")(remove)
    app.add_typer(group, name="aliases")


def list_(*, base_url: UrlOption = URL, key: KeyOption = "", as_json: JsonOption = False) -> None:
    """Show aliases, those of dragoman.toml as well, and whether they are in force.

    dragoman aliases list --json
    """
    found = listed(_AT, base_url, key, as_json=as_json)
    if as_json:
        say_json({"aliases": found})
        return
    rows = [
        (
            each["name"],
            ", ".join(each["targets"]),
            each["source"],
            "yes" if each["in_force"] else "no",
        )
        for each in found
    ]
    table("Aliases", ("name", "stands for", "from", "in force"), rows)


def set_(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What callers say.")],
    target: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help="What it stands for, in order.")
    ],
    *,
    base_url: UrlOption = URL,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Add an alias, or take the place of one.

    dragoman aliases set fast groq/llama-3.3-70b-versatile openai/gpt-4o-mini
    """
    found = managed("PUT", named(_AT, name), {"targets": target}, base_url, key, as_json=as_json)
    if as_json:
        say_json(found)
    else:
        say(f"{found['name']} stands for {', '.join(found['targets'])}.")


def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which one.")],
    *,
    base_url: UrlOption = URL,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Remove an alias that was added here; one of dragoman.toml that it had hidden is back.

    dragoman aliases remove fast
    """
    removed(_AT, name, f"The alias {name} is removed.", base_url, key, as_json=as_json)


def status() -> str:
    """Whether there is a gateway to ask."""
    return gateway_here()
