"""``dragoman init``: the first ``.env`` file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dragoman.cli.output import JsonOption, fail, say, say_json

SUMMARY = "Write a first .env file, for production with keys of its own."

_HELP = """Write a first .env file, readable by you alone. A file that is there is never overwritten.

A file for your keys of providers is made beside it, in the secrets folder (DRAGOMAN_SECRETS).

With --prod it holds all that MODE=prod demands: DATABASE_URL, a new FERNET_KEY and CORS_ALLOW_ORIGINS.

    dragoman init --prod --origin https://app.example.com

    dragoman init --prod --database-url postgresql://dragoman@db.internal/dragoman
"""


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("init", help=_HELP, short_help=SUMMARY)(init)


def init(
    *,
    prod: Annotated[
        bool, typer.Option("--prod", help="What production demands; without it MODE=local.")
    ] = False,
    file: Annotated[Path, typer.Option("--file", help="The file to write.")] = Path(".env"),
    database_url: Annotated[
        str | None, typer.Option(help="The database. [SQLite in DRAGOMAN_HOME]")
    ] = None,
    origin: Annotated[
        list[str] | None,
        typer.Option(
            help="A web origin that may call; say it once for each. [http://localhost:8000]"
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Writes it, and says what is next."""
    from dragoman.catalog.files import definitions
    from dragoman.config.first_file import local_file, new_fernet_key, production_file, write_new
    from dragoman.config.load import load_settings
    from dragoman.config.settings import ConfigError
    from dragoman.core.errors import GatewayError
    from dragoman.credentials.key_store import FileKeys, template

    try:
        # Made where it is missing, and never touched again (R-CRED-002).
        keys = FileKeys(load_settings({"mode": "local"}).dragoman_secrets.expanduser())
        made = keys.make(template(definitions().values()))
    except GatewayError as error:
        fail(error.message, as_json=as_json)
    try:
        if prod:
            home = load_settings().dragoman_home
            url = database_url or f"sqlite:///{home / 'dragoman.db'}"
            text = production_file(url, origin or ["http://localhost:8000"], new_fernet_key())
        else:
            text = local_file()
        write_new(file, text)
    except ConfigError as error:
        fail(error.message, as_json=as_json)
    if as_json:
        keys_file = {"file": keys.place, "written": made}
        say_json({"file": str(file), "mode": "prod" if prod else "local", "keys": keys_file})
    else:
        say(f"{file} is written, for your eyes alone. Now: dragoman serve --env-file {file}")
        if made:
            say(
                f"{keys.place} is written as well: your keys of providers go there, by dragoman set-key."
            )


def status() -> str:
    """Whether there is something left to write."""
    return ".env is there" if Path(".env").exists() else "no .env here yet"
