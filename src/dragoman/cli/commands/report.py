"""``dragoman report``: what all tenants have used, from the ledger itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from dragoman.cli.access import KEY, URL, KeyOption, UrlOption
from dragoman.cli.output import USAGE, JsonOption, fail, say, say_json, table
from dragoman.cli.settings import EnvFileOption
from dragoman.cli.views import (
    COLUMNS,
    SinceOption,
    TenantOption,
    UntilOption,
    cells,
    days_line,
    media_words,
    members,
    with_views,
)

if TYPE_CHECKING:
    from dragoman.accounting.asked import Asked
    from dragoman.accounting.ports import Scope, Sums
    from dragoman.accounting.question import Key
    from dragoman.stores import Views

SUMMARY = "Report what all tenants have used."

_HELP = """Report what all tenants have used, this month and model by model unless said.

Groups are day, month, tenant, key, provider, model, caller, root, project, user and tag; several stand with
commas between them. --calls writes a row for each call.

    dragoman report --group tenant,model --since 2026-01-01 --until 2026-02-01

    dragoman report --calls --csv > calls.csv
"""


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("report", help=_HELP, short_help=SUMMARY)(report)


def report(
    *,
    group: Annotated[str, typer.Option(help="By what.")] = "provider,model",
    since: SinceOption = None,
    until: UntilOption = None,
    tenant: TenantOption = None,
    caller: Annotated[str | None, typer.Option(help="Only this caller's calls. [all]")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many rows.")] = 50,
    calls: Annotated[
        bool, typer.Option("--calls", help="A row for each call, as JSON lines.")
    ] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, with all rows.")] = False,
    env_file: EnvFileOption = None,
    base_url: UrlOption = URL,
    key: KeyOption = KEY,
    as_json: JsonOption = False,
) -> None:
    """Reads the ledger, and tells."""
    from dragoman.accounting.asked import DIMENSIONS, parse_asked
    from dragoman.core.errors import CallerError

    said = {"group": group, "since": since, "until": until, "tenant": tenant, "caller": caller}
    if calls:
        said |= {"group": "request", "format": "csv" if as_csv else "jsonl"}
    if since is None and until is None:
        said["since"] = time.strftime("%Y-%m-01", time.gmtime())
    words = {name: word for name, word in said.items() if word}
    try:
        asked = parse_asked(words, DIMENSIONS, wide=True)
    except CallerError as error:
        fail(error.message, as_json=as_json, code=USAGE)
    access = (base_url, key)
    if asked.calls:
        with_views(lambda views: _write_calls(views, asked), env_file, access, as_json=as_json)
        return

    async def read(views: Views) -> tuple[dict[Key, Sums], dict[Key, Sums]]:
        from msgspec.structs import replace

        from dragoman.accounting.usage import MOST_GROUPS

        question = asked.question(_scope(asked))
        found = await views.reports.ask(question, MOST_GROUPS)
        return found, await views.reports.ask(replace(question, group=("day",)), MOST_GROUPS)

    found, days = with_views(read, env_file, access, as_json=as_json)
    _tell(asked, found, days, limit, as_json=as_json, as_csv=as_csv)


def _scope(asked: Asked) -> Scope:
    from dragoman.accounting.ports import Scope

    return Scope(asked.tenant, None, asked.since_us, asked.until_us)


async def _write_calls(views: Views, asked: Asked) -> None:
    import sys

    from dragoman.accounting.usage import all_calls

    pieces = all_calls(views.exports, _scope(asked), asked).pieces
    assert pieces is not None, "calls come in pieces"
    async for piece in pieces:
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


def _tell(
    asked: Asked,
    found: dict[Key, Sums],
    days: dict[Key, Sums],
    limit: int,
    *,
    as_json: bool,
    as_csv: bool,
) -> None:
    from dragoman.accounting.ports import Sums
    from dragoman.accounting.report import add, media_of, totals, usd
    from dragoman.accounting.usage import page_of_sums, sheet_of_sums

    total = Sums()
    for sums in days.values():
        add(total, sums)
    rows, after = page_of_sums(found, asked, len(found) if as_csv else limit)
    if as_csv:
        say(sheet_of_sums(rows, asked.group).decode().rstrip())
    elif as_json:
        say_json(
            {"data": members(asked, rows), "totals": totals(total), "has_more": after is not None}
        )
    elif not found:
        say("Nothing was used in that span.")
    else:
        told = [(*(name or "-" for name in key), *cells(sums)) for key, sums in rows]
        table("Usage", (*asked.group, *COLUMNS), told)
        by_day = {key[0]: sums for key, sums in days.items()}
        say(f"{days_line(by_day, max(by_day), 31)}  requests a day up to {max(by_day)}")
        words = dict(zip(COLUMNS, cells(total), strict=True))
        others = f", other tries {usd(total.other_cost_pico)} USD" if total.other_cost_pico else ""
        unknown = f", cost of {total.unknown_cost} unknown" if total.unknown_cost else ""
        media = "".join(f", {each}" for each in media_words(media_of(total)))
        cost = f"{words['cost USD']} USD in all{others}{unknown}{media}"
        say(
            f"{_counted(int(words['requests']), 'request')}, {cost}; {_counted(len(found), 'group')}"
        )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def status() -> str:
    """It needs the database alone."""
    return "ready"
