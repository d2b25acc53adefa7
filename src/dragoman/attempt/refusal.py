"""What a provider says instead of an answer, as an error that may be told on."""

from __future__ import annotations

from dragoman.attempt.redirect import redirected
from dragoman.core.errors import UpstreamError
from dragoman.core.provider import Credential
from dragoman.credentials.own import is_own
from dragoman.dialects.base import Dialect

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
    if credential is not None and len(secret := credential.secret.reveal()) >= _KEY_LENGTH:
        body = body.replace(secret.encode(), b"[redacted]")
    error = provider.read_error(status, headers, body)
    if credential is not None and is_own(credential.id) and status in _WHOSE:
        # Whose it is decides who mends it.
        message = error.message.replace("the gateway's own ", "the gateway's ")
        error.message = message.replace("the gateway's ", "your own ", 1)
    return error
