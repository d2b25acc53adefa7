"""OB-1's accounts: whose turn it is, what is shown upstream, and what was spent today (R-OB1-001, R-CRED-010).

Programs ask ``Ob1Tokens``; the gateway has the same accounts in its pool of keys, and its ledger for the money.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TypeVar
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from dragoman.catalog.login import Login
from dragoman.core.errors import GatewayError
from dragoman.core.provider import Rotation
from dragoman.core.secret import Secret
from dragoman.credentials.accounts import Account, AccountsFile
from dragoman.credentials.fresh import FreshToken
from dragoman.credentials.questions import Ask, Question

NO_TOKEN = "No valid OB-1 token. Run ob1 auth to login."  # noqa: S105  the text of R-OB1-002
_DAY_S = 86_400
_ORGANIZATIONS_S = 15.0
_T = TypeVar("_T")


def in_order(
    accounts: Sequence[_T], mode: Rotation, current: int, dice: random.Random
) -> tuple[_T, ...]:
    """The accounts, the one first whose turn it is; ``current`` is where the turn stands."""
    if mode == "performance":
        return tuple(dice.sample(list(accounts), len(accounts)))
    at = current % len(accounts) if accounts else 0
    return (*accounts[at:], *accounts[:at])


class Ob1Tokens:
    """The accounts of one file, for a program that calls OB-1 itself."""

    def __init__(
        self,
        file: AccountsFile,
        token_of: Callable[[str], FreshToken],
        mode: Rotation = "cache-first",
        *,
        wall: Callable[[], float] = time.time,
        dice: random.Random | None = None,
    ) -> None:
        self._file = file
        self._token_of = token_of
        self._mode: Rotation = mode
        self._wall = wall
        self._dice = dice or random.Random()  # noqa: S311  whose turn it is, is no secret
        self._tokens: dict[str, FreshToken] = {}
        self._lock = threading.Lock()
        self._current = 0
        self._day = 0
        self._cost = Decimal(0)
        self._requests = 0

    def get_api_key(self) -> Secret | None:
        """What is shown upstream, of the first account in turn that has a good token; None: none has.

        Raises:
            HouseError: the accounts cannot be read.
        """
        accounts = self._file.load()
        with self._lock:
            current = self._current
            if self._mode == "balanced":
                self._current += 1
        for account in in_order(accounts, self._mode, current, self._dice):
            try:
                token = self._of(account).current()
            except GatewayError:
                continue  # told to whoever listens to the token; another account may be well
            if self._mode == "cache-first":
                self._current = accounts.index(account)
            return replace(account, token=token).key
        return None

    def refresh(self) -> bool:
        """Renews every account whose token ends soon; whether any of them is good."""
        good = False
        for account in self._file.load():
            try:
                self._of(account).current()
            except GatewayError:
                continue
            good = True
        return good

    def add_cost(self, amount: Decimal) -> None:
        """Counts one request of today, and what it cost in USD; zero counts as well (R-OB1-007)."""
        with self._lock:
            self._turn_day()
            self._cost += amount
            self._requests += 1

    def today(self) -> tuple[Decimal, int]:
        """What was spent since midnight UTC, and by how many requests (R-USE-010)."""
        with self._lock:
            self._turn_day()
            return self._cost, self._requests

    def _turn_day(self) -> None:
        day = int(self._wall() // _DAY_S)
        if day != self._day:
            self._day, self._cost, self._requests = day, Decimal(0), 0

    def _of(self, account: Account) -> FreshToken:
        found = self._tokens.get(account.id)
        if found is None:
            found = self._tokens[account.id] = self._token_of(account.id)
        return found


def with_organization(account: Account, login: Login, ask: Ask) -> Account:
    """The account with its organization; without one it is used as it is."""
    if account.org_id or not login.organizations_url or not account.user_id:
        return account
    url = f"{login.organizations_url}?user_id={quote(account.user_id, safe='')}"
    bearer = {
        "authorization": f"Bearer {account.token.access.reveal()}",
        "accept": "application/json",
    }
    try:
        answer = ask(Question(url, None, bearer, _ORGANIZATIONS_S))
        told = msgspec.json.decode(answer.body)["data"][0]
        name, title = told["organizationId"], told.get("organizationName")
    except (GatewayError, msgspec.DecodeError, UnicodeDecodeError, LookupError, TypeError):
        return account
    if not isinstance(name, str) or not name.isascii() or not name.isprintable() or " " in name:
        return account
    return replace(account, org_id=name, org_name=str(title or ""))
