"""Accounts of logins as the gateway's credentials: one live token each, however often the configuration is read.

Which accounts there are follows from their file, and so does whether the provider is switched on. Their
tokens belong to the process: two assemblies that know an account share its token.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from dragoman.assembly.logins import Logins, Tell, open_logins
from dragoman.catalog.files import definitions
from dragoman.config.settings import ConfigError, Settings
from dragoman.core.errors import GatewayError, HouseError
from dragoman.core.provider import Credential
from dragoman.credentials.account_work import AccountWork
from dragoman.credentials.accounts import Account, AccountsFile, Standing, standing_of
from dragoman.credentials.fresh import FreshToken
from dragoman.credentials.live import LiveToken

_LOOK_S = 1.0
"""How often it is looked whether accounts have come or gone, and whose token ends soon."""


def _untold(what: str, whom: str, why: str) -> None:
    """Nobody listens yet."""


class LiveAccounts:
    """The accounts of every login that a provider's keys come from."""

    def __init__(self) -> None:
        self.tell: Tell = _untold
        self._tokens: dict[tuple[Path, str], LiveToken] = {}
        self._organizations: dict[tuple[Path, str], str] = {}
        self._credentials: dict[tuple[Path, str], Credential] = {}
        self._files: dict[str, AccountsFile] = {}
        self._logins: Logins | None = None

    def of(self, settings: Settings, env: Mapping[str, str]) -> dict[str, tuple[Credential, ...]]:
        """The accounts of each login; one that has no file is not among them.

        Raises:
            ConfigError: a login is wrongly described, or a file of accounts cannot be read.
        """
        wanted = {each.accounts for each in definitions().values() if each.accounts}
        try:
            logins = open_logins(settings, env, self._say)
        except HouseError as error:
            raise ConfigError(error.message) from None
        self._logins = logins
        found = {}
        for name in sorted(wanted):
            try:
                login = logins.login(name)
                file = logins.accounts(login)
                self._files[name] = file
                accounts = file.load()
            except HouseError as error:
                raise ConfigError(error.message) from None
            if accounts or file.path.exists():
                found[name] = tuple(self._one(logins, name, file.path, each) for each in accounts)
            there = {each.id for each in accounts}
            for place in [each for each in self._tokens if each[0] == file.path]:
                if place[1] not in there:
                    del self._tokens[place], self._credentials[place], self._organizations[place]
        return found

    def live(self) -> list[LiveToken]:
        """Every token of which the process knows."""
        return list(self._tokens.values())

    def stamp(self) -> tuple[object, ...]:
        """Changes whenever a file of accounts does."""
        found: list[object] = []
        for file in self._files.values():
            try:
                state = file.path.stat()
            except OSError:
                found.append(None)
            else:
                found.append((state.st_mtime_ns, state.st_size))
        return tuple(found)

    def standings(self) -> list[Standing]:
        """How every account stands, as its file has it.

        Raises:
            HouseError: a file cannot be read.
        """
        return [
            standing_of(name, each, time.time())
            for name, file in self._files.items()
            for each in file.load()
        ]

    def work(self, name: str) -> AccountWork:
        """What is done with the accounts of a login; their tokens are those that calls use here.

        Raises:
            ConfigError, HouseError: who we are there is not known.
        """
        assert self._logins is not None, "the configuration was read"
        login, logins = self._logins.login(name), self._logins
        path = logins.accounts(login).path

        def token_of(account: str) -> FreshToken:
            live = self._tokens.get((path, account))
            return logins.account(login, account) if live is None else live.token

        return logins.work(login, token_of)

    def _say(self, what: str, whom: str, why: str) -> None:
        """To whoever listens by then."""
        self.tell(what, whom, why)

    def _one(self, logins: Logins, name: str, path: Path, account: Account) -> Credential:
        place = (path, account.id)
        self._organizations[place] = f":{account.org_id}" if account.org_id else ""
        if place not in self._tokens:
            token = logins.account(logins.login(name), account.id)
            live = LiveToken(token, lambda: self._organizations.get(place, ""))
            self._tokens[place] = live
            self._credentials[place] = live.credential(account.id)
        known = self._tokens[place].token
        held = known.known()
        if held is None or held.access.reveal() != account.token.access.reveal():
            known.held()  # a login or an import may have put another in its place
        return self._credentials[place]


ACCOUNTS = LiveAccounts()
"""Those of this process."""


async def tend(changed: Callable[[], Awaitable[None]]) -> None:
    """Renews tokens ahead of their ends, and tells of accounts that have come or gone, until cancelled."""
    stamp = ACCOUNTS.stamp()
    while True:
        await asyncio.sleep(_LOOK_S)
        try:
            for live in ACCOUNTS.live():
                await live.tend()
            now = ACCOUNTS.stamp()
            if now != stamp:
                stamp = now
                await changed()
        except Exception as error:  # noqa: BLE001  whoever looks after accounts must go on doing so
            said = error.message if isinstance(error, GatewayError) else type(error).__name__
            ACCOUNTS.tell("accounts cannot be looked after", "", said)
