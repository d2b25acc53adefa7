"""``dragoman completion``: a script by which a shell completes commands, options and models."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from dragoman.cli.output import JsonOption, say, say_json

SUMMARY = "Print a script by which your shell completes commands."

_HELP = """Print a script by which your shell completes commands, options, providers and models.

    eval "$(dragoman completion bash)"

    dragoman completion zsh > ~/.zfunc/_dragoman

    dragoman completion fish > ~/.config/fish/completions/dragoman.fish
"""
VARIABLE = "_DRAGOMAN_COMPLETE"
"""Set by the script when it asks what may stand here."""


class Shell(StrEnum):
    """Shells that there are scripts for."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("completion", help=_HELP, short_help=SUMMARY)(completion)


def completion(
    shell: Annotated[Shell, typer.Argument(help="Which shell it is for.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Prints it."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    script = get_completion_script(prog_name="dragoman", complete_var=VARIABLE, shell=shell.value)
    if as_json:
        say_json({"shell": shell.value, "script": script})
    else:
        say(script)


def status() -> str:
    """Which shells there are scripts for."""
    return f"ready; for {', '.join(Shell)}"
