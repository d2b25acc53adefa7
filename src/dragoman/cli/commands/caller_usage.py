"""``dragoman caller-usage``: what one caller has used (R-CLI-014)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from dragoman.cli.access import KEY, URL, KeyOption, UrlOption
from dragoman.cli.commands.stats import few, sentence
from dragoman.cli.output import JsonOption, say, say_json, table
from dragoman.cli.settings import EnvFileOption
from dragoman.cli.views import COLUMNS, TenantOption, cells, days_line, with_views

if TYPE_CHECKING:
    from dragoman.accounting.ports import Sums
    from dragoman.accounting.question import Dimension, Key
    from dragoman.stores import Views

SUMMARY = "Show what one caller has used."

_HELP = """Show what one caller has used, model by model and chain by chain.

CALLER is what calls say in x-dragoman-caller, else their key's name. Of a chain such as
"multi_skill:orchestrator->skill1" its first element names all chains that begin with it.

    dragoman caller-usage multi_skill:orchestrator
"""
_DAYS = 30


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("caller-usage", help=_HELP, short_help=SUMMARY)(caller_usage)


def caller_usage(
    caller: Annotated[str, typer.Argument(metavar="CALLER", help="Whose calls.")],
    *,
    tenant: TenantOption = None,
    env_file: EnvFileOption = None,
    base_url: UrlOption = URL,
    key: KeyOption = KEY,
    as_json: JsonOption = False,
) -> None:
    """Reads the ledger, and tells."""

    async def read(views: Views) -> list[dict[Key, Sums]]:
        from dragoman.accounting.ports import Scope
        from dragoman.accounting.question import CHAIN, Question
        from dragoman.accounting.usage import MOST_GROUPS

        whole = {"caller": caller} if CHAIN in caller else {"root": caller}
        groups: tuple[tuple[Dimension, ...], ...] = (("caller",), ("provider", "model"), ("day",))
        return [
            await views.reports.ask(Question(Scope(tenant), group, **whole), MOST_GROUPS)
            for group in groups
        ]

    chains, models, days = with_views(read, env_file, (base_url, key), as_json=as_json)
    if as_json:
        say_json(
            {
                "caller": caller,
                **few(list(chains.values())),
                "chains": {name[0]: few([sums]) for name, sums in sorted(chains.items())},
                "models": {"/".join(name): few([sums]) for name, sums in sorted(models.items())},
                "days": {name[0]: few([sums]) for name, sums in sorted(days.items())},
            }
        )
        return
    if not chains:
        say(f"{caller} has used nothing.")
        return
    say(f"{caller}: {sentence(few(list(chains.values())))}")
    table(
        "By caller", ("caller", *COLUMNS), [(k[0], *cells(s)) for k, s in sorted(chains.items())]
    )
    table(
        "By model",
        ("provider", "model", *COLUMNS),
        [(*(name or "-" for name in k), *cells(s)) for k, s in sorted(models.items())],
    )
    by_day = {name[0]: sums for name, sums in days.items()}
    today = time.strftime("%Y-%m-%d", time.gmtime())
    say(f"{days_line(by_day, today, _DAYS)}  requests a day, the last {_DAYS} days")


def status() -> str:
    """It needs the database alone."""
    return "ready"
