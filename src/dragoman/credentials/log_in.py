"""The ways to a first token: by a browser, by a code typed elsewhere, or by being who we are."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from dragoman.catalog.login import Login
from dragoman.core.errors import HouseError, UpstreamError
from dragoman.credentials.fresh import elsewhere
from dragoman.credentials.loopback import listening
from dragoman.credentials.protocol import (
    DeviceCode,
    RefusalError,
    authorization_url,
    check_revoked,
    code_of_redirect,
    code_question,
    device_code_of,
    device_question,
    new_grant,
    own_question,
    poll_question,
    revoke_question,
    token_of,
)
from dragoman.credentials.questions import Ask, Question
from dragoman.credentials.token import Token, given_by, is_for

PATIENCE_S = 300.0
_SLOWER_S = 5.0
"""What ``slow_down`` adds to the interval (RFC 8628, 3.5)."""


def log_in(
    login: Login,
    ask: Ask,
    *,
    visit: Callable[[str], object],
    type_in: Callable[[DeviceCode], object],
    patience_s: float = PATIENCE_S,
    sleep: Callable[[float], object] = time.sleep,
) -> Token:
    """A new token, in the way that the login's file names.

    ``visit`` is told the address that a browser has to go to, ``type_in`` the code that a person has to type.

    Raises:
        RefusalError: the server or the person said no.
        HouseError: nobody came in time, or who we are is not known.
        UpstreamError: the server does not answer.
    """
    _check_client(login)
    match login.grant:
        case "authorization_code":
            return by_browser(login, ask, visit, patience_s)
        case "device_code":
            return by_device(login, ask, type_in, sleep)
        case "client_credentials":
            return by_itself(login, ask)


def by_browser(
    login: Login, ask: Ask, visit: Callable[[str], object], patience_s: float = PATIENCE_S
) -> Token:
    """Authorization code with PKCE and a redirect to this machine."""
    with listening(login.redirect) as back:
        grant = new_grant(back.url)
        visit(authorization_url(login, grant))
        code = back.wait(lambda url: code_of_redirect(login, grant, url), patience_s)
    return _given(login, ask, code_question(login, grant, code))


def by_device(
    login: Login,
    ask: Ask,
    type_in: Callable[[DeviceCode], object],
    sleep: Callable[[float], object] = time.sleep,
) -> Token:
    """A code that is typed on another machine; asks until the person has done so (RFC 8628)."""
    device = begin_device(login, ask)
    type_in(device)
    interval = device.interval_s
    waited = 0.0
    while waited < device.expires_s:
        sleep(interval)
        waited += max(interval, 0.001)
        try:
            return _given(login, ask, poll_question(login, device))
        except RefusalError as error:
            if error.word == "slow_down":
                interval += _SLOWER_S
            elif error.word == "expired_token":
                break
            elif error.word != "authorization_pending":
                raise
        except UpstreamError as error:
            if not error.retryable:
                raise
            interval *= 2  # a server in trouble is asked less often (RFC 8628, 3.5)
    raise HouseError(
        "server",
        f"The code {device.user_code} was not typed in time; begin anew: {login.cure}",
        code="login_timeout",
    )


class Polled(Struct, frozen=True):
    """What a look at an attempt has found."""

    state: Literal["pending", "complete", "expired", "error"]
    token: Token | None = None
    """Of one that is complete."""
    slower: bool = False
    """The server wants longer pauses between looks."""
    why: str | None = None
    """Of an error."""


def begin_device(login: Login, ask: Ask) -> DeviceCode:
    """A code that is typed on another machine; ``poll_device`` sees whether it was.

    Raises:
        RefusalError, UpstreamError: the server gave none.
        HouseError: who we are is not known.
    """
    _check_client(login)
    question = device_question(login)
    return device_code_of(login, question, ask(question))


def poll_device(login: Login, device: DeviceCode, ask: Ask) -> Polled:
    """One look at whether it was typed.

    Raises:
        UpstreamError: the server does not answer.
    """
    try:
        return Polled("complete", _given(login, ask, poll_question(login, device)))
    except RefusalError as error:
        match error.word:
            case "authorization_pending" | "slow_down":
                return Polled("pending", slower=error.word == "slow_down")
            case "expired_token":
                return Polled("expired")
            case _:
                return Polled("error", why=error.said)


def by_itself(login: Login, ask: Ask) -> Token:
    """Client credentials: nobody has to say yes."""
    return _given(login, ask, own_question(login))


def revoke(login: Login, token: Token, ask: Ask) -> bool:
    """Has the server take the token back; False: the server has no way to.

    Raises:
        RefusalError, UpstreamError: it did not.
        LoginNeededError: another server has given the token.
    """
    if not login.revoke_url:
        return False
    if not is_for(token, login.token_url):
        raise elsewhere(login)
    question = revoke_question(login, token)
    check_revoked(login, question, ask(question))
    return True


def _given(login: Login, ask: Ask, question: Question) -> Token:
    """A server that says nothing of scopes has given what was asked for (RFC 6749, 5.1)."""
    token = given_by(token_of(login, question, ask(question), time.time()), login.token_url)
    return token if token.scopes else replace(token, scopes=login.scopes)


def _check_client(login: Login) -> None:
    if login.client_id:
        return
    names = " or ".join(login.variables.get("client_id", ()))
    said = f"set {names}, or " if names else ""
    where = f"put {login.client_file} into the secrets folder, or " if login.client_file else ""
    raise HouseError(
        "server",
        f"Who we are at {login.name} is not known: {where}{said}say client_id in [oauth.{login.name}] "
        "of dragoman.toml.",
        code="missing_client",
    )
