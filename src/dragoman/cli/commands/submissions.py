"""``dragoman submissions``: keys of providers that somebody has handed in to a running gateway (R-ADM-010)."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any

import typer

from dragoman.cli.access import URL, KeyOption, UrlOption, gateway_here
from dragoman.cli.managing import listed, managed, named, removed
from dragoman.cli.output import JsonOption, say, say_json, table

SUMMARY = "Hand in, list, adopt and remove keys of providers that wait for an administrator."

_HELP = """List, adopt and remove keys of providers that anybody has handed in to a running gateway.

One serves only once it is adopted, beside the keys that its provider has. An administrator's key is needed, in
DRAGOMAN_API_KEY.

    dragoman submissions list

    dragoman submissions hand-in openrouter < key.txt

    dragoman submissions adopt 0198c2f4-0b2e-79db-a5fa-ac07232d9b1e
"""
_AT = "/api/admin/keys"
_NOBODY = "-"
"""No key: whoever hands one in needs none."""
IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="The id, as `submissions list` shows it.")
]


def add_to(app: typer.Typer) -> None:
    """Registers the group."""
    group = typer.Typer(help=_HELP, short_help=SUMMARY, no_args_is_help=True)
    group.command("list", short_help="Show what was handed in, never the keys.")(list_)
    group.command("hand-in", short_help="Hand in a key, as anybody may.")(hand_in)
    group.command("adopt", short_help="Have a key used from now on.")(adopt)
    group.command("remove", short_help="Forget a key; it is used no more.")(remove)
    app.add_typer(group, name="submissions")


def list_(*, base_url: UrlOption = URL, key: KeyOption = "", as_json: JsonOption = False) -> None:
    """Show what was handed in, the newest first, with who did and how it stands.

    dragoman submissions list --json
    """
    found = listed(_AT, base_url, key, as_json=as_json)
    if as_json:
        say_json({"submissions": found})
        return
    rows = [
        (
            each["id"],
            each["provider"],
            each["key_preview"],
            each["submitted_by"] or "",
            time.strftime("%Y-%m-%d %H:%M", time.gmtime(each["created_at"])),
            each["state"],
        )
        for each in found
    ]
    table("Submissions", ("id", "provider", "key", "from", "came (UTC)", "state"), rows)


def hand_in(
    provider: Annotated[str, typer.Argument(metavar="PROVIDER", help="Whose key it is.")],
    *,
    tier: Annotated[
        int | None, typer.Option(min=0, max=1000, help="What kind of account it is, if known.")
    ] = None,
    base_url: UrlOption = URL,
    as_json: JsonOption = False,
) -> None:
    """Hand in a provider's key, read from standard input; nobody's key of the gateway is needed for it.

    dragoman submissions hand-in openrouter < key.txt
    """
    said: dict[str, Any] = {"provider": provider, "key": sys.stdin.read(4096).strip()}
    said |= {} if tier is None else {"tier": tier}
    found = managed("POST", _AT, said, base_url, _NOBODY, as_json=as_json)
    if as_json:
        say_json(found)
    else:
        say(f"The key waits for an administrator as {found['id']}.")


def adopt(
    submission: IdArgument,
    *,
    base_url: UrlOption = URL,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Have a key used from now on, beside those that its provider has.

    dragoman submissions adopt 0198c2f4-0b2e-79db-a5fa-ac07232d9b1e
    """
    path = f"{named(_AT, submission)}/adopt"
    found = managed("POST", path, None, base_url, key, as_json=as_json)
    if as_json:
        say_json(found)
    else:
        say(f"{found['key_preview']} serves for {found['provider']}.")


def remove(
    submission: IdArgument,
    *,
    base_url: UrlOption = URL,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Forget a key that was handed in; one that was adopted is used no more.

    dragoman submissions remove 0198c2f4-0b2e-79db-a5fa-ac07232d9b1e
    """
    removed(_AT, submission, f"{submission} is forgotten.", base_url, key, as_json=as_json)


def status() -> str:
    """Whether there is a gateway to ask."""
    return gateway_here()
