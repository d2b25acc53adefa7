"""OAuth 2's requests and answers; oauthlib knows the protocol, this says which parts of it we use.

Nothing is sent here. What servers say of a failure becomes a ``RefusalError``, whose word decides whether one
has to log in anew.
"""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit, urlunsplit

import msgspec
from msgspec import Struct

from dragoman.catalog.login import Login, is_loopback
from dragoman.core.errors import GatewayError, HouseError, UpstreamError
from dragoman.core.secret import Secret
from dragoman.credentials.questions import Answer, Question
from dragoman.credentials.token import Token, seconds_of

if TYPE_CHECKING:
    from oauthlib.oauth2 import WebApplicationClient

_FORM = {
    "content-type": "application/x-www-form-urlencoded",
    "accept": "application/json",
}
_LONGEST = 200
_LEAST = 8
"""Shorter secrets are words of tests, which stand in any text."""
_LOST = frozenset({"invalid_grant"})
"""The server will never again take what we have."""
_SHOWN = frozenset(
    {
        "client_secret",
        "code",
        "code_verifier",
        "device_code",
        "password",
        "refresh_token",
        "token",
    }
)
_HIDDEN = "[redacted]"
_KEPT = frozenset(
    {"access_token", "refresh_token", "expires_in", "expires_at", "id_token", "scope"}
)


class RefusalError(GatewayError):
    """The server has answered with an error of the protocol, such as ``invalid_grant``."""

    def __init__(self, login: Login, word: str, told: str) -> None:
        said = f"{word}: {told}" if told else word
        super().__init__(
            "authentication", f"{login.name} refused: {said}.", status=502, code="login_refused"
        )
        self.word = word
        self.said = said

    @property
    def is_lost(self) -> bool:
        """Whether only a new login helps."""
        return self.word in _LOST


class Grant(Struct, frozen=True):
    """One attempt to log in by a browser: what only we know of it."""

    state: str
    verifier: Secret
    redirect: str


class DeviceCode(Struct, frozen=True):
    """What a person has to type, and where (RFC 8628)."""

    code: Secret
    user_code: str
    url: str
    whole_url: str
    """With the code in it; empty: there is none."""
    expires_s: float
    interval_s: float


def new_grant(redirect: str) -> Grant:
    """A new attempt, which nobody else can finish."""
    return Grant(secrets.token_urlsafe(32), Secret(secrets.token_urlsafe(64)), redirect)


def authorization_url(login: Login, grant: Grant) -> str:
    """Where a person says yes, in a browser (RFC 6749, 4.1.1; RFC 7636)."""
    client = _client(login)
    challenge = client.create_code_challenge(grant.verifier.reveal(), "S256")
    secure = client.prepare_request_uri(
        _as_secure(login.authorize_url),
        redirect_uri=grant.redirect,
        scope=list(login.scopes) or None,
        state=grant.state,
        code_challenge=challenge,
        code_challenge_method="S256",
        **login.authorize_params,
    )
    return _scheme(str(secure), urlsplit(login.authorize_url).scheme)


def code_of_redirect(login: Login, grant: Grant, url: str) -> str:
    """The code in the address that the browser came back to.

    Raises:
        RefusalError: the server, or the person, said no.
        HouseError: it is not the answer to this attempt.
    """
    oauthlib = _oauthlib()
    query = urlsplit(url).query
    if login.issuer:
        try:
            said = dict(_pairs(query)).get("iss")
        except ValueError:
            said = None  # anybody may call the address, with anything
        if said != login.issuer:
            raise HouseError(
                "server",
                f"The answer is not from {login.issuer}: nothing was taken.",
                code="wrong_issuer",
            )
    try:
        found = _client(login).parse_request_uri_response(_as_secure(url), state=grant.state)
    except oauthlib.OAuth2Error as error:
        if error.error == "mismatching_state":
            raise HouseError(
                "server",
                "The answer does not belong to this attempt to log in (its state is another): "
                "nothing was taken.",
                code="wrong_state",
            ) from None
        raise _refused(login, error, [grant.state]) from None
    return str(found["code"])


def code_question(login: Login, grant: Grant, code: str) -> Question:
    """The code for a token (RFC 6749, 4.1.3)."""
    body = _client(login).prepare_request_body(
        code=code,
        redirect_uri=grant.redirect,
        code_verifier=grant.verifier.reveal(),
        include_client_id=False,
        **login.token_params,
    )
    return _token_question(login, body)


