"""A token that is always good: renewed before its end, once for everybody who waits.

Threads of a process wait for one lock, processes for another beside the file; who gets it looks first
whether somebody else has done the work. A server that does not answer costs nothing as long as the old
token lasts. A server that says that the login is over is asked once: the file says so from then on, and
every caller gets the same sentence, with the command that logs in anew.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal, TypeAlias

from msgspec.structs import replace

from dragoman.catalog.login import Login
from dragoman.core.errors import GatewayError, HouseError, UpstreamError
from dragoman.credentials.protocol import (
    RefusalError,
    own_question,
    refresh_question,
    token_of,
)
from dragoman.credentials.questions import Ask
from dragoman.credentials.token import Token, given_by, is_for
from dragoman.credentials.token_file import Shelf

Happening: TypeAlias = Literal["renewed", "not renewed", "lost", "interrupted"]
Note: TypeAlias = Callable[[Happening, str, str], object]
"""Told what happened, to which login, and why; never with a token."""

_AGAIN_S = 5.0
"""A server that did not answer is left alone for so long while the old token lasts."""


class LoginNeededError(HouseError):
    """There is no good token, and only a person can get one: the message says by which command."""

    def __init__(self, login: Login, why: str) -> None:
        super().__init__(
            "server",
            f"{why}; log in {'first' if 'no login' in why else 'again'}: {login.cure}",
            status=503,
            code="login_needed",
        )
        self.why = why


def elsewhere(login: Login) -> LoginNeededError:
    """The token is another server's: whoever has changed the address does not come by it (F12)."""
    return LoginNeededError(
        login, f"The login of {login.name} was made at another address than it has here now"
    )


def _unheard(happening: Happening, login: str, why: str) -> None:
    """Nobody listens."""


class FreshToken:
    """The token of one login, for as many threads and processes as want it."""

    def __init__(
        self,
        login: Login,
        shelf: Shelf,
        ask: Ask,
        *,
        note: Note = _unheard,
        whose: str = "",
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.login = login
        self.shelf = shelf
        self._ask = ask
        self._note = note
        self._name = f"{login.name} ({whose})" if whose else login.name
        self._wall = wall
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._again = 0.0
        self._failures = 0
        self._failure: GatewayError | None = None

    def known(self) -> Token | None:
        """The token of which this process knows, without a look at anything."""
        return self._token

    def held(self) -> Token | None:
        """The token as it lies there, fresh or not; None: nobody has logged in."""
        self._token = self.shelf.load()
        return self._token

    def is_due(self) -> bool:
        """Whether the next ``current`` may have to ask somebody."""
        token = self._token
        return token is None or not self._is_good(token)

    def current(self) -> Token:
        """A token that is good for some time yet.

        Raises:
            LoginNeededError: there is none, and a person has to log in.
            UpstreamError: the server does not answer, and the old token has ended.
        """
        token = self._token
        if token is not None and self._is_good(token):
            return token
        failures = self._failures
        with self._lock:
            token = self._token
            if token is not None and self._is_good(token):
                return token
            if self._failures != failures and self._failure is not None:
                # Somebody has asked while we waited: asking again would only hear the same.
                raise self._failure
            return self._renewed(None)

    def renewed(self, refused: str) -> Token:
        """Another token than this one, which the service has refused (401).

        Raises:
            LoginNeededError, UpstreamError: as ``current``.
        """
        with self._lock:
            token = self._token
            if token is not None and token.access.reveal() != refused and self._is_good(token):
                return token
            return self._renewed(refused)

    def keep(self, token: Token) -> None:
        """Keeps the token of a new login."""
        with self._lock, self.shelf.alone():
            self.shelf.save(token)
            self.shelf.end()
            self._token = token
            self._again = 0.0

    def forget(self) -> bool:
        """Removes the token; False: there was none."""
        with self._lock, self.shelf.alone():
            self._token = None
            return self.shelf.forget()

    def _is_good(self, token: Token) -> bool:
        if token.lost or not token.access:
            return False
        now = self._wall()
        if token.is_fresh(now, self.login.refresh_buffer_s):
            return True
        return now < self._again and token.is_fresh(now)

    def _renewed(self, refused: str | None) -> Token:
        """Under the lock of the process: what another process has left there, or a new one."""
        try:
            with self.shelf.alone():
                token = self.shelf.load()
                if token is None and self.login.grant != "client_credentials":
                    raise LoginNeededError(self.login, f"There is no login for {self._name}")
                if token is not None and token.lost:
                    raise LoginNeededError(self.login, token.lost)
                other = token is not None and token.access.reveal() != refused
                if token is None or not (other and self._is_good(token)):
                    token = self._asked(token, refused)
                self._token, self._failure = token, None
                return token
        except GatewayError as error:
            self._failures += 1
            self._failure = error
            if isinstance(error, LoginNeededError):
                self._token = None
            raise

    def _asked(self, old: Token | None, refused: str | None) -> Token:
        """Under both locks: asks the server for the next token, and keeps it."""
        name = self._name
        if old is not None and not is_for(old, self.login.token_url):
            raise elsewhere(self.login)
        if old is not None and old.refresh is None and self.login.grant != "client_credentials":
            now = self._wall()
            if refused is None and old.access and old.is_fresh(now):
                return old  # nothing can be done about its end
            raise self._lost(
                old, f"The login of {name} has ended, and it brought no refresh token"
            )
        interrupted = False
        if old is not None and old.refresh is not None:
            question = refresh_question(self.login, old.refresh)
            interrupted = self.shelf.was_interrupted(old)
            if interrupted:
                self._note("interrupted", name, "a renewal was begun and its answer never kept")
            self.shelf.begin(old)
        else:
            question = own_question(self.login)
        try:
            new = token_of(self.login, question, self._ask(question), self._wall())
        except RefusalError as error:
            if not error.is_lost or old is None:
                self.shelf.end()
                raise self._not_renewed(error) from None
            why = f"The login of {name} was revoked or has ended ({error.said})"
            if interrupted:
                why += ", after a renewal that was interrupted by a crash"
            raise self._lost(old, why) from None
        except UpstreamError as error:
            # The note stays: the server may have taken the refresh token, and its answer was lost.
            if error.sent == "no":
                self.shelf.end()
            self._note("not renewed", name, error.message)
            now = self._wall()
            if refused is None and old is not None and old.access and old.is_fresh(now):
                self._again = now + _AGAIN_S
                return old
            raise
        token = given_by(new if old is None else old.renewed(new), self.login.token_url)
        self.shelf.save(token)
        self.shelf.end()
        self._again = 0.0
        self._note("renewed", name, "")
        return token

    def _lost(self, old: Token, why: str) -> LoginNeededError:
        """Writes down that only a new login helps."""
        self.shelf.save(replace(old, lost=why))
        self.shelf.end()
        self._note("lost", self._name, why)
        return LoginNeededError(self.login, why)

    def _not_renewed(self, error: RefusalError) -> HouseError:
        """A refusal that no new login cures: who we are is wrong."""
        self._note("not renewed", self._name, error.said)
        return HouseError(
            "server",
            f"{self._name} does not renew the login ({error.said}): see to client_id and "
            f"client_secret of [oauth.{self.login.name}].",
            status=503,
            code="login_refused",
        )
