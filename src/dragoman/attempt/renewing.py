"""A try with a credential that may have to be renewed, at a provider whose failures have words of their own.

The credential is made good before the call where it is about to end. Where the provider refuses it all the same
(401), the answer is closed, the credential renewed once, and the call made once more (R-OB1-004): within one try,
for a refused call costs nothing. What then fails is told word for word, in the caller's own form of an error.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct, structs

from dragoman.attempt.means import Means
from dragoman.attempt.ports import Again, Transport, UpstreamReply, UpstreamRequest
from dragoman.attempt.refusal import shown_by
from dragoman.core.ask import Ask
from dragoman.core.call import Call
from dragoman.core.errors import GatewayError, UpstreamError
from dragoman.core.provider import Candidate, Words
from dragoman.credentials.static import header_of
from dragoman.dialects.redact import MARK

_UNAUTHORIZED = 401
_TOLD = 500
"""Characters of a provider's answer that its caller is told (R-OB1-005)."""
_LOGGED = 200
_UNREADABLE = "(its answer could not be read)"
_MESSAGES = msgspec.json.Decoder(list[Raw])


class Try(Struct, frozen=True):
    """Who is tried, for which call."""

    candidate: Candidate
    call: Call
    ask: Ask
    means: Means
    again: Again
    """Accounts for a request that is sent once more."""


async def send_renewing(
    trial: Try, words: Words, transport: Transport, request: UpstreamRequest
) -> UpstreamReply:
    """The provider's reply, of whatever status.

    Raises:
        UpstreamError: there is no credential, the provider cannot be reached, or it refuses what cannot be
            renewed.
    """
    credential = trial.candidate.credential
    renewal = credential.renewal if credential is not None else None
    _log_request(trial)
    if renewal is not None and renewal.is_due():
        try:
            await renewal.fresh()
        except GatewayError as error:
            _log(trial, "warn", "no usable token", why=error.message)
            raise _no_credential(words) from None
    if credential is None or not credential.secret:
        _log(trial, "warn", "no usable token", why="no account has one")
        raise _no_credential(words)
    shown = credential.secret.reveal()
    reply = await _sent(words, transport, trial, request)
    if reply.status != _UNAUTHORIZED or renewal is None:
        return reply
    _log(trial, "warn", "the token was refused", status=reply.status)
    await reply.close()
    try:
        await renewal.renewed(shown)
    except GatewayError as error:
        _log(trial, "warn", "the token cannot be renewed", why=error.message)
        raise _refused(words.not_renewed) from None
    if not credential.secret:
        raise _refused(words.no_key)
    return await _sent(words, transport, trial, request)


def reworded(
    error: UpstreamError, trial: Try, words: Words, status: int, body: bytes | None
) -> UpstreamError:
    """The provider's refusal in its own words, with its own status (R-OB1-005)."""
    text = _UNREADABLE if body is None else _clean(trial, body)
    _log(trial, "warn", "refused", status=status, said=text[:_LOGGED])
    if status >= 400:
        error.status = status
    error.message = words.refused.format(status=status, body=text[:_TOLD])
    error.body = None
    return error


async def _sent(
    words: Words, transport: Transport, trial: Try, request: UpstreamRequest
) -> UpstreamReply:
    try:
        return await transport.send(_with_credential(trial, request), trial.again)
    except UpstreamError as error:
        error.message = words.unreachable.format(detail=error.message)
        error.status = 502
        raise


def _with_credential(trial: Try, request: UpstreamRequest) -> UpstreamRequest:
    """The request with the credential of this moment."""
    candidate = trial.candidate
    shown = header_of(candidate.provider, candidate.credential)
    return structs.replace(request, own={**request.own, **shown})


def _no_credential(words: Words) -> UpstreamError:
    return UpstreamError(
        "server", words.no_credential, status=503, sent="no", code="no_credential"
    )


def _refused(message: str) -> UpstreamError:
    return UpstreamError(
        "authentication",
        message,
        status=_UNAUTHORIZED,
        upstream_status=_UNAUTHORIZED,
        code="upstream_auth",
    )


def _clean(trial: Try, body: bytes) -> str:
    """What the provider said, without our credential, which some echo (K8)."""
    text = body.decode("utf-8", "replace")
    for secret in shown_by(trial.candidate.credential):
        text = text.replace(secret, MARK)
    return text


def _log_request(trial: Try) -> None:
    """What is asked for, and of whom (R-OB1-008); what comes of it is in the call's own line."""
    if trial.means.tell is None:
        return
    call, ask = trial.call, trial.ask
    said = ask.members.get("messages")
    number: int | None = None
    if said is not None:
        try:
            number = len(_MESSAGES.decode(said))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            number = None
    requested = call.outcome.requested_model
    members = {"requested": requested, "stream": ask.stream, "messages": number}
    _log(trial, "info", "request", **members)


def _log(trial: Try, level: str, what: str, **members: object) -> None:
    tell = trial.means.tell
    if tell is not None:
        candidate = trial.candidate
        tell(
            level,
            f"{candidate.provider.name}: {what}",
            call_id=trial.call.id,
            model=candidate.model,
            account=candidate.credential.id if candidate.credential else None,
            **members,
        )
