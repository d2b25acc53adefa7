"""Several accounts at one service, in the file ``accounts.json``: a list, one object each (R-CRED-010).

Each account has a token of its own, which is renewed under a lock of its own; the file is changed under
another one, for as long as reading and writing it takes. Who is not known there yet and has logged in by the
service's own command line is taken over once, while the file is empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from dragoman.core.errors import HouseError
from dragoman.core.secret import Secret
from dragoman.credentials.private_files import Mended, held, read_private, write_private
from dragoman.credentials.sealing import Sealing
from dragoman.credentials.token import (
    GIVER,
    State,
    Token,
    moment_of,
    read_own,
    seconds_of,
    state_of,
)
from dragoman.credentials.token_file import RefreshNote

_OWN = frozenset(
    {
        "access_token",
        "refresh_token",
        "expires_at",
        "email",
        "org_id",
        "org_name",
        "user_id",
        "user_data",
        "login_again",
        GIVER,
    }
)


class Account(Struct, frozen=True, kw_only=True):
    """One account, with its token."""

    email: str
    token: Token
    org_id: str = ""
    org_name: str = ""
    user_id: str = ""
    user_data: dict[str, Any] = {}

    @property
    def id(self) -> str:
        """What it is called in logs and tables."""
        return self.email or self.user_id or "account"

    @property
    def is_named(self) -> bool:
        """Whether it can be told from another one."""
        return bool(self.email or self.user_id)

    @property
    def key(self) -> Secret:
        """What is shown to the service: the token, with the organization where there is one (R-CRED-011)."""
        access = self.token.access.reveal()
        return Secret(f"{access}:{self.org_id}" if self.org_id else access)


class Standing(Struct, frozen=True):
    """How an account stands, without anything of its token."""

    login: str
    account: str
    organization: str
    state: State
    until: str | None
    """When its token ends, in UTC; it is renewed before."""
    why: str | None
    """Why one has to log in anew."""


def standing_of(login: str, account: Account, now: float) -> Standing:
    """How the account stands at a Unix time."""
    return Standing(
        login=login,
        account=account.id,
        organization=account.org_name or account.org_id,
        state=state_of(account.token, now),
        until=moment_of(account.token),
        why=account.token.lost or None,
    )


def read_account(table: Mapping[str, Any]) -> Account | None:
    """An account of the file; None: it has no token at all."""
    token = read_own({name: value for name, value in table.items() if name in _OWN})
    if token is None:
        return None
    said = table.get("user_data")
    return Account(
        email=str(table.get("email") or ""),
        token=_bare(token),
        org_id=_word(table.get("org_id")),
        org_name=str(table.get("org_name") or ""),
        user_id=str(table.get("user_id") or ""),
        user_data=said if isinstance(said, dict) else {},
    )


def write_account(account: Account) -> dict[str, Any]:
    """The account as the file has it."""
    token = account.token
    return {
        "email": account.email,
        "access_token": token.access.reveal(),
        "refresh_token": token.refresh.reveal() if token.refresh else "",
        "expires_at": token.expires_at or 0,
        "org_id": account.org_id,
        "org_name": account.org_name,
        "user_id": account.user_id,
        "user_data": account.user_data,
        **({"login_again": token.lost} if token.lost else {}),
        **token.extra,
    }


def account_of(token: Token) -> Account:
    """The account of a new login, by what the server has said beside its token."""
    said = token.extra.get("user")
    user = said if isinstance(said, dict) else {}
    return Account(
        email=str(user.get("email") or ""),
        token=_bare(token),
        org_id=_word(token.extra.get("organization_id")),
        user_id=str(user.get("id") or ""),
        user_data=user,
    )


def imported(content: bytes) -> Account | None:
    """The account in ``~/.ob1/credentials.json``; None: there is none.

    Raises:
        HouseError: it is no JSON.
    """
    try:
        table = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise HouseError(
            "server",
            "~/.ob1/credentials.json is no JSON: it was not taken over.",
            code="secret_file",
        ) from None
    said = table.get("oauth") if isinstance(table, dict) else None
    if not isinstance(said, dict):
        return None
    user = said.get("user")
    return read_account(
        {
            **said,
            "expires_at": seconds_of(said.get("expires_at")),
            "email": user.get("email") if isinstance(user, dict) else "",
            "user_id": user.get("id") if isinstance(user, dict) else "",
            "org_id": said.get("organization_id"),
            "user_data": user,
        }
    )


def _bare(token: Token) -> Token:
    """The token, and of what the server has said beside it nothing but who has given it."""
    giver = token.extra.get(GIVER)
    return replace(token, extra={GIVER: giver} if giver else {})


def _word(value: object) -> str:
    """What may stand behind a token in a header."""
    text = str(value or "")
    return text if text.isascii() and all("!" <= sign <= "~" for sign in text) else ""


def _untold(_: Path) -> None:
    """Nobody wants to know."""


class AccountsFile:
    """The file, and where accounts are taken over from while it is empty."""

    def __init__(
        self,
        path: Path,
        sealing: Sealing,
        source: Path | None = None,
        mended: Mended = _untold,
    ) -> None:
        self.path = path
        self._sealing = sealing
        self._source = source
        self._mended = mended

    def load(self) -> tuple[Account, ...]:
        """The accounts, in their order.

        Raises:
            HouseError: the file cannot be read, or is no list.
        """
        found = self._read()
        if found or self._source is None or not self._source.exists():
            return found
        content = read_private(self._source, self._mended)
        taken = imported(content) if content is not None else None
        if taken is None:
            return found
        return self._changed(lambda accounts: accounts or (taken,))

    def put(self, *new: Account) -> None:
        """Adds accounts; each takes the place of the one of its name."""

        def change(accounts: tuple[Account, ...]) -> tuple[Account, ...]:
            named = {each.id: each for each in accounts}
            for account in new:
                old = named.get(account.id, account)
                named[account.id] = replace(
                    account,
                    org_id=account.org_id or old.org_id,
                    org_name=account.org_name or old.org_name,
                )
            return tuple(named.values())

        self._changed(change)

    def keep(self, account: str, token: Token) -> None:
        """Gives an account its next token; one that was removed meanwhile stays so."""
        self._changed(
            lambda accounts: tuple(
                replace(each, token=_bare(token)) if each.id == account else each
                for each in accounts
            )
        )

    def remove(self, account: str) -> bool:
        """Forgets an account; False: there was none."""
        before = self._read()
        after = self._changed(lambda all_: tuple(each for each in all_ if each.id != account))
        return len(after) < len(before)

    def shelf(self, account: str) -> AccountShelf:
        """Where the token of one account lies."""
        return AccountShelf(self, account)

    def _changed(
        self, change: Callable[[tuple[Account, ...]], tuple[Account, ...]]
    ) -> tuple[Account, ...]:
        with held(self.path):
            before = self._read()
            after = change(before)
            if after != before:
                kept = [write_account(each) for each in after]
                write_private(self.path, self._sealing.written(kept))
            return after

    def _read(self) -> tuple[Account, ...]:
        content = read_private(self.path, self._mended)
        if not (content or b"").strip():
            return ()
        table = self._sealing.read(content or b"", str(self.path))
        if not isinstance(table, list):
            raise HouseError("server", f"{self.path} is no list of accounts.", code="secret_file")
        found = (read_account(each) for each in table if isinstance(each, dict))
        # Two of one name would take turns with one token.
        named = {each.id: each for each in reversed([one for one in found if one is not None])}
        return tuple(reversed(named.values()))


class AccountShelf:
    """The token of one account."""

    def __init__(self, file: AccountsFile, account: str) -> None:
        self._file = file
        self._account = account
        self._note = RefreshNote(file.path, account)

    def load(self) -> Token | None:
        """As ``Shelf``."""
        return next((one.token for one in self._file.load() if one.id == self._account), None)

    def save(self, token: Token) -> None:
        """As ``Shelf``."""
        self._file.keep(self._account, token)

    def forget(self) -> bool:
        """As ``Shelf``."""
        self._note.end()
        return self._file.remove(self._account)

    def alone(self) -> AbstractContextManager[None]:
        """As ``Shelf``; the others' tokens may be renewed meanwhile."""
        return held(self._note.path)

    def begin(self, token: Token) -> None:
        """As ``Shelf``."""
        self._note.begin(token)

    def was_interrupted(self, token: Token) -> bool:
        """As ``Shelf``."""
        return self._note.was_interrupted(token)

    def end(self) -> None:
        """As ``Shelf``."""
        self._note.end()