def device_question(login: Login) -> Question:
    """Asks for a code that a person types elsewhere (RFC 8628, 3.1)."""
    client = _oauthlib().DeviceClient(login.client_id)
    url = client.prepare_request_uri(
        _as_secure(login.device_url), scope=list(login.scopes) or None, **login.token_params
    )
    return Question(login.device_url, urlsplit(url).query, dict(_FORM))


def device_code_of(login: Login, question: Question, answer: Answer) -> DeviceCode:
    """The code that was given.

    Raises:
        RefusalError, UpstreamError: none was.
    """
    told = _told(login, question, answer)
    code, user = told.get("device_code"), told.get("user_code")
    url = told.get("verification_uri") or told.get("verification_url")
    if not (isinstance(code, str) and isinstance(user, str) and isinstance(url, str)):
        raise _strange(login, answer)
    whole = str(told.get("verification_uri_complete") or "")
    if not _is_page(url) or (whole and not _is_page(whole)):
        raise _strange(
            login, answer
        )  # a browser is sent there, and opens files and programs as well
    return DeviceCode(
        Secret(code),
        plain(user),
        plain(url),
        plain(whole),
        _number(told.get("expires_in"), 600),
        max(0.0, _number(told.get("interval"), 5)),
    )


def poll_question(login: Login, device: DeviceCode) -> Question:
    """Asks whether the person has typed it (RFC 8628, 3.4)."""
    client = _oauthlib().DeviceClient(login.client_id)
    body = client.prepare_request_body(
        device.code.reveal(), include_client_id=False, **login.token_params
    )
    return _token_question(login, body)


def own_question(login: Login) -> Question:
    """A token of our own, without a person (RFC 6749, 4.4)."""
    client = _oauthlib().BackendApplicationClient(login.client_id)
    body = client.prepare_request_body(
        scope=list(login.scopes) or None, include_client_id=False, **login.token_params
    )
    return _token_question(login, body)


def refresh_question(login: Login, refresh: Secret) -> Question:
    """The next token for a refresh token (RFC 6749, 6)."""
    body = _client(login).prepare_refresh_body(
        refresh_token=refresh.reveal(), **login.token_params
    )
    return _token_question(login, body)


def revoke_question(login: Login, token: Token) -> Question:
    """Takes back a token, and with a refresh token all that came of it (RFC 7009)."""
    secret = token.refresh or token.access
    _, _, body = _client(login).prepare_token_revocation_request(
        _as_secure(login.revoke_url),
        secret.reveal(),
        "refresh_token" if token.refresh else "access_token",
    )
    return _question_of(login, login.revoke_url, body)


def token_of(login: Login, question: Question, answer: Answer, now: float) -> Token:
    """The token that was given.

    Raises:
        RefusalError: the server said no, and why.
        UpstreamError: what came is no answer of the protocol.
    """
    told = _told(login, question, answer)
    access, refresh = told.get("access_token"), told.get("refresh_token")
    if not isinstance(access, str) or not _is_sendable(access):
        raise _strange(login, answer)
    if refresh is not None and not (isinstance(refresh, str) and refresh.isprintable()):
        raise _strange(login, answer)
    lasts = _number(told.get("expires_in"), 0)
    end = float(int(now + lasts)) if lasts > 0 else seconds_of(told.get("expires_at"))
    scope = told.get("scope")
    scopes = scope.split() if isinstance(scope, str) else scope if isinstance(scope, list) else ()
    return Token(
        access=Secret(access),
        refresh=Secret(refresh) if refresh else None,
        expires_at=end,
        scopes=tuple(str(each) for each in scopes),
        extra={name: value for name, value in told.items() if name not in _KEPT},
    )


def check_revoked(login: Login, question: Question, answer: Answer) -> None:
    """Whether the server has taken it back; one that it does not know is gone as well (RFC 7009, 2.2).

    Raises:
        RefusalError, UpstreamError: it has not.
    """
    if answer.status != 200:
        try:
            _told(login, question, answer)
        except RefusalError as error:
            if error.word not in {"invalid_token", "invalid_grant"}:
                raise
        else:
            raise _strange(login, answer)


