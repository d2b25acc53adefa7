"""One call of another service, passed on with a credential of ours: sent once, written down like every attempt.

Nothing is translated, priced or tried elsewhere. A login that the service refuses is renewed and the call is made
once more: the first one did nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from dragoman.attempt.endings import silent
from dragoman.attempt.means import Means
from dragoman.attempt.ports import Tab, UpstreamReply, UpstreamRequest
from dragoman.catalog.service import PREFIX, Service
from dragoman.core.call import Answer, Attempt, Call, Head
from dragoman.core.errors import UpstreamError, code_of
from dragoman.core.secret import Secret
from dragoman.credentials.reached import Held, Shown

WHOLE = 256 * 1024
"""Bytes of an answer that is read to its end before it goes on; a longer one is passed on as it comes."""
_ANSWERED = (
    "content-type", "content-disposition", "content-language", "content-range", "accept-ranges", "etag",
    "last-modified", "link", "location", "retry-after", "www-authenticate", "x-total-count", "x-next-page",
)  # fmt: skip
_IDS = ("x-request-id", "x-github-request-id", "x-guploader-uploadid")
_NO_BODY = frozenset({204, 304})
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Methods of requests that do the same when they are sent twice (RFC 9110, 9.2.2)."""
_HIDDEN = b"[redacted]"
_NO_SCRIPT = {"content-security-policy": "sandbox; default-src 'none'; frame-ancestors 'none'"}
"""Of what comes in pieces, as whole answers say it anyway: a page of the service's is none of ours."""


async def pass_on(
    service: Service,
    choices: Sequence[Shown],
    method: str,
    url: str,
    headers: dict[str, str],
    body: bytes,
    call: Call,
    tab: Tab,
    means: Means,
) -> Answer:
    """The service's answer, whatever its status; ``choices`` are the credentials, one at least.

    Raises:
        UpstreamError: it could not be reached, or refused the credential (502: the caller's key is fine).
        HouseError: there is no good token, or the call could not be written down.
    """
    shown = await _shown(choices[0].held)
    attempt = Attempt(
        id=means.new_id(),
        number=1,
        provider=PREFIX + service.name,
        model=method,
        credential=choices[0].own,
        started=means.monotonic(),
        wall=means.wall(),
    )
    call.outcome.attempts.append(attempt)
    tab.opened(attempt)
    sending = _Sending(service, method, url, headers, body, means)
    try:
        reply, shown = await _taken(sending, choices, shown, attempt, means)
        if reply.status == 401:
            await reply.close()
            raise _refused(service, own=attempt.credential is not None)
        attempt.first_event_s = means.monotonic() - attempt.started
        return await _answer(reply, service, method, shown, attempt, call, tab, means)
    except BaseException as error:
        _end(attempt, error, tab, means)
        raise


async def _never(request: UpstreamRequest) -> UpstreamRequest | None:
    """Whether the service has done what was asked over a stale connection nobody knows: it is not asked again."""
    del request
    return None


class _Sending:
    """The request, as often as it is sent."""

    __slots__ = ("_body", "_headers", "_means", "_method", "_service", "_url")

    def __init__(
        self,
        service: Service,
        method: str,
        url: str,
        headers: dict[str, str],
        body: bytes,
        means: Means,
    ) -> None:
        self._service = service
        self._method = method
        self._url = url
        self._headers = headers
        self._body = body
        self._means = means

    async def send(self, shown: str) -> UpstreamReply:
        """The head of the answer."""
        auth = self._service.auth
        request = UpstreamRequest(
            self._method,
            self._url,
            {**self._headers, auth.header: auth.prefix + shown},
            self._body or (b"" if self._method in {"POST", "PUT", "PATCH"} else None),
            self._means.policy.connect_s,
            self._service.timeout_s,
        )
        try:
            return await self._means.transport.send(
                request, None if self._method in _REPEATABLE else _never
            )
        except UpstreamError as error:
            error.provider = self._service.name
            raise


async def _taken(
    sending: _Sending, choices: Sequence[Shown], shown: str, attempt: Attempt, means: Means
) -> tuple[UpstreamReply, str]:
    """The answer to the first credential that is not refused, else to the last, and what was shown.

    A refusal has done nothing: another credential, or the same login renewed, may ask again.
    """
    for choice in choices:
        if choice is not choices[0]:
            shown = await _shown(choice.held)
        attempt.credential = choice.own
        reply = await sending.send(shown)
        if choice.own is not None:
            means.used[choice.own] = attempt.wall
        if reply.status == 401 and not isinstance(choice.held, Secret):
            await reply.close()
            shown = (await asyncio.to_thread(choice.held.renewed, shown)).access.reveal()
            reply = await sending.send(shown)
        attempt.upstream_status = reply.status
        if reply.status != 401 or choice is choices[-1]:
            break
        await reply.close()
    return reply, shown


