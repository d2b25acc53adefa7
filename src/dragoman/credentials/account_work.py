"""What is done with the accounts of one login beside using them: logged in, renewed, removed, moved (R-ADM-011).

A login by a code goes in two steps, so that nobody has to wait for a person. What only we may know of it, the
device code, is sealed into the name of the attempt: any process of the gateway takes the second step, and
nothing is kept of attempts that nobody finishes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from dragoman.catalog.login import Login
from dragoman.core.errors import GatewayError
from dragoman.core.secret import Secret
from dragoman.credentials.accounts import (
    Account,
    AccountsFile,
    Standing,
    account_of,
    standing_of,
    write_account,
)
from dragoman.credentials.fresh import FreshToken
from dragoman.credentials.log_in import Polled, begin_device, poll_device
from dragoman.credentials.ob1 import with_organization
from dragoman.credentials.private_files import private_folder
from dragoman.credentials.protocol import DeviceCode
from dragoman.credentials.questions import Ask
from dragoman.credentials.token import Token


class Renewal(Struct, frozen=True):
    """What came of renewing one account."""

    standing: Standing
    renewed: bool
    why: str | None
    """What kept it from being renewed."""


class Begun(Struct, frozen=True):
    """A login that a person has to finish."""

    id: str
    """Names the attempt; to anybody but us it says nothing."""
    user_code: str
    url: str
    whole_url: str
    """With the code in it; empty: there is none."""
    expires_at: float
    interval_s: float


class _Attempt(Struct, frozen=True, forbid_unknown_fields=True):
    """What the name of an attempt says to us."""

    device_login: str
    code: str
    expires_at: float


class AccountWork:
    """The accounts of one login, for whoever looks after them; it reads and writes files and asks servers."""

    def __init__(
        self,
        login: Login,
        file: AccountsFile,
        token_of: Callable[[str], FreshToken],
        ask: Ask,
        folder: Path,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.file = file
        self._login = login
        self._token_of = token_of
        self._ask = ask
        self._folder = folder
        self._wall = wall

    def standings(self) -> list[Standing]:
        """How each account stands.

        Raises:
            HouseError: the file cannot be read.
        """
        return [standing_of(self._login.name, each, self._wall()) for each in self.file.load()]

    def renew(self, account: str | None = None) -> list[Renewal]:
        """Renews the token of one account or of all, good or not; empty: there is none of that name."""
        names = [each.id for each in self.file.load() if account in {None, each.id}]
        told = {name: self._renewed(name) for name in names}
        return [
            Renewal(each, told[each.account] is None, told[each.account])
            for each in self.standings()
            if each.account in told
        ]

    def _renewed(self, account: str) -> str | None:
        """None: it has another token now; else what kept it from one."""
        token = self._token_of(account)
        held = token.held()
        try:
            token.renewed(held.access.reveal() if held is not None else "")
        except GatewayError as error:
            return error.message
        return None

    def remove(self, account: str) -> bool:
        """Forgets an account; False: there was none."""
        return self._token_of(account).forget()

    def take(self, accounts: Sequence[Account]) -> tuple[list[str], list[str]]:
        """Takes accounts over from elsewhere; the names of those that are new, and of those replaced."""
        private_folder(self._folder)
        known = {each.id for each in self.file.load()}
        self._put(*accounts)
        names = list(dict.fromkeys(each.id for each in accounts))
        return [n for n in names if n not in known], [n for n in names if n in known]

    def _put(self, *accounts: Account) -> None:
        """Waits for renewals of these that are under way: what comes of them is of the tokens before."""
        with ExitStack() as held:
            # In one order: two who take over the same accounts would else wait for each other.
            shelves = [self.file.shelf(name) for name in sorted({each.id for each in accounts})]
            for shelf in shelves:
                held.enter_context(shelf.alone())
            self.file.put(*accounts)
            for shelf in shelves:
                shelf.end()

    def give(self, names: Collection[str]) -> list[dict[str, Any]]:
        """The accounts of these names with their tokens, as the file has them."""
        return [write_account(each) for each in self.file.load() if each.id in names]

    def begin(self, seal: Callable[[bytes], str]) -> Begun:
        """Asks for a code that a person types; ``seal`` keeps what only we may know.

        Raises:
            RefusalError, UpstreamError: the server gave none.
        """
        device = begin_device(self._login, self._ask)
        end = self._wall() + device.expires_s
        attempt = _Attempt(self._login.name, device.code.reveal(), end)
        return Begun(
            id=seal(msgspec.json.encode(attempt)),
            user_code=device.user_code,
            url=device.url,
            whole_url=device.whole_url,
            expires_at=end,
            interval_s=device.interval_s,
        )

    def poll(self, opened: bytes | None) -> Polled | None:
        """Whether the person has typed it, by what the attempt's name holds; None: it is none of ours.

        Raises:
            UpstreamError: the server does not answer.
        """
        try:
            attempt = msgspec.json.decode(opened or b"", type=_Attempt)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        if attempt.device_login != self._login.name:
            return None
        if self._wall() >= attempt.expires_at:
            return Polled("expired")
        device = DeviceCode(Secret(attempt.code), "", "", "", 0.0, 0.0)
        return poll_device(self._login, device, self._ask)

    def keep(self, token: Token) -> str:
        """Keeps the account of a new login, with its organization; its name."""
        private_folder(self._folder)
        account = with_organization(account_of(token), self._login, self._ask)
        self.file.load()  # what is to be taken over from the service's own program comes first
        self._put(account)
        return account.id
