"""Google's logins: who the application is, and its token as Google's libraries keep it (R-CRED-005, R-ADD-011).

``google_client_secret.json`` is what the Cloud console gives out. ``google_creds.json`` has the form
``authorized_user``, with the client in it: whatever reads such files today reads ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from dragoman.catalog.login import Login
from dragoman.core.errors import HouseError
from dragoman.credentials.private_files import Mended, read_private
from dragoman.credentials.token import Token

SCOPES: dict[str, tuple[str, ...]] = {
    "drive": ("https://www.googleapis.com/auth/drive.file",),
    "calendar": ("https://www.googleapis.com/auth/calendar.readonly",),
}
"""What a service is asked for unless somebody says more."""


def _untold(_: Path) -> None:
    """Nobody wants to know."""


def with_client(login: Login, folder: Path, mended: Mended = _untold) -> Login:
    """The login with the client of its file, unless the configuration says one.

    Raises:
        HouseError: the file is none that Google gives out.
    """
    if not login.client_file or login.client_id:
        return login
    path = folder / login.client_file
    content = read_private(path, mended)
    if content is None:
        return login
    try:
        table: Any = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        table = None
    found = table.get("installed") or table.get("web") if isinstance(table, dict) else None
    if not isinstance(found, dict) or not isinstance(found.get("client_id"), str):
        raise HouseError(
            "server",
            f"{path} is no client of Google's: download it from the Cloud console, as an OAuth client "
            'of the kind "desktop app".',
            code="missing_client",
        )
    return replace(
        login, client_id=found["client_id"], client_secret=str(found.get("client_secret") or "")
    )


def with_library_members(login: Login, token: Token) -> Token:
    """The token with what Google's libraries want beside it, so that they can renew it themselves."""
    extra = {
        **token.extra,
        "token_uri": login.token_url,
        "client_id": login.client_id,
        "client_secret": login.client_secret,
        "type": "authorized_user",
        "universe_domain": "googleapis.com",
    }
    return replace(token, extra=extra)


def client_in(login: Login, token: Token | None) -> Login:
    """The login with the client that the token was given to: no other can renew it."""
    if token is None or not token.extra.get("client_id"):
        return login
    return replace(
        login,
        client_id=str(token.extra["client_id"]),
        client_secret=str(token.extra.get("client_secret") or ""),
    )