async def _shown(held: Held) -> str:
    if isinstance(held, Secret):
        return held.reveal()
    # Most often the token is there; else the file and a server are asked, which takes its time.
    token = await asyncio.to_thread(held.current) if held.is_due() else held.current()
    return token.access.reveal()


def _refused(service: Service, *, own: bool) -> UpstreamError:
    whose = "your own credential" if own else "the credential that is configured for this tenant"
    return UpstreamError(
        "upstream",
        f"{service.name} has refused {whose}; your key is fine.",
        status=502,
        code="service_credential_refused",
        provider=service.name,
    )


async def _answer(
    reply: UpstreamReply,
    service: Service,
    method: str,
    shown: str,
    attempt: Attempt,
    call: Call,
    tab: Tab,
    means: Means,
) -> Answer:
    headers = reply.headers
    attempt.upstream_request = next((headers[name] for name in _IDS if name in headers), None)
    # What would tell the credential goes no further, wherever it stands.
    extra = {name: headers[name] for name in _ANSWERED if name in headers}
    extra = {name: value for name, value in extra.items() if shown not in value}
    kind = extra.pop("content-type", "application/octet-stream")
    bodiless = method == "HEAD" or reply.status in _NO_BODY
    length = headers.get("content-length", "")
    if bodiless or (length.isdigit() and int(length) <= WHOLE):
        try:
            async with asyncio.timeout(service.timeout_s):
                body = b"" if bodiless else await reply.read(WHOLE)
        except TimeoutError:
            raise silent(service.timeout_s) from None
        finally:
            await reply.close()
        call.outcome.status = "complete"
        call.outcome.http_status = reply.status
        _end(attempt, None, tab, means)
        hiding = Hiding(shown)
        body = hiding.feed(body) + hiding.rest
        return Answer(Head(reply.status, kind, body, extra=extra))
    call.outcome.stream = True
    pieces = _pieces(reply, service, Hiding(shown), attempt, call, tab, means)
    return Answer(Head(reply.status, kind, extra={**extra, **_NO_SCRIPT}), pieces)


class Hiding:
    """Takes the credential out of a body that repeats it, as pages that show a request's headers do (K8).

    Nothing waits for what comes next but an end that the credential could begin with.
    """

    __slots__ = ("_secret", "rest")

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self.rest = b""
        """What is held back; it belongs behind everything else."""

    def feed(self, piece: bytes) -> bytes:
        """As much of the body as can be told by now."""
        data = (self.rest + piece).replace(self._secret, _HIDDEN)
        most = min(len(self._secret) - 1, len(data))
        held = next((size for size in range(most, 0, -1) if data.endswith(self._secret[:size])), 0)
        self.rest = data[len(data) - held :]
        return data[: len(data) - held]


async def _pieces(
    reply: UpstreamReply,
    service: Service,
    hiding: Hiding,
    attempt: Attempt,
    call: Call,
    tab: Tab,
    means: Means,
) -> AsyncGenerator[bytes, None]:
    """The answer as it comes; where it breaks off, so does ours."""
    try:
        while True:
            try:
                async with asyncio.timeout(service.timeout_s):
                    piece = await reply.next()
            except TimeoutError:
                raise silent(service.timeout_s) from None
            if piece is None:
                break
            yield hiding.feed(piece)
        yield hiding.rest
        call.outcome.status = "complete"
        _end(attempt, None, tab, means)
    except BaseException as error:
        call.outcome.status = "upstream_cut" if isinstance(error, UpstreamError) else "client_cut"
        _end(attempt, error, tab, means)
        raise
    finally:
        await reply.close()
        tab.finish()


def _end(attempt: Attempt, error: BaseException | None, tab: Tab, means: Means) -> None:
    attempt.duration_s = means.monotonic() - attempt.started
    if error is None:
        attempt.status = "complete"
    elif isinstance(error, UpstreamError):
        attempt.status = "timeout" if error.kind == "timeout" else "upstream_error"
        attempt.error_kind, attempt.error_code = error.kind, code_of(error)
    elif isinstance(error, Exception):
        attempt.status = "house_error"
    else:
        attempt.status = "client_cut"
    tab.closed(attempt)
