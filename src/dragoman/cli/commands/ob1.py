"""``dragoman ob1``: OB-1's accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dragoman.cli.logging_in import (
    BrowserOption,
    failing,
    logged_in,
    logins_here,
    opened,
    told_token,
)
from dragoman.cli.output import FAILED, JsonOption, fail, say, say_json, table
from dragoman.cli.settings import EnvFileOption

if TYPE_CHECKING:
    from pathlib import Path

    from dragoman.assembly.logins import Logins
    from dragoman.credentials.accounts import AccountsFile

SUMMARY = "OB-1's accounts: log in, see them, remove one."

_HELP = """OB-1's accounts. Each is logged in by a code that you type in a browser, anywhere; the gateway
takes turns among them (OB1_ROTATION_MODE) and renews their tokens by itself.

    dragoman ob1 auth

    dragoman ob1 accounts
"""
_AUTH = """Log in one account; run it again for another one.

A running gateway takes it into use within seconds.

    dragoman ob1 auth --no-browser
"""
_STATUS = """Whether OB-1 can be used: exit code 1 where no account has a good token, nor one that can be renewed.

    dragoman ob1 status
"""
_ACCOUNTS = """The accounts, with how their tokens stand; a token itself is never shown.

    dragoman ob1 accounts --json

    dragoman ob1 accounts --remove me@example.com
"""
_NAME = "ob1"
_USABLE = ("good", "renewable")


def add_to(app: typer.Typer) -> None:
    """Registers the commands."""
    group = typer.Typer(
        help=_HELP, short_help=SUMMARY, no_args_is_help=True, rich_markup_mode=None
    )
    group.command("auth", help=_AUTH, short_help="Log in one account.")(auth)
    group.command("status", help=_STATUS, short_help="Whether OB-1 can be used.")(standing)
    group.command("accounts", help=_ACCOUNTS, short_help="The accounts.")(accounts)
    app.add_typer(group, name="ob1")


def auth(
    *,
    browser: BrowserOption = True,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Logs in one account (R-CRED-012, R-CRED-014)."""
    told = logged_in(_NAME, env_file, browser=browser, as_json=as_json)
    if as_json:
        say_json(told)
    else:
        say(f"Logged in at OB-1 as {told['account']}. The account is kept in {told['file']}.")


def standing(*, env_file: EnvFileOption = None, as_json: JsonOption = False) -> None:
    """Tells whether OB-1 can be used."""
    from dragoman.credentials.ob1 import NO_TOKEN

    rows, file = _rows(env_file, as_json=as_json)
    usable = [row for row in rows if row["state"] in _USABLE]
    if as_json:
        say_json({"accounts": len(rows), "usable": len(usable), "file": str(file)})
    elif usable:
        say(f"OB-1 can be used: {len(usable)} of {len(rows)} accounts have a good login.")
    if not usable:
        if not as_json:
            fail(NO_TOKEN)
        raise typer.Exit(FAILED)


def accounts(
    *,
    remove: Annotated[str | None, typer.Option(help="Forget the account of this name.")] = None,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Lists the accounts, or removes one."""
    if remove is not None:
        with failing(as_json=as_json):
            logins = opened(env_file, as_json=as_json)
            place = logins.login(_NAME)
            if not logins.account(place, remove).forget():
                fail(f"There is no account {remove!r}.", as_json=as_json)
        if as_json:
            say_json({"removed": remove})
        else:
            say(f"{remove} is forgotten here.")
        return
    rows, file = _rows(env_file, as_json=as_json)
    if as_json:
        say_json({"accounts": rows, "file": str(file)})
        return
    table(
        "OB-1's accounts",
        ("account", "organization", "state", "until", "why"),
        [
            (
                row["account"],
                row["organization"],
                row["state"],
                row["until"] or "",
                row["why"] or "",
            )
            for row in rows
        ],
    )


def _rows(env_file: Path | None, *, as_json: bool) -> tuple[list[dict[str, Any]], Path]:
    with failing(as_json=as_json):
        file = _file(opened(env_file, as_json=as_json))
        rows = [
            {
                "account": each.id,
                "organization": each.org_name or each.org_id,
                **told_token(each.token),
            }
            for each in file.load()
        ]
    return rows, file.path


def _file(logins: Logins) -> AccountsFile:
    return logins.accounts(logins.login(_NAME))


def status() -> str:
    """Whether somebody has logged in."""
    number = len(_file(logins_here()).load())
    return "no account yet" if not number else f"{number} account{'s' * (number > 1)}"
