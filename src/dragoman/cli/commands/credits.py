"""``dragoman credits``: what is left on accounts at providers (R-USE-003)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dragoman.cli.output import JsonOption, fail, say, say_json, table
from dragoman.cli.settings import EnvFileOption, settings_or_fail
from dragoman.cli.work import done

if TYPE_CHECKING:
    from dragoman.asking import Standing

SUMMARY = "Show what is left on your account at a provider."

_HELP = """Show what is left on your account at a provider, which is asked with each of your keys for it.

    dragoman credits

    dragoman credits openrouter --json
"""


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("credits", help=_HELP, short_help=SUMMARY)(credits_)


def credits_(
    provider: Annotated[
        str, typer.Argument(metavar="[PROVIDER]", help="Whom to ask.")
    ] = "openrouter",
    *,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Asks the provider, and tells."""
    settings = settings_or_fail({"mode": "local"}, env_file, as_json=as_json)
    from dragoman.asking import standings
    from dragoman.config.load import environment

    found = done(standings(settings, environment(env_file), provider), as_json=as_json)
    if not found:
        fail(f"There is no key for {provider}.", as_json=as_json)
    if as_json:
        say_json({"provider": provider, "accounts": [_members(each) for each in found]})
        return
    names = ("credential", "total_credits", "total_usage", "remaining")
    rows = [tuple(_members(each)[name] for name in names) for each in found]
    table(f"Credits at {provider}, USD", names, rows)
    say(f"{len(found)} account{'s' if len(found) > 1 else ''} asked")


def _members(each: Standing) -> dict[str, str]:
    from dragoman.core.money import plain

    account = each.account
    return {
        "credential": each.credential,
        "total_credits": plain(account.total),
        "total_usage": plain(account.used),
        "remaining": plain(account.remaining),
    }


def status() -> str:
    """It asks the provider."""
    return "asks the provider"
