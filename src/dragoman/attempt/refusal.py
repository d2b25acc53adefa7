"""What a provider says instead of an answer, as an error that may be told on."""

from __future__ import annotations

from dragoman.attempt.redirect import redirected
from dragoman.core.errors import UpstreamError
from dragoman.core.provider import Credential
from dragoman.credentials.own import is_own
from dragoman.dialects.base import Dialect
from dragoman.dialects.redact import MARK

_WHOSE = frozenset({401, 402, 403})
_KEY_LENGTH = 8
"""Shorter ones are words of tests, which stand in any text."""


def read_refusal(
    provider: Dialect,
    credential: Credential | None,
    status: int,
    headers: dict[str, str],
    body: bytes,
) -> UpstreamError:
    """The provider's error; some echo the key, and not every key looks like one (K8)."""
    if status < 400:
        return redirected(status, headers)
    for secret in shown_by(credential):
        body = body.replace(secret.encode(), MARK.encode())
    error = provider.read_error(status, headers, body)
    if credential is not None and is_own(credential.id) and status in _WHOSE:
        # Whose it is decides who mends it.
        message = error.message.replace("the gateway's own ", "the gateway's ")
        error.message = message.replace("the gateway's ", "your own ", 1)
    return error


def shown_by(credential: Credential | None) -> list[str]:
    """What was shown by this credential, longest first; of a token with an organization behind it, both."""
    if credential is None:
        return []
    whole = credential.secret.shown()
    parts = {part for each in whole for part in (each, each.partition(":")[0])}
    return sorted((part for part in parts if len(part) >= _KEY_LENGTH), key=len, reverse=True)


def unquote(error: UpstreamError, credential: Credential | None) -> None:
    """Takes the credential out of what is told of a failure, wherever in an answer that came from (K8)."""
    for secret in shown_by(credential):
        error.message = error.message.replace(secret, MARK)
        if error.body is not None:
            error.body = error.body.replace(secret.encode(), MARK.encode())
        if error.details is not None:
            error.details = {
                name: _without(secret, value) for name, value in error.details.items()
            }


def tell(error: UpstreamError, *, same: bool) -> UpstreamError:
    """The error as the caller's dialect may say it (D10); ``same``: it is the provider's."""
    upstream = error.upstream_status
    if not same:
        error.body = None
    elif upstream is not None and 500 <= upstream < 600:
        error.status = upstream
    return error


def _without(secret: str, value: object) -> object:
    match value:
        case str():
            return value.replace(secret, MARK)
        case list():
            return [_without(secret, each) for each in value]
        case dict():
            return {name: _without(secret, each) for name, each in value.items()}
        case _:
            return value
