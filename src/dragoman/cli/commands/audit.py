"""``dragoman audit``: what administrators did, and whether the record of it is whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from dragoman.cli.output import FAILED, USAGE, JsonOption, fail, say, say_json, table
from dragoman.cli.settings import EnvFileOption, settings_or_fail
from dragoman.cli.work import done_with

if TYPE_CHECKING:
    from dragoman.audit.chain import Entry, Finding
    from dragoman.config.settings import Settings
    from dragoman.store.sql.audit import SqlAudit

SUMMARY = "Show and verify what administrators did."

_HELP = """Show and verify what administrators did.

Every change over the admin API is an entry, bound to the one before it by a seal; these commands read
the database itself, with or without a running gateway.

    dragoman audit list --limit 20

    dragoman audit verify
"""

_T = TypeVar("_T")


class Ended(StrEnum):
    """How a deed stands in an entry."""

    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"


def add_to(app: typer.Typer) -> None:
    """Registers the group."""
    group = typer.Typer(help=_HELP, short_help=SUMMARY, no_args_is_help=True)
    group.command("list", short_help="Show entries, the newest first.")(list_)
    group.command("verify", short_help="Check that no entry was changed or removed.")(verify)
    app.add_typer(group, name="audit")


def list_(
    *,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    actor: Annotated[str | None, typer.Option(help="Only what this key did. [all]")] = None,
    target: Annotated[str | None, typer.Option(help="Only what was done to it. [all]")] = None,
    action: Annotated[
        str | None, typer.Option(help="Only this, such as api_key.revoke. [all]")
    ] = None,
    tenant: Annotated[
        str | None, typer.Option(help="Only of what is this tenant's; * is the house's. [all]")
    ] = None,
    outcome: Annotated[
        Ended | None, typer.Option(help="Only what has ended so, or was begun. [all]")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="From this time on, ISO 8601 or Unix seconds."),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before this time.")] = None,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show entries, the newest first. What was begun and what became of it are two of them."""
    first, last = (
        _moment("since", since, as_json=as_json),
        _moment("until", until, as_json=as_json),
    )

    async def read(log: SqlAudit) -> list[Entry]:
        return await log.page(
            limit=limit,
            actor=actor,
            target=target,
            action=action,
            tenant=tenant,
            outcome=outcome,
            since_us=first,
            until_us=last,
        )

    entries = _with_log(read, settings_or_fail(None, env_file, as_json=as_json), as_json=as_json)
    if as_json:
        say_json({"entries": entries})
    elif not entries:
        say("Nobody has done anything yet.")
    else:
        table(
            "Audit log",
            ("number", "when", "who", "what", "to what", "outcome"),
            [_row(entry) for entry in entries],
        )


def _moment(name: str, said: str | None, *, as_json: bool) -> int | None:
    from dragoman.accounting.report import parse_moment
    from dragoman.core.errors import CallerError

    try:
        return parse_moment(name, said)
    except CallerError as error:
        fail(error.message, as_json=as_json, code=USAGE)


def _row(entry: Entry) -> tuple[str, ...]:
    from dragoman.accounting.report import time_of

    deed = entry.deed
    return (
        str(entry.number),
        time_of(entry.at_us),
        f"{deed.actor_tenant}/{deed.actor}",
        deed.action,
        deed.target,
        deed.outcome,
    )


def verify(*, env_file: EnvFileOption = None, as_json: JsonOption = False) -> None:
    """Follow the whole chain; exit code 1 where an entry was changed, removed or moved."""

    async def follow(log: SqlAudit) -> Finding:
        return await log.verify()

    found = _with_log(follow, settings_or_fail(None, env_file, as_json=as_json), as_json=as_json)
    if as_json:
        say_json(
            {"whole": found.number is None, "entries": found.entries, "trouble": found.trouble}
        )
        if found.number is not None:
            raise typer.Exit(FAILED)
    elif found.number is not None:
        fail(f"The audit log is broken: {found.trouble}. Whole up to entry {found.entries}.")
    else:
        say(f"The audit log is whole: {found.entries} entries hang together.")


def status() -> str:
    """Where the log is."""
    return "ready"


def _with_log(
    work: Callable[[SqlAudit], Awaitable[_T]], settings: Settings, *, as_json: bool
) -> _T:
    from dragoman.stores import open_audit_log

    return done_with(open_audit_log(settings), work, as_json=as_json)
