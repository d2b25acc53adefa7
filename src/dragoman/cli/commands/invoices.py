"""``dragoman invoices``: what tenants owe for a month."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from dragoman.cli.access import KEY, URL, KeyOption, UrlOption
from dragoman.cli.output import JsonOption, say, say_json
from dragoman.cli.settings import EnvFileOption
from dragoman.cli.views import TenantOption, with_views

if TYPE_CHECKING:
    from dragoman.accounting.invoice import Invoice
    from dragoman.stores import Views

SUMMARY = "Show what tenants owe for a month."

_HELP = """Show what tenants owe for a month, by key and model; the sums are the ledger's to the last digit.

    dragoman invoices 2026-01

    dragoman invoices 2026-01 --tenant acme --csv > acme.csv
"""


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("invoices", help=_HELP, short_help=SUMMARY)(invoices)


def invoices(
    month: Annotated[
        str | None, typer.Argument(metavar="[MONTH]", help="As 2026-01. [this month]")
    ] = None,
    *,
    tenant: TenantOption = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    env_file: EnvFileOption = None,
    base_url: UrlOption = URL,
    key: KeyOption = KEY,
    as_json: JsonOption = False,
) -> None:
    """Reads the ledger, and tells."""
    wanted = month or time.strftime("%Y-%m", time.gmtime())

    async def read(views: Views) -> list[Invoice]:
        from dragoman.accounting.invoice import invoices as made

        return await made(views.reports, wanted, int(time.time() * 1_000_000), tenant)

    found = with_views(read, env_file, (base_url, key), as_json=as_json)
    from dragoman.accounting.invoice import invoices_as_csv, invoices_as_text

    if as_csv:
        say(invoices_as_csv(found).decode().rstrip())
    elif as_json:
        say_json({"data": found})
    elif not found:
        say(f"Nobody has called in {wanted}.")
    else:
        say(invoices_as_text(found).rstrip())


def status() -> str:
    """It needs the database alone."""
    return "ready"
