"""``dragoman init``: the first ``.env`` file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dragoman.cli.output import JsonOption, fail, say, say_json

SUMMARY = "Write a first .env file, for production with keys of its own."

_HELP = """Write a first .env file, readable by you alone. A file that is there is never overwritten.

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
    from dragoman.config.first_file import local_file, new_fernet_key, production_file, write_new
    from dragoman.config.load import load_settings
    from dragoman.config.settings import ConfigError

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
        say_json({"file": str(file), "mode": "prod" if prod else "local"})
    else:
        say(f"{file} is written, for your eyes alone. Now: dragoman serve --env-file {file}")


def status() -> str:
    """Whether there is something left to write."""
    return ".env is there" if Path(".env").exists() else "no .env here yet"
