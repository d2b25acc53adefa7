"""``dragoman reauth``: a login that has ended is made anew."""

from __future__ import annotations

from typing import Annotated

import typer

from dragoman.cli.logging_in import failing, kept_login, new_token, opened
from dragoman.cli.output import JsonOption, say, say_json
from dragoman.cli.settings import EnvFileOption

SUMMARY = "Make a login anew: by a renewal where that helps, else by logging in."

_HELP = """Make a login anew. A renewal is tried first; if that is refused you log in again.

No browser is opened: the address for one is printed. Google's comes back to port 8085 of this machine
(forward it, or say another as redirect of [oauth.google], where the browser is elsewhere).

    dragoman reauth google
"""


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("reauth", help=_HELP, short_help=SUMMARY)(reauth)


def reauth(
    name: Annotated[
        str, typer.Argument(help="The place: google, github, or one of your own.")
    ] = "google",
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Log in again even where a renewal would help.")
    ] = False,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Renews, or logs in (R-CLI-004, R-ADD-011)."""
    from dragoman.core.errors import GatewayError

    with failing(as_json=as_json):
        logins = opened(env_file, as_json=as_json)
        place = logins.login(name)
        if not force and place.form != "accounts":
            fresh = logins.token(name)
            token = fresh.held()
            if token is not None and token.refresh is not None and not token.lost:
                try:
                    fresh.renewed(token.access.reveal())
                except GatewayError:
                    pass  # a new login tells more
                else:
                    _told(name, "renewed", str(logins.shelf(place).path), as_json=as_json)
                    return
        told = kept_login(logins, place, new_token(logins, place, browser=False))
    _told(name, "logged in", told["file"], as_json=as_json)


def _told(name: str, how: str, file: str, *, as_json: bool) -> None:
    if as_json:
        say_json({"login": name, "how": how, "file": file})
    else:
        say(f"{name}: {how}. The token is kept in {file}.")


def status() -> str:
    """Whether it can be used."""
    return "ready"
