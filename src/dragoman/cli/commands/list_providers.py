"""``dragoman list-providers``: who could be asked, and whose key is where."""

from __future__ import annotations

import typer
from msgspec import Struct

from dragoman.cli.logging_in import failing
from dragoman.cli.output import JsonOption, say, say_json, table
from dragoman.cli.settings import EnvFileOption, settings_or_fail

SUMMARY = "List every provider that is known, and where its key is."

_HELP = """List every provider that is known, with the dialect that it speaks, the variable that holds its key, and
where a key is found now. No key is read.

    dragoman list-providers --json
"""


class Row(Struct, frozen=True):
    """One provider."""

    provider: str
    dialect: str
    key_names: tuple[str, ...]
    needs_key: bool
    place: str | None
    """Where a key of it is found now."""


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("list-providers", help=_HELP, short_help=SUMMARY)(list_providers)


def list_providers(*, env_file: EnvFileOption = None, as_json: JsonOption = False) -> None:
    """Lists them (R-CLI-009)."""
    settings = settings_or_fail({"mode": "local"}, env_file, as_json=as_json)
    from dragoman.assembly.user_keys import open_user_keys

    with failing(as_json=as_json):
        keys = open_user_keys(settings, env_file)
        rows = [
            Row(name, each.family, each.env.key, each.auth.required, keys.places(each))
            for name, each in keys.known.items()
            if not each.listed_by
        ]
    if as_json:
        say_json({"providers": rows})
        return
    table(
        "Providers",
        ("provider", "dialect", "key", "found in"),
        [
            (
                row.provider,
                row.dialect,
                " or ".join(row.key_names) or ("-" if row.needs_key else "none needed"),
                row.place or "",
            )
            for row in rows
        ],
    )
    say("dragoman set-key PROVIDER stores a key.")


def status() -> str:
    """How many there are."""
    from dragoman.catalog.files import definitions

    return f"{sum(1 for each in definitions().values() if not each.listed_by)} are built in"
