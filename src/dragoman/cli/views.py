"""Reading the ledger for a command: whose calls, of which span, and told as tables with a line of small bars.

Commands read the database itself, so they work with a gateway or without one. Where one runs here, it is
asked to write down first what it still has in memory; without its key, or of other workers, what they show
may be some seconds old (D26).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

import typer

from dragoman.cli.settings import settings_or_fail
from dragoman.cli.work import done_with

if TYPE_CHECKING:
    from dragoman.accounting.asked import Asked
    from dragoman.accounting.ports import Sums
    from dragoman.accounting.question import Key
    from dragoman.stores import Views

__all__ = [
    "SinceOption",
    "TenantOption",
    "UntilOption",
    "cells",
    "days_line",
    "estimated_words",
    "freshen",
    "media_words",
    "sparkline",
    "with_views",
]

T = TypeVar("T")

SinceOption: TypeAlias = Annotated[
    str | None, typer.Option(metavar="TIME", help="From this time on: 2026-01-31, or with hours.")
]
UntilOption: TypeAlias = Annotated[
    str | None, typer.Option(metavar="TIME", help="Before this time.")
]
TenantOption: TypeAlias = Annotated[
    str | None, typer.Option(help="Only this tenant's calls. [all]")
]

_BARS = "▁▂▃▄▅▆▇█"
_PATIENCE_S = 3.0
COLUMNS = ("requests", "failed", "input", "output", "cost USD", "charged USD", "estimated USD")
_UNKNOWN = "unknown"


def freshen(base_url: str, key: str) -> bool:
    """Has a gateway that runs there bring its calls to the database; whether it did."""
    from dragoman.cli.gateway import Gateway, GatewayRefusal

    try:
        Gateway(base_url, key, _PATIENCE_S).read("/v1/usage")
    except GatewayRefusal:
        return False
    return True


def with_views(
    work: Callable[[Views], Awaitable[T]],
    env_file: Path | None,
    access: tuple[str, str],
    *,
    as_json: bool,
) -> T:
    """What came of the work on the ledger's views; ``access`` is where a gateway may run, and its key."""
    settings = settings_or_fail(None, env_file, as_json=as_json)
    freshen(*access)
    from dragoman.stores import open_views

    return done_with(open_views(settings), work, as_json=as_json)


def sparkline(numbers: Sequence[float]) -> str:
    """A bar for each number, from nothing to the largest of them."""
    most = max(numbers, default=0)
    if most <= 0:
        return _BARS[0] * len(numbers)
    top = len(_BARS) - 1
    # Who has anything is seen to have it.
    return "".join(_BARS[max(bool(each), round(each / most * top))] for each in numbers)


def days_line(days: dict[str, Sums], last: str, count: int) -> str:
    """The requests of so many days up to ``last``, as bars."""
    from datetime import date, timedelta

    end = date.fromisoformat(last)
    names = [(end - timedelta(days=back)).isoformat() for back in range(count - 1, -1, -1)]
    return sparkline([days[name].requests if name in days else 0 for name in names])


def cells(sums: Sums) -> tuple[str, ...]:
    """Sums as cells of a table, in the order of ``COLUMNS``."""
    from dragoman.accounting.report import totals

    told = totals(sums)
    guessed = told.estimated
    return (
        str(told.requests),
        str(told.failed_requests),
        str(told.input_tokens),
        str(told.output_tokens),
        _UNKNOWN if told.cost_usd is None else told.cost_usd,
        _UNKNOWN if told.charged_usd is None else told.charged_usd,
        ("-" if not guessed.requests else guessed.cost_usd) or _UNKNOWN,
    )


def media_words(media: dict[str, int]) -> list[str]:
    """What there was of sound, pictures and searches, as ``media_of`` has it."""
    return [f"{number} {name.replace('_', ' ')}" for name, number in media.items()]


def estimated_words(guessed: dict[str, Any]) -> str:
    """What was estimated, as pages tell it, for people."""
    cost = _UNKNOWN if guessed["cost_usd"] is None else f"{guessed['cost_usd']} USD"
    tokens = guessed["input_tokens"] + guessed["output_tokens"]
    return f"{guessed['requests']} requests, {tokens} tokens, {cost}"


def members(asked: Asked, rows: Sequence[tuple[Key, Sums]]) -> list[dict[str, Any]]:
    """Groups as members for programs."""
    import msgspec

    from dragoman.accounting.report import totals
    from dragoman.accounting.usage import names_of

    return [msgspec.to_builtins(totals(sums, **names_of(asked.group, key))) for key, sums in rows]