def secrets_of(question: Question) -> list[str]:
    """What a question shows that nobody else may see: tokens, codes, and what proves who asks."""
    form = dict(_pairs(question.body or ""))
    found = [value for name, value in form.items() if name in _SHOWN]
    method, _, said = question.headers.get("authorization", "").partition(" ")
    if method == "Basic":
        found += [said, unquote(base64.b64decode(said).decode().partition(":")[2])]
    return sorted((each for each in found if len(each) >= _LEAST), key=len, reverse=True)


def plain(text: str) -> str:
    """What a server says, as it may be shown: printable, and not too long."""
    return "".join(sign if sign.isprintable() else " " for sign in text)[:_LONGEST]


def _told(login: Login, question: Question, answer: Answer) -> dict[str, Any]:
    """The members of a good answer; what is wrong is told by the library's own reading of it."""
    if answer.status >= 500 or answer.status == 429:
        raise _strange(login, answer)
    try:
        text = answer.body.decode()
        members = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # GitHub answers in a form unless it is asked for JSON, and old servers do so always.
        try:
            text, members = answer.body.decode(), dict(_pairs(answer.body.decode()))
        except (UnicodeDecodeError, ValueError):
            raise _strange(login, answer) from None
    if not isinstance(members, dict) or not members:
        raise _strange(login, answer)
    if answer.status == 200 and "error" not in members:
        return members
    oauthlib = _oauthlib()
    try:
        _client(login).parse_request_body_response(text)
    except oauthlib.OAuth2Error as error:
        if "error" in members:
            raise _refused(login, error, secrets_of(question)) from None
    except (ValueError, TypeError, Warning):
        pass
    raise _strange(login, answer)


def _refused(login: Login, error: Any, secrets: list[str]) -> RefusalError:
    """Some servers quote what they refuse, and this is logged, kept with the login, and told to callers."""
    word, told = str(error.error or "error"), str(getattr(error, "description", "") or "")
    for secret in secrets:
        word, told = word.replace(secret, _HIDDEN), told.replace(secret, _HIDDEN)
    word, told = plain(word), plain(told).rstrip(".")
    return RefusalError(login, word, told if told != f"({word})" else "")


def _strange(login: Login, answer: Answer) -> UpstreamError:
    return UpstreamError(
        "upstream",
        f"The authorization server of {login.name} answered {answer.status}, which is no token.",
        upstream_status=answer.status,
        code="token_endpoint",
        retryable=answer.status >= 500 or answer.status == 429,
    )


def _token_question(login: Login, body: str) -> Question:
    return _question_of(login, login.token_url, body)


def _question_of(login: Login, url: str, body: str) -> Question:
    """Says who we are, in the way that the server wants it (RFC 6749, 2.3.1)."""
    headers = dict(_FORM)
    name = quote(login.client_id, safe="")
    if login.client_secret and login.client_auth == "basic":
        pair = f"{name}:{quote(login.client_secret, safe='')}"
        headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        return Question(url, body, headers)
    if "client_id=" not in body:
        body += f"&client_id={name}"
    if login.client_secret and login.client_auth == "body":
        body += f"&client_secret={quote(login.client_secret, safe='')}"
    return Question(url, body, headers)


def _client(login: Login) -> WebApplicationClient:
    client: WebApplicationClient = _oauthlib().WebApplicationClient(login.client_id)
    return client


def _oauthlib() -> Any:
    """The library, which is an extra (D31) and is imported by who logs in or renews, nobody else (D32)."""
    try:
        import oauthlib.oauth2  # noqa: PLC0415
    except ModuleNotFoundError:
        raise HouseError(
            "server",
            "Logging in by OAuth needs the extra [oauth]: pip install 'dragoman[oauth]'",
            code="missing_extra",
        ) from None
    return oauthlib.oauth2


def _as_secure(url: str) -> str:
    """The library takes no http; ours are on this machine alone, which ``login.py`` has seen to."""
    return _scheme(url, "https")


def _scheme(url: str, scheme: str) -> str:
    return urlunsplit(urlsplit(url)._replace(scheme=scheme))


def _pairs(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, strict_parsing=True, max_num_fields=64) if query else []


def _number(value: object, otherwise: float) -> float:
    if isinstance(value, bool):
        return otherwise
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return otherwise
    return number if 0 <= number < 10**9 else otherwise


def _is_page(url: str) -> bool:
    """Whether a person may be sent there."""
    return url.startswith("https://") or (url.startswith("http://") and is_loopback(url))


def _is_sendable(token: str) -> bool:
    """Whether it may stand in a header."""
    return bool(token) and all("!" <= sign <= "~" for sign in token)
