"""The settings of this process for a command, and a sentence where they are wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from dragoman.cli.output import USAGE, fail

if TYPE_CHECKING:
    from dragoman.config.settings import Settings

__all__ = ["EnvFileOption", "settings_or_fail"]

EnvFileOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--env-file", help="File of NAME=value lines. [default: .env where it is]"),
]


def settings_or_fail(
    flags: Mapping[str, object] | None = None,
    env_file: Path | None = None,
    *,
    as_json: bool = False,
) -> Settings:
    """The settings: flags over the environment over files (D37); ends the program if they are wrong."""
    from dragoman.config.load import load_settings
    from dragoman.config.settings import ConfigError

    try:
        return load_settings(dict(flags or {}), env_file)
    except ConfigError as error:
        fail(error.message, as_json=as_json, code=USAGE)
