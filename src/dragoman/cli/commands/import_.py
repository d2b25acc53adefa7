"""``dragoman import``: another gateway's configuration as a ``dragoman.toml``, and JSON files of data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dragoman.cli.output import JsonOption, fail, say, say_json, table
from dragoman.cli.settings import EnvFileOption, settings_or_fail
from dragoman.cli.work import done

if TYPE_CHECKING:
    from dragoman.moving.draft import Draft
    from dragoman.moving.write import Written

SUMMARY = "Move in from LiteLLM, Portkey, new-api or AnyGPT; read JSON files of data."

_HELP = """Move in from another gateway: its configuration becomes a dragoman.toml.

What can be said here is carried over, what cannot is listed with its place and the reason. A secret never
comes into the file: it says ${NAME} instead, and the names that have to be set are listed.

    dragoman import litellm config.yaml --out dragoman.toml

    dragoman import json ./data
"""

_OutOption = Annotated[Path, typer.Option(help="The file to write.")]
_ReplaceOption = Annotated[
    bool, typer.Option("--replace", help="Write over a file that is there already.")
]
_Read = Callable[[], "Draft"]


def add_to(app: typer.Typer) -> None:
    """Registers the group."""
    group = typer.Typer(help=_HELP, short_help=SUMMARY, no_args_is_help=True)
    group.command("litellm", short_help="LiteLLM's config.yaml.")(litellm)
    group.command("portkey", short_help="A config of Portkey's, or a list of them.")(portkey)
    group.command("new-api", short_help="Channels of new-api or one-api.")(new_api)
    group.command("anygpt", short_help="AnyGPT's data folder.")(anygpt)
    group.command("json", short_help="keys.json, tiers.json, providers.json, models.json.")(json_)
    app.add_typer(group, name="import")


def litellm(
    file: Annotated[Path, typer.Argument(help="config.yaml; needs the extra [yaml].")],
    *,
    out: _OutOption = Path("dragoman.toml"),
    replace: _ReplaceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a dragoman.toml from LiteLLM's config.yaml: models, weights, fallbacks, prices, a budget."""

    def read() -> Draft:
        from dragoman.moving.litellm import read_litellm
        from dragoman.moving.source import read_source

        return read_litellm(read_source(file))

    _write(read, "LiteLLM", file, out, replace=replace, as_json=as_json)


def portkey(
    file: Annotated[Path, typer.Argument(help="A config as JSON, or a list of {name, config}.")],
    *,
    name: Annotated[
        str | None, typer.Option(help="What callers say as their model. [the file's name]")
    ] = None,
    out: _OutOption = Path("dragoman.toml"),
    replace: _ReplaceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a dragoman.toml from a config of Portkey's: its targets become the candidates of a route."""

    def read() -> Draft:
        from dragoman.moving.portkey import read_portkey
        from dragoman.moving.source import read_source

        return read_portkey(read_source(file), name or file.stem)

    _write(read, "Portkey", file, out, replace=replace, as_json=as_json)


def new_api(
    file: Annotated[Path, typer.Argument(help="The answer of GET /api/channel/, or a list.")],
    *,
    one_api: Annotated[
        bool, typer.Option("--one-api", help="The numbers of types are those of one-api.")
    ] = False,
    out: _OutOption = Path("dragoman.toml"),
    replace: _ReplaceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a dragoman.toml from the channels of new-api: their models, keys, priorities and weights."""

    def read() -> Draft:
        from dragoman.moving.new_api import read_new_api
        from dragoman.moving.source import read_source

        return read_new_api(read_source(file), "one-api" if one_api else "new-api")

    _write(read, "new-api", file, out, replace=replace, as_json=as_json)


def anygpt(
    folder: Annotated[Path, typer.Argument(help="Where providers.json and tiers.json are.")],
    *,
    out: _OutOption = Path("dragoman.toml"),
    replace: _ReplaceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a dragoman.toml from AnyGPT's data folder: its providers, their models, and tiers."""

    def read() -> Draft:
        from dragoman.moving.anygpt import read_anygpt

        return read_anygpt(folder)

    _write(read, "AnyGPT", folder, out, replace=replace, as_json=as_json)


def json_(
    folder: Annotated[Path, typer.Argument(help="Where the files are; each may be missing.")],
    *,
    tenant: Annotated[
        str, typer.Option(help="Whose the keys of a legacy file are to be.")
    ] = "default",
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read the files that `dragoman export` writes, and those of AnyGPT; all are checked before one is used.

    Keys of a legacy keys.json, which has them raw, are stored as digests: delete that file afterwards.
    """
    from dragoman.moving.json_in import read_folder

    settings = settings_or_fail({"mode": "local"}, env_file, as_json=as_json)
    found = done(read_folder(settings, folder, tenant), as_json=as_json, what="Reading the files")
    if as_json:
        say_json(found)
        return
    for line in found.done:
        say(line)
    for line in found.left:
        say(f"left: {line}")


def status() -> str:
    """Whether YAML can be read."""
    from importlib.util import find_spec

    if find_spec("yaml") is None:
        return "ready for JSON; YAML needs `pip install 'dragoman[yaml]'`"
    return "ready"


def _write(
    read: _Read, whose: str, source: Path, out: Path, *, replace: bool, as_json: bool
) -> None:
    from dragoman.core.errors import GatewayError
    from dragoman.moving.write import write_config

    if out.exists() and not replace:
        fail(f"{out} is there already: say --replace, or --out.", as_json=as_json)
    try:
        written = write_config(read(), whose, source, out)
    except GatewayError as error:
        fail(error.message, as_json=as_json)
    if as_json:
        say_json({"file": str(out), "written": written})
    else:
        _tell(written, out)
    if written.errors:
        raise typer.Exit(1)


def _tell(written: Written, out: Path) -> None:
    said = ", ".join(f"{number} {what}" for what, number in written.counts.items() if number)
    say(f"{out}: {said or 'nothing could be carried over'}.")
    if written.variables:
        table("Set these", ("variable", "it is"), list(written.variables.items()))
    if written.settings:
        table(
            "Settings that the file cannot say",
            ("variable", "value"),
            list(written.settings.items()),
        )
    if written.missed:
        table(
            "Not carried over",
            ("where", "why"),
            [(each.place, each.reason) for each in written.missed],
        )
    for error in written.errors:
        say(f"error: {error}")
    say("When the variables are set: dragoman config validate")
