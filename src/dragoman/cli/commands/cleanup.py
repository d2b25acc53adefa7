"""``dragoman cleanup``: removes old calls from the ledger (R-CLI-015)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dragoman.cli.output import JsonOption, say, say_json
from dragoman.cli.settings import EnvFileOption, settings_or_fail
from dragoman.cli.stored import noted
from dragoman.cli.work import done_with

if TYPE_CHECKING:
    from dragoman.store.sql.retention import SqlRetention
    from dragoman.stores import Views

SUMMARY = "Remove calls older than some days."

_HELP = """Remove calls older than DAYS from the ledger, a little at a time: a running gateway goes on meanwhile.

What they have used stays in the sums by hour and day, which reports and invoices are made of; --sums removes those
as well. UTC days count, and the last one is always kept whole.

    dragoman cleanup 90

    dragoman cleanup 90 --dry-run
"""


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("cleanup", help=_HELP, short_help=SUMMARY)(cleanup)


def cleanup(
    days: Annotated[int, typer.Argument(min=1, metavar="[DAYS]", help="What is kept.")] = 30,
    *,
    sums: Annotated[
        bool, typer.Option("--sums", help="Remove what is known of those days in sums, too.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell how many it would be, and remove none.")
    ] = False,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Removes, and tells how many it were; none is no failure."""

    async def remove(views: Views) -> tuple[int, int]:
        keeping = views.keeping(days)
        if dry_run:
            return await keeping.old(), 0
        async with (
            open_audit_log(settings) as audit,
            noted(audit, "ledger.cleanup", f"{days} days") as note,
        ):
            gone, sums_gone = await old_removed(keeping)
            note.after = {"calls": gone, "sums": sums_gone}
        return gone, sums_gone

    async def old_removed(keeping: SqlRetention) -> tuple[int, int]:
        import asyncio

        from dragoman.store.sql.forgetting import BATCH, PAUSE_S

        gone = sums_gone = 0
        while some := await keeping.expire(BATCH):
            gone += some
            await asyncio.sleep(PAUSE_S)
        while sums and (some := await keeping.forget_sums(BATCH)):
            sums_gone += some
            await asyncio.sleep(PAUSE_S)
        return gone, sums_gone

    settings = settings_or_fail(None, env_file, as_json=as_json)
    from dragoman.stores import open_audit_log, open_views

    gone, sums_gone = done_with(open_views(settings), remove, as_json=as_json)
    if as_json:
        say_json(
            {"days": days, "dry_run": dry_run, "removed_calls": gone, "removed_sums": sums_gone}
        )
    elif not gone and not sums_gone:
        say(f"Nothing is older than {days} days: 0 calls removed.")
    else:
        verb = "would be removed" if dry_run else "removed"
        more = f", {sums_gone} sums" if sums else ""
        say(f"{gone} calls older than {days} days {verb}{more}.")


def status() -> str:
    """It needs the database alone."""
    return "ready"
