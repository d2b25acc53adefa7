"""Where one logs in by OAuth 2, as data: the built-in files and the tables ``[oauth.NAME]`` of dragoman.toml.

A table of the name of a built-in file adjusts it, member by member; any other describes a place of the
operator's own. Nothing is asked of anybody here.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal
from urllib.parse import urlsplit

from msgspec import Struct

from dragoman.catalog.schema import CatalogError, read_strictly

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_ADDRESSES = ("token_url", "authorize_url", "device_url", "revoke_url", "organizations_url")
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


class Login(Struct, frozen=True, forbid_unknown_fields=True):
    """One place to log in at, with who we are there."""

    name: str
    token_url: str = ""
    authorize_url: str = ""
    device_url: str = ""
    revoke_url: str = ""
    """Where tokens are taken back (RFC 7009); empty: they are only forgotten here."""
    issuer: str = ""
    """What ``iss`` of a redirect must say (RFC 9207); empty: it is not asked for."""
    client_id: str = ""
    client_secret: str = ""
    client_file: str = ""
    """A file in the secrets folder that says both, as Google gives it out."""
    client_auth: Literal["basic", "body", "none"] = "body"
    """How the secret is shown, where there is one: as a header, in the body, or not at all."""
    grant: Literal["authorization_code", "device_code", "client_credentials"] = (
        "authorization_code"
    )
    scopes: tuple[str, ...] = ()
    authorize_params: dict[str, str] = {}
    """Members of the authorization request beside those of the RFCs."""
    token_params: dict[str, str] = {}
    """Members of every token request beside those of the RFCs, such as ``audience``."""
    refresh_buffer_s: float = 300
    """So long before its end a token is renewed."""
    redirect: str = "http://127.0.0.1:0/"
    """Where the browser comes back to on this machine; port 0: any that is free (RFC 8252, 7.3)."""
    token_file: str = ""
    """In the secrets folder; empty: ``oauth/NAME.json``."""
    form: Literal["own", "google", "accounts"] = "own"
    organizations_url: str = ""
    """Where it is asked which organization an account belongs to, by ``user_id``; empty: nobody asks."""
    import_file: str = ""
    """Where accounts are taken over from while there are none; ``~`` is the home."""
    login_command: str = ""
    variables: dict[str, tuple[str, ...]] = {}
    """Environment variables that say a member, by its name; the first that is set counts."""

    def __repr__(self) -> str:
        return f"Login({self.name!r})"

    @property
    def cure(self) -> str:
        """The command that logs in anew."""
        return self.login_command or f"dragoman auth login {self.name}"

    @property
    def file_name(self) -> str:
        """Where its tokens are kept, within the secrets folder unless it is absolute."""
        return self.token_file or f"oauth/{self.name}.json"


@cache
def built_in() -> dict[str, dict[str, Any]]:
    """The tables of the shipped files, by name."""
    found: dict[str, dict[str, Any]] = {}
    for item in sorted(files("dragoman.catalog.logins").iterdir(), key=lambda each: each.name):
        if item.name.endswith(".toml"):
            found[item.name.removesuffix(".toml")] = tomllib.loads(
                item.read_text(encoding="utf-8")
            )
    return found


def read_logins(
    tables: Mapping[str, Mapping[str, Any]], env: Mapping[str, str]
) -> dict[str, Login]:
    """Every place by name: the shipped ones, as adjusted, and the operator's own.

    Raises:
        CatalogError: a table has an unknown member, or an address that tokens must not go to.
    """
    found: dict[str, Login] = {}
    for name in sorted({*built_in(), *tables}):
        where = f"[oauth.{name}]"
        if not _NAME.fullmatch(name):
            raise CatalogError(f"{where}: a name is of small letters, digits, dots and dashes.")
        table = {"name": name, **built_in().get(name, {}), **tables.get(name, {})}
        for member, names in table.get("variables", {}).items():
            if said := next((env[each] for each in names if env.get(each, "").strip()), None):
                table[member] = said.strip()
        login = read_strictly(Login, table, where)
        if login.name != name:
            raise CatalogError(f"{where}: its name is said by the table, leave `name` out.")
        _check(login, where)
        found[name] = login
    return found


def one_of(logins: Mapping[str, Login], name: str) -> Login:
    """The place of that name.

    Raises:
        CatalogError: there is none; the nearest is told.
    """
    if name in logins:
        return logins[name]
    near = difflib.get_close_matches(name, logins, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(logins)}."
    raise CatalogError(
        f"There is no place to log in at called {name[:64]!r}; {hint} "
        "Describe your own as [oauth.NAME] in dragoman.toml."
    )


def is_loopback(url: str) -> bool:
    """Whether the address is on this machine."""
    return urlsplit(url).hostname in _LOOPBACK


def _check(login: Login, where: str) -> None:
    for member in _ADDRESSES:
        url: str = getattr(login, member)
        if (
            url
            and not url.startswith("https://")
            and not (url.startswith("http://") and is_loopback(url))
        ):
            raise CatalogError(f"{where}: {member} must be https, or http on this machine.")
    if not login.token_url:
        raise CatalogError(f"{where}: token_url is missing.")
    needed = {"authorization_code": "authorize_url", "device_code": "device_url"}.get(login.grant)
    if needed and not getattr(login, needed):
        raise CatalogError(f"{where}: grant = {login.grant!r} needs {needed}.")
    redirect = urlsplit(login.redirect)
    if redirect.scheme != "http" or redirect.hostname not in _LOOPBACK:
        raise CatalogError(
            f"{where}: redirect must be http on this machine, as http://127.0.0.1:0/."
        )
    if login.refresh_buffer_s < 0:
        raise CatalogError(f"{where}: refresh_buffer_s must not be negative.")
