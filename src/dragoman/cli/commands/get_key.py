"""``dragoman get-key``: a provider's key, as programs of this machine would find it."""

from __future__ import annotations

from typing import Annotated

import typer

from dragoman.cli.logging_in import failing
from dragoman.cli.output import JsonOption, say, say_json
from dragoman.cli.settings import EnvFileOption, settings_or_fail

SUMMARY = "Show a provider's key, masked, and where it is from."

_HELP = """Show a provider's key, masked, and where it was found: in the configuration file, in the environment
or a .env file, or in the store that set-key writes to.

    dragoman get-key

    dragoman get-key anthropic --reveal
"""


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("get-key", help=_HELP, short_help=SUMMARY)(get_key)


def get_key(
    provider: Annotated[str, typer.Argument(help="Whose key.")] = "openrouter",
    *,
    reveal: Annotated[bool, typer.Option("--reveal", help="Print the key itself.")] = False,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Shows it (R-CLI-002, R-ADD-009)."""
    settings = settings_or_fail({"mode": "local"}, env_file, as_json=as_json)
    from dragoman.assembly.user_keys import open_user_keys
    from dragoman.catalog.keys import mask

    with failing(as_json=as_json):
        held = open_user_keys(settings, env_file).find(provider)
    key = held.key.reveal()
    shown = key if reveal else mask(key)
    if as_json:
        say_json(
            {
                "provider": provider,
                "key": shown,
                "masked": not reveal,
                "place": held.place,
                "fault": held.fault,
            }
        )
        return
    say(shown if reveal else f"{provider}: {shown}  (from {held.place})")
    if held.fault:
        say(f"Does it look right? {held.fault.capitalize()}.")


def status() -> str:
    """Whose keys would be found."""
    from dragoman.assembly.user_keys import configured, open_user_keys
    from dragoman.config.load import load_settings

    names = list(configured(open_user_keys(load_settings({"mode": "local"}))))
    return f"keys of {', '.join(names)}" if names else "no key of any provider"
