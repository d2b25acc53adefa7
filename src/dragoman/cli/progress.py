"""What a person sees while something takes its time: on standard error, and only where somebody looks.

Standard output stays what the command says. A pipe, a file and ``--json`` see nothing of it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["counted", "working"]

_T = TypeVar("_T")


def counted(what: str, items: Iterable[_T], total: int | None = None) -> Iterator[_T]:
    """The items, with a bar that moves on with each; without a total it tells how many there were."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        for item in items:
            yield item
            bar.advance(task)


@contextmanager
def working(what: str) -> Iterator[None]:
    """Tells that something is under way until the block has ended."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.text import Text

    # A model's name is text, never markup.
    with Console(stderr=True).status(Text(f"{what} …")):
        yield
