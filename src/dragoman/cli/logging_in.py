"""How commands log in: what a person is shown on the way, and what becomes of the token."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from dragoman.cli.output import fail
from dragoman.cli.settings import settings_or_fail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dragoman.assembly.logins import Logins
    from dragoman.catalog.login import Login
    from dragoman.config.settings import Settings
    from dragoman.credentials.protocol import DeviceCode
    from dragoman.credentials.token import Token

__all__ = [
    "BrowserOption",
    "failing",
    "kept_login",
    "logged_in",
    "logins_here",
    "new_token",
    "opened",
    "told_token",
]

BrowserOption: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--browser/--no-browser", help="Open a browser, or only print the address for one."
    ),
]


@contextmanager
def failing(*, as_json: bool) -> Iterator[None]:
    """Ends the program with the sentence of what fails inside."""
    from dragoman.core.errors import GatewayError

    try:
        yield
    except GatewayError as error:
        fail(error.message, as_json=as_json)
    except KeyboardInterrupt:
        fail("Given up.", as_json=as_json)


def opened(env_file: Path | None, *, as_json: bool) -> Logins:
    """The logins of whoever runs the command; what becomes of them is written to the log of credentials."""
    return _logins_of(settings_or_fail({"mode": "local"}, env_file, as_json=as_json), env_file)


def logins_here() -> Logins:
    """The same, for who only looks.

    Raises:
        GatewayError: a setting is wrong.
    """
    from dragoman.config.load import load_settings

    return _logins_of(load_settings({"mode": "local"}), None)


def _logins_of(settings: Settings, env_file: Path | None) -> Logins:
    from dragoman.assembly.logins import open_logins
    from dragoman.assembly.user_keys import credential_log
    from dragoman.config.load import environment

    log = credential_log(settings)

    def tell(what: str, whom: str, why: str) -> None:
        log({"event": what, "of": whom, "why": why or None})
        if "could be read by others" in what:
            sys.stderr.write(f"{whom}: {what}.\n")

    return open_logins(settings, environment(env_file), tell)


def logged_in(name: str, env_file: Path | None, *, browser: bool, as_json: bool) -> dict[str, Any]:
    """Logs in at the place of that name and keeps the token; what can be told of it."""
    with failing(as_json=as_json):
        logins = opened(env_file, as_json=as_json)
        place = logins.login(name)
        return kept_login(logins, place, new_token(logins, place, browser=browser))


def new_token(logins: Logins, login: Login, *, browser: bool) -> Token:
    """Logs in, and says on the way what a person has to do.

    Raises:
        GatewayError: it did not come to a token.
    """
    from dragoman.credentials.log_in import log_in

    def visit(url: str) -> None:
        _say(
            f"To log in at {login.name}, open this address in a browser on this machine:\n\n    {url}\n"
        )
        if browser:
            import webbrowser

            webbrowser.open(url)

    def type_in(device: DeviceCode) -> None:
        _say(
            f"To log in at {login.name}, open {device.url} anywhere and type the code "
            f"{device.user_code}" + (f"\n(or open {device.whole_url})" if device.whole_url else "")
        )
        if browser:
            import webbrowser

            webbrowser.open(device.whole_url or device.url)

    return log_in(login, logins.ask, visit=visit, type_in=type_in)


def kept_login(logins: Logins, login: Login, token: Token) -> dict[str, Any]:
    """Keeps the token of a new login; what can be told of it."""
    from dragoman.credentials.fresh import FreshToken
    from dragoman.credentials.google import with_library_members
    from dragoman.credentials.private_files import private_folder

    private_folder(logins.folder)
    if login.form == "accounts":
        work = logins.work(login)
        return {"login": login.name, "account": work.keep(token), "file": str(work.file.path)}
    if login.form == "google":
        token = with_library_members(login, token)
    shelf = logins.shelf(login)
    FreshToken(login, shelf, logins.ask).keep(token)
    return {"login": login.name, "file": str(shelf.path)}


def told_token(token: Token | None) -> dict[str, Any]:
    """What may be shown of a token: its state, never itself."""
    from dragoman.credentials.token import moment_of, state_of

    if token is None:
        return {"state": "none", "until": None, "why": None}
    told = {"state": state_of(token, time.time()), "until": moment_of(token)}
    return {**told, "why": token.lost or None}


def _say(text: str) -> None:
    """To the terminal: what goes to standard output is the result."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
