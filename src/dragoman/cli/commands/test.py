"""``dragoman test``: whether OpenRouter, or another provider, can be reached with the key that is there."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from dragoman.cli.logging_in import failing, opened
from dragoman.cli.output import FAILED, JsonOption, say, say_json
from dragoman.cli.settings import EnvFileOption, settings_or_fail

SUMMARY = "Test the connection to OpenRouter, or to another provider."

_HELP = """Test the connection to OpenRouter, or to another provider, by a call that costs nothing.

Exit code 1 where the key is refused or nobody answers.

    dragoman test

    dragoman test groq
"""


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("test", help=_HELP, short_help=SUMMARY)(connection)


def connection(
    provider: Annotated[str, typer.Argument(help="Whose connection.")] = "openrouter",
    *,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tests it (R-CLI-005)."""
    settings = settings_or_fail({"mode": "local"}, env_file, as_json=as_json)
    from dragoman.assembly.user_keys import known_provider, open_user_keys

    with failing(as_json=as_json):
        keys = open_user_keys(settings, env_file)
        definition = known_provider(keys, provider)
        held = keys.find(provider)
        begun = time.monotonic()
        checked = keys.check(definition, held.key, opened(env_file, as_json=as_json).ask)
    took = round((time.monotonic() - begun) * 1000)
    good = checked.state == "good"
    if as_json:
        told = {"provider": provider, "connected": good, "text": checked.text, "took_ms": took}
        say_json(told)
    else:
        say(f"{'✓' if good else '✗'} {provider}: {checked.text} ({took} ms)")
    if not good:
        raise typer.Exit(FAILED)


def status() -> str:
    """Whether there is a key to test with."""
    from dragoman.assembly.user_keys import open_user_keys
    from dragoman.config.load import load_settings

    keys = open_user_keys(load_settings({"mode": "local"}))
    return "ready" if keys.places(keys.known["openrouter"]) else "no key of openrouter"
