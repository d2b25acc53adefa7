"""``dragoman export``: keys, tiers, providers and models as JSON files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dragoman.cli.output import JsonOption, say, say_json
from dragoman.cli.settings import EnvFileOption, settings_or_fail
from dragoman.cli.work import done

SUMMARY = "Write keys, tiers, providers and models as JSON files."


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("export", short_help=SUMMARY)(export)


def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; made if missing.")],
    *,
    with_digests: Annotated[
        bool,
        typer.Option(
            help="The keyed digests of keys, too: another database with the same pepper can take them."
        ),
    ] = False,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write keys.json, tiers.json, providers.json and models.json, with their JSON schemas beside them.

    Callers' keys themselves are not stored anywhere, so they are not in it; of providers' keys the names
    of their variables are. Without --with-digests a list of keys is for people: nobody can store it again.

    `dragoman import json DIR` reads them; `dragoman db backup FILE` keeps everything.
    """
    from dragoman.config.load import environment
    from dragoman.moving.json_out import write_folder

    settings = settings_or_fail({"mode": "local"}, env_file, as_json=as_json)
    work = write_folder(settings, environment(env_file), folder, with_digests=with_digests)
    made = done(work, as_json=as_json, what="Writing the files")
    if as_json:
        say_json(
            {
                "with_digests": with_digests,
                "folder": made.folder,
                "counts": made.counts,
                "left": made.left,
            }
        )
        return
    told = ", ".join(f"{name} ({number})" for name, number in made.counts.items())
    say(f"{folder}: {told}.")
    if with_digests:
        say(
            "keys.json holds digests: they open nothing, and only this database's pepper knows them."
        )
    else:
        say("keys.json holds no digests (--with-digests): it cannot be stored again.")
    if made.left:
        listed = ", ".join(f"{what} ({number})" for what, number in made.left.items())
        say(f"In no file: {listed}. `dragoman db backup FILE` carries them.")


def status() -> str:
    """It needs nothing but the database."""
    return "ready"
