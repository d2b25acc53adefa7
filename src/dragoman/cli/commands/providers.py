"""``dragoman providers``: those of a running gateway, listed, added, changed, removed, read anew (R-CLI-020)."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from dragoman.cli.access import URL, KeyOption, UrlOption, gateway_here
from dragoman.cli.managing import listed, managed, named, removed
from dragoman.cli.output import JsonOption, say, say_json, table

SUMMARY = "List, add, change, disable and remove providers of a running gateway."

_HELP = """List, add, change, disable and remove providers of a running gateway.

What is added is in force at once and is kept.

They need an administrator's key: the one that `dragoman serve` shows at its first start, or one of
`dragoman keys create --role admin`, in DRAGOMAN_API_KEY. Providers of dragoman.toml need no command.

    dragoman providers add corp-vllm --url http://10.0.0.7:8000/v1 --model llama-3

    dragoman providers update
"""
_AT = "/api/admin/providers"


def add_to(app: typer.Typer) -> None:
    """Registers the group, and the older names of two of its commands."""
    group = typer.Typer(help=_HELP, short_help=SUMMARY, no_args_is_help=True)
    group.command("list", short_help="Show the providers and how they do.")(list_)
    group.command("add", short_help="Add a provider, or change one.")(add)
    group.command("remove", short_help="Forget what was added to a provider.")(remove)
    group.command("disable", short_help="Take a provider out of service.")(disable)
    group.command("enable", short_help="Take a provider back into service.")(enable)
    group.command("update", short_help="Have every provider's list of models read anew.")(update)
    app.add_typer(group, name="providers")
    app.command("addProvider", hidden=True)(add)
    for name in ("updatemodels", "updateproviders"):
        app.command(name, hidden=True)(update)


def list_(*, base_url: UrlOption = URL, key: KeyOption = "", as_json: JsonOption = False) -> None:
    """Show the providers of the gateway, where they are from and how they do.

    dragoman providers list --json
    """
    found = listed(_AT, base_url, key, as_json=as_json)
    if as_json:
        say_json({"providers": found})
        return
    rows = [
        (
            each["id"],
            each["base_url"] or "",
            each["dialect"] or "",
            each["source"],
            "serves" if each["enabled"] else f"off ({each['disabled_by'] or 'not configured'})",
            str(each["models"]),
        )
        for each in found
    ]
    table("Providers", ("provider", "address", "dialect", "from", "now", "models"), rows)


def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A built-in one, or your own.")],
    *,
    provider_url: Annotated[
        str, typer.Option("--provider-url", "--url", help="Where the provider is.")
    ],
    api_key: Annotated[
        bool, typer.Option("--api-key", help="Read the provider's key from standard input.")
    ] = False,
    dialect: Annotated[str | None, typer.Option(help="[chat, or the built-in one's]")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="A model that it does not list; say it for each.")
    ] = None,
    base_url: UrlOption = URL,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Add a provider to the gateway, or change one. A key is read from standard input, so that no shell keeps it.

    dragoman providers add corp-vllm --url http://10.0.0.7:8000/v1 --api-key < key.txt
    """
    said: dict[str, Any] = {"providerId": name, "providerBaseUrl": provider_url}
    if api_key:
        said["apiKey"] = sys.stdin.read().strip()
    said |= {"dialect": dialect} if dialect else {}
    said |= {"models": model} if model else {}
    found = managed("POST", _AT, said, base_url, key, as_json=as_json)
    if as_json:
        say_json(found)
    else:
        say(f"{found['id']} is at {found['base_url']} and serves {found['models']} models.")


def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose additions are forgotten.")],
    *,
    base_url: UrlOption = URL,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Forget what was added to a provider; one that is built in or in dragoman.toml stays as it is there.

    dragoman providers remove corp-vllm
    """
    removed(_AT, name, f"What was added to {name} is forgotten.", base_url, key, as_json=as_json)


def update(*, base_url: UrlOption = URL, key: KeyOption = "", as_json: JsonOption = False) -> None:
    """Have every provider's list of models read anew, and show how many there are.

    dragoman providers update
    """
    path = "/api/admin/models/refresh-provider-counts"
    found = managed("POST", path, {}, base_url, key, as_json=as_json)
    if as_json:
        say_json(found)
        return
    counts = found["models"]
    rows = [(name, str(count)) for name, count in counts.items()] if counts else []
    table("Models", ("provider", "models"), rows)


def disable(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who serves nobody any more.")],
    *,
    base_url: UrlOption = URL,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Take a provider out of service until it is enabled.

    dragoman providers disable corp-vllm
    """
    _switched(name, "disable", base_url, key, as_json=as_json)


def enable(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who serves again.")],
    *,
    base_url: UrlOption = URL,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Take a provider back into service; what its failures had disabled is let go as well.

    dragoman providers enable corp-vllm
    """
    _switched(name, "enable", base_url, key, as_json=as_json)


def _switched(name: str, verb: str, base_url: str, key: str, *, as_json: bool) -> None:
    found = managed("POST", f"{named(_AT, name)}/{verb}", {}, base_url, key, as_json=as_json)
    if as_json:
        say_json(found)
    else:
        say(f"{found['id']} {'serves' if found['enabled'] else 'is out of service'}.")


def status() -> str:
    """Whether there is a gateway to ask."""
    return gateway_here()
