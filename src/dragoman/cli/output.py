"""How commands speak: people get tables and sentences, ``--json`` gets one JSON value.

Failures go to stderr as a sentence, or to stdout as ``{"error": …}`` under ``--json``, and end the
program with a code that is not 0.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, NoReturn, TypeAlias

import msgspec
import typer

__all__ = ["JsonOption", "fail", "say", "say_json", "table"]

JsonOption: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")
]

USAGE = 2
"""Exit code of a wrong call or configuration, as shells know it."""
FAILED = 1


def say(text: str) -> None:
    """A line for people."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say_json(value: object) -> None:
    """A value for programs."""
    say(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def fail(message: str, *, as_json: bool = False, code: int = FAILED) -> NoReturn:
    """Ends the program with one sentence."""
    if as_json:
        say_json({"error": {"message": message}})
    else:
        sys.stderr.write(message + "\n")
    raise typer.Exit(code)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table; wide enough for its content where nobody looks (a pipe, a file)."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        # Names come from files and providers: they are text, never markup.
        shown.add_row(*(Text(cell) for cell in row))
    terminal = sys.stdout.isatty()
    Console(width=None if terminal else 200, highlight=False).print(shown)
