"""A token of ours, and the three forms in which files keep one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from dragoman.core.secret import Secret


class Token(Struct, frozen=True, kw_only=True):
    """What an authorization server gave us."""

    access: Secret
    refresh: Secret | None = None
    expires_at: float | None = None
    """Unix seconds; None: it lasts until it is refused."""
    scopes: tuple[str, ...] = ()
    lost: str = ""
    """Why one has to log in anew; empty: one need not."""
    extra: dict[str, Any] = {}
    """What else the server said, or the file held."""

    def __repr__(self) -> str:
        return f"Token(expires_at={self.expires_at}, scopes={self.scopes})"

    def is_fresh(self, now: float, buffer_s: float = 0) -> bool:
        """Whether it is still good, and for longer than the buffer."""
        return self.expires_at is None or self.expires_at - now > buffer_s

    def renewed(self, new: Token) -> Token:
        """The next token; a server that gives no new refresh token leaves the old one good (RFC 6749, 6)."""
        return replace(
            new,
            refresh=new.refresh or self.refresh,
            scopes=new.scopes or self.scopes,
            extra={**self.extra, **new.extra},
        )


GIVER = "token_uri"
"""The member of ``Token.extra`` that says where it was got; Google's own libraries call it so."""


def given_by(token: Token, url: str) -> Token:
    """The token with the address that has given it, unless it says one already."""
    return token if token.extra.get(GIVER) else replace(token, extra={**token.extra, GIVER: url})


def is_for(token: Token, url: str) -> bool:
    """Whether a server at the address may be shown the token: the one that gave it, as far as that is known."""
    giver = token.extra.get(GIVER)
    if not isinstance(giver, str):
        return True
    return urlsplit(giver)[:2] == urlsplit(url)[:2] or (_is_google(giver) and _is_google(url))


def _is_google(url: str) -> bool:
    """Its libraries have written three addresses over the years, and all are Google's."""
    parts = urlsplit(url)
    return parts.scheme == "https" and parts.netloc in {
        "accounts.google.com",
        "oauth2.googleapis.com",
        "www.googleapis.com",
    }


State: TypeAlias = Literal["good", "renewable", "ended", "login needed"]
"""How a token stands: usable as it is, after a renewal, or not without a new login."""
USABLE: frozenset[State] = frozenset({"good", "renewable"})


def state_of(token: Token, now: float) -> State:
    """How the token stands at a Unix time."""
    if token.lost:
        return "login needed"
    if token.access and token.is_fresh(now):
        return "good"
    return "renewable" if token.refresh else "ended"


def moment_of(token: Token) -> str | None:
    """When it ends, as people and programs are told it; None: not by itself."""
    if token.expires_at is None:
        return None
    return datetime.fromtimestamp(token.expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_own(table: Mapping[str, Any]) -> Token | None:
    """A token of a file of ours; None: there is none in it."""
    members = dict(table)
    access = members.pop("access_token", None)
    refresh = members.pop("refresh_token", None)
    if not isinstance(access, str) or not (access or refresh):
        return None
    return Token(
        access=Secret(access),
        refresh=Secret(refresh) if isinstance(refresh, str) and refresh else None,
        expires_at=seconds_of(members.pop("expires_at", None)),
        scopes=_scopes(members.pop("scope", "")),
        lost=str(members.pop("login_again", "") or ""),
        extra=members,
    )


def write_own(token: Token) -> dict[str, Any]:
    """The table of a file of ours."""
    return {
        "access_token": token.access.reveal(),
        "refresh_token": token.refresh.reveal() if token.refresh else None,
        "expires_at": token.expires_at,
        "scope": " ".join(token.scopes),
        **({"login_again": token.lost} if token.lost else {}),
        **token.extra,
    }


def read_google(table: Mapping[str, Any]) -> Token | None:
    """A token as Google's own libraries keep it (``authorized_user``); None: there is none in it."""
    members = dict(table)
    access, refresh = members.pop("token", None) or "", members.pop("refresh_token", None)
    if not isinstance(access, str) or not (access or refresh):
        return None
    scopes = members.pop("scopes", None) or ()
    # Theirs counts a token without an end as one that has ended.
    end = seconds_of(members.pop("expiry", None))
    return Token(
        access=Secret(access),
        refresh=Secret(refresh) if isinstance(refresh, str) and refresh else None,
        expires_at=0.0 if end is None and refresh else end,
        scopes=_scopes(scopes),
        lost=str(members.pop("login_again", "") or ""),
        extra=members,
    )


def write_google(token: Token) -> dict[str, Any]:
    """The table of ``google_creds.json``, which Google's own libraries read as well."""
    end = token.expires_at
    return {
        "token": token.access.reveal(),
        "refresh_token": token.refresh.reveal() if token.refresh else None,
        **token.extra,
        "scopes": list(token.scopes),
        "expiry": None if end is None else _day(end),
        **({"login_again": token.lost} if token.lost else {}),
    }


def seconds_of(value: object) -> float | None:
    """A moment in Unix seconds: written so, in milliseconds, or as a date; None: it is none of them."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        if not math.isfinite(value) or value <= 0:
            return None
        return value / 1000 if value > _MILLISECONDS else float(value)
    if not isinstance(value, str):
        return None
    try:
        return seconds_of(float(value))
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


_MILLISECONDS = 100_000_000_000
"""No second of this era has so high a number."""


def _day(seconds: float) -> str:
    """The form that Google's libraries parse: UTC, without a zone but for the Z."""
    moment = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="microseconds") + "Z"


def _scopes(said: object) -> tuple[str, ...]:
    if isinstance(said, str):
        return tuple(said.split())
    return tuple(str(each) for each in said) if isinstance(said, list | tuple) else ()
