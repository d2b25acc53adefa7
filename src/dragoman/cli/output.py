"""How commands speak: people get tables and sentences, ``--json`` gets one JSON value.

Failures go to stderr as a sentence, or to stdout as ``{"error": …}`` under ``--json``, and end the
program with a code that is not 0.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, NoReturn, TypeAlias

import msgspec
import typer

__all__ = ["JsonOption", "fail", "remark", "say", "say_json", "table"]

JsonOption: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")
]

USAGE = 2
"""Exit code of a wrong call or configuration, as shells know it."""
FAILED = 1
_KEPT = "\n\t"
_SPACES = str.maketrans(_KEPT, "  ")


def say(text: str) -> None:
    """A line for people, or several; what others have written in it moves no cursor."""
    sys.stdout.write(harmless(text) + "\n")
    sys.stdout.flush()


def remark(text: str) -> None:
    """A line for people beside what a command gives, which may be read by a program."""
    sys.stderr.write(harmless(text) + "\n")


def say_json(value: object) -> None:
    """A value for programs."""
    say(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def fail(message: str, *, as_json: bool = False, code: int = FAILED) -> NoReturn:
    """Ends the program with one sentence."""
    if as_json:
        say_json({"error": {"message": message}})
    else:
        sys.stderr.write(harmless(message) + "\n")
    raise typer.Exit(code)


def harmless(text: str) -> str:
    """The same with every sign that a terminal would obey, or hide, written out.

    Models' names and tags are their callers' words, and whoever reads them may be an administrator.
    """
    if text.translate(_SPACES).isprintable():
        return text
    return "".join(
        sign if sign in _KEPT or sign.isprintable() else ascii(sign)[1:-1] for sign in text
    )


_NUMBER = re.compile(r"-?\d+(\.\d+)?%?")
_NO_NUMBER = frozenset({"", "-", "unknown"})


def _are_numbers(cells: Sequence[str]) -> bool:
    """Whether a column has numbers, and beside them only what stands for none."""
    told = [cell for cell in cells if cell not in _NO_NUMBER]
    return bool(told) and all(_NUMBER.fullmatch(cell) for cell in told)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table, numbers to the right; wide enough for its content where nobody looks (a pipe, a file)."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    cells = [tuple(row) for row in rows]
    for place, column in enumerate(columns):
        right = bool(cells) and _are_numbers([row[place] for row in cells])
        shown.add_column(column, overflow="fold", justify="right" if right else "left")
    for row in cells:
        # Names come from files and providers: they are text, never markup.
        shown.add_row(*(Text(harmless(cell)) for cell in row))
    terminal = sys.stdout.isatty()
    Console(width=None if terminal else 200, highlight=False).print(shown)
