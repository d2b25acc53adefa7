"""``dragoman ob1``: OB-1's accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dragoman.cli.access import URL, KeyOption, UrlOption
from dragoman.cli.logging_in import (
    BrowserOption,
    failing,
    logged_in,
    logins_here,
    opened,
    told_token,
)
from dragoman.cli.managing import managed
from dragoman.cli.output import FAILED, JsonOption, fail, say, say_json, table
from dragoman.cli.settings import EnvFileOption

if TYPE_CHECKING:
    from pathlib import Path

    from dragoman.assembly.logins import Logins
    from dragoman.credentials.accounts import AccountsFile

SUMMARY = "OB-1's accounts: log in, see them, renew, move and remove them."

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
_REFRESH = """Renew the tokens of one account or of all, though they may be good yet; exit code 1 where one is not.

    dragoman ob1 refresh --account me@example.com
"""
_IMPORT = """Take accounts over from a file: a list of them, or what `ob1 export` wrote. - reads what is piped in.

    dragoman ob1 import accounts.json
"""
_EXPORT = """Write the accounts with their tokens, for `ob1 import` elsewhere. Whoever has that can use them.

    dragoman ob1 export > accounts.json
"""
_ROTATION = """Show whose turn it is among the accounts of a running gateway, or say so, in force at once.

`configured` goes back to OB1_ROTATION_MODE. An administrator's key is needed, in DRAGOMAN_API_KEY.

    dragoman ob1 rotation balanced
"""
_NAME = "ob1"
_AT = "/api/admin/ob1"


def add_to(app: typer.Typer) -> None:
    """Registers the commands."""
    group = typer.Typer(
        help=_HELP, short_help=SUMMARY, no_args_is_help=True, rich_markup_mode=None
    )
    group.command("auth", help=_AUTH, short_help="Log in one account.")(auth)
    group.command("status", help=_STATUS, short_help="Whether OB-1 can be used.")(standing)
    group.command("accounts", help=_ACCOUNTS, short_help="The accounts.")(accounts)
    group.command("refresh", help=_REFRESH, short_help="Renew tokens now.")(refresh)
    group.command("import", help=_IMPORT, short_help="Take accounts over.")(import_)
    group.command("export", help=_EXPORT, short_help="Write the accounts out.")(export)
    group.command("rotation", help=_ROTATION, short_help="Whose turn it is.")(rotation)
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
    from dragoman.credentials.token import USABLE

    rows, file = _rows(env_file, as_json=as_json)
    usable = [row for row in rows if row["state"] in USABLE]
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


def refresh(
    *,
    account: Annotated[str | None, typer.Option(help="Only the account of this name.")] = None,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Renews tokens now."""
    with failing(as_json=as_json):
        logins = opened(env_file, as_json=as_json)
        found = logins.work(logins.login(_NAME)).renew(account)
    if not found:
        fail(
            f"There is no account {account!r}." if account else "There is no account.",
            as_json=as_json,
        )
    if as_json:
        say_json(
            {
                "accounts": [
                    {"account": each.standing.account, "renewed": each.renewed, "why": each.why}
                    for each in found
                ]
            }
        )
    else:
        for each in found:
            say(f"{each.standing.account}: {each.why or 'renewed'}")
    if not all(each.renewed for each in found):
        raise typer.Exit(FAILED)


def import_(
    source: Annotated[
        str, typer.Argument(metavar="FILE", help="The file, or - for what is piped in.")
    ],
    *,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Takes accounts over."""
    import sys
    from pathlib import Path

    import msgspec

    from dragoman.credentials.accounts import read_account

    try:
        content = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        said = msgspec.json.decode(content)
    except OSError as error:
        fail(f"{source} cannot be read: {error.strerror}.", as_json=as_json)
    except (msgspec.DecodeError, UnicodeDecodeError):
        fail(f"{source} is no JSON.", as_json=as_json)
    rows = said.get("accounts") if isinstance(said, dict) else said
    found = [
        read_account(row) if isinstance(row, dict) else None
        for row in (rows if isinstance(rows, list) else [])
    ]
    good = [each for each in found if each is not None]
    if not good or len(good) < len(found):
        fail(
            f"{source} is no list of accounts, each with a token; nothing was taken over.",
            as_json=as_json,
        )
    if not all(each.is_named for each in good):
        fail(
            f"An account in {source} has no email and no user_id; nothing was taken over.",
            as_json=as_json,
        )
    with failing(as_json=as_json):
        logins = opened(env_file, as_json=as_json)
        added, replaced = logins.work(logins.login(_NAME)).take(good)
    if as_json:
        say_json({"added": added, "replaced": replaced})
    else:
        say(f"{len(added)} accounts are new, {len(replaced)} took another's place.")


def export(*, env_file: EnvFileOption = None, as_json: JsonOption = False) -> None:
    """Writes the accounts out; always as JSON."""
    with failing(as_json=as_json):
        logins = opened(env_file, as_json=as_json)
        work = logins.work(logins.login(_NAME))
        rows = work.give([each.account for each in work.standings()])
    say_json({"accounts": rows})


def rotation(
    mode: Annotated[
        str | None, typer.Argument(help="cache-first, balanced, performance, or configured.")
    ] = None,
    *,
    base_url: UrlOption = URL,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Shows whose turn it is, or says so."""
    if mode is None:
        found = managed("GET", _AT, None, base_url, key, as_json=as_json)
    else:
        body = {"mode": None if mode == "configured" else mode}
        found = managed("PUT", f"{_AT}/rotation-mode", body, base_url, key, as_json=as_json)
    told = {name: found[name] for name in ("rotation_mode", "rotation_mode_from")}
    if as_json:
        say_json(told)
    else:
        said_by = (
            "an administrator" if told["rotation_mode_from"] == "admin" else "the configuration"
        )
        say(f"{told['rotation_mode']}, as {said_by} says.")


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
