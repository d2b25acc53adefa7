"""``dragoman auth``: logging in by OAuth at whatever place the configuration describes."""

from __future__ import annotations

from typing import Annotated, Any

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

SUMMARY = "Log in by OAuth, see how logins stand, take them back."

_HELP = """Log in by OAuth 2, at a place that is built in or at one of your own: [oauth.NAME] of dragoman.toml.

    dragoman auth login github

    dragoman auth status

    dragoman auth revoke github
"""
_LOGIN = """Log in, by a browser or by a code that you type anywhere, as the place wants it.

The token is kept in the secrets folder (DRAGOMAN_SECRETS), for your eyes alone, and sealed where
FERNET_KEY is set. It is renewed by itself from then on.

    dragoman auth login google --no-browser
"""
_STATUS = """How logins stand: good, renewable, or that one has to log in anew. Nobody is asked.

Exit code 1 where a login that is named is not usable.

    dragoman auth status google --json
"""
_REVOKE = """Take a login back: at the place itself where it can be told so, and here.

    dragoman auth revoke github
"""

NameArgument = Annotated[
    str, typer.Argument(help="The place: google, github, ob1, or one of your own.")
]


def add_to(app: typer.Typer) -> None:
    """Registers the commands."""
    group = typer.Typer(
        help=_HELP, short_help=SUMMARY, no_args_is_help=True, rich_markup_mode=None
    )
    group.command("login", help=_LOGIN, short_help="Log in.")(login)
    group.command("status", help=_STATUS, short_help="How logins stand.")(standing)
    group.command("revoke", help=_REVOKE, short_help="Take a login back.")(revoke)
    app.add_typer(group, name="auth")


def login(
    name: NameArgument,
    *,
    browser: BrowserOption = True,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Logs in."""
    told = logged_in(name, env_file, browser=browser, as_json=as_json)
    if as_json:
        say_json(told)
    else:
        say(f"Logged in at {name}. The token is kept in {told['file']}.")


def standing(
    name: Annotated[str | None, typer.Argument(help="One place. [all]")] = None,
    *,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tells how logins stand."""
    with failing(as_json=as_json):
        logins = opened(env_file, as_json=as_json)
        names = sorted(logins.known) if name is None else [logins.login(name).name]
        rows: list[dict[str, Any]] = []
        for each in names:
            place = logins.login(each)
            if place.form == "accounts":
                for account in logins.accounts(place).load():
                    told = told_token(account.token)
                    rows.append({"login": each, "account": account.id, **told, "cure": place.cure})
                if any(row["login"] == each for row in rows):
                    continue
            token = None if place.form == "accounts" else logins.shelf(place).load()
            rows.append({"login": each, "account": None, **told_token(token), "cure": place.cure})
    if as_json:
        say_json({"logins": rows})
    else:
        table(
            "Logins",
            ("place", "account", "state", "until", "what helps"),
            [
                (
                    row["login"],
                    row["account"] or "",
                    row["state"],
                    row["until"] or "",
                    row["cure"] if row["state"] in _UNUSABLE else "",
                )
                for row in rows
            ],
        )
    if name is not None and all(row["state"] in _UNUSABLE for row in rows):
        raise typer.Exit(FAILED)


_UNUSABLE = ("none", "ended", "login needed")


def revoke(
    name: NameArgument,
    *,
    account: Annotated[
        str | None, typer.Option(help="Of several accounts, the one of this name.")
    ] = None,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Takes a login back."""
    from dragoman.core.errors import UpstreamError
    from dragoman.credentials.fresh import LoginNeededError
    from dragoman.credentials.log_in import revoke as take_back
    from dragoman.credentials.protocol import RefusalError

    with failing(as_json=as_json):
        logins = opened(env_file, as_json=as_json)
        place = logins.login(name)
        if place.form == "accounts":
            ids = [each.id for each in logins.accounts(place).load()]
            if account not in ids:
                known = f"it is one of: {', '.join(ids)}" if ids else "there is none"
                fail(f"Say whose login with --account; {known}.", as_json=as_json)
            fresh = logins.account(place, account or "")
        else:
            fresh = logins.token(name)
        token = fresh.held()
        if token is None:
            fail(f"There is no login for {name}.", as_json=as_json)
        why = ""
        try:
            there = take_back(fresh.login, token, logins.ask)
        except (RefusalError, UpstreamError, LoginNeededError) as error:
            there, why = False, error.message
        fresh.forget()
    if as_json:
        say_json(
            {"login": name, "revoked_there": there, "forgotten_here": True, "why": why or None}
        )
        return
    if there:
        say(f"The login of {name} is taken back, there and here.")
    else:
        reason = (
            why or f"{name} has no way to be told: take it back in your account there as well."
        )
        say(f"The login of {name} is forgotten here. {reason}")


def status() -> str:
    """Whose logins are there."""
    logins = logins_here()
    there = [
        name
        for name, place in logins.known.items()
        if place.form != "accounts" and logins.shelf(place).path.exists()
    ]
    return f"logged in at {', '.join(there)}" if there else "no login yet"
