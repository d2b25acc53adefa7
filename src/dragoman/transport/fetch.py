"""Fetches what callers name by address, for providers that take bytes alone (R-IMG).

The URLs are foreign and the connection leaves from inside the operator's network. So: one reading
of a URL (``fetch_url``), addresses checked and pinned (``fetch_names``, ``fetch_address``), every
redirect judged like a first URL, bounds on time, size and number, and types by the bytes
(``fetch_type``). What is there once for the process is shared by tenants (``fetch_shares``). The
client is ``direct_client`` with connections that serve once: no proxy of the environment, no
cookies, nothing shared with providers. What goes wrong is the caller's to mend and told as 400,
with the host and the reason and never the rest of the URL; what others have left no room for is 503.
"""

from __future__ import annotations

import asyncio
import binascii
import weakref
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from dragoman.attempt.ports import Fetched, UpstreamReply, UpstreamRequest, Wanted
from dragoman.core.errors import CallerError, UpstreamError, invalid
from dragoman.transport.direct_client import DirectTransport
from dragoman.transport.fetch_address import may_connect
from dragoman.transport.fetch_names import TENANT, BusyError, CheckedNames, DeniedError
from dragoman.transport.fetch_shares import Shares
from dragoman.transport.fetch_type import content_of
from dragoman.transport.fetch_url import (
    Place,
    Refused,
    Rules,
    host_of,
    is_named,
    read_url,
    redirected,
)

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OK = 200


class FetchPolicy(Struct, frozen=True):
    """What may be fetched, and how much of it; times in seconds."""

    rules: Rules = Rules()
    allow_private: bool = False
    forward_auth: bool = False
    total_s: float = 15.0
    connect_s: float = 3.0
    idle_s: float = 5.0
    """Between two pieces of a body."""
    max_bytes: int = 8 * 1024 * 1024
    """Of one medium, unpacked."""
    most_bytes: int = 32 * 1024 * 1024
    """Of all in one request."""
    most: int = 64
    """Different URLs in one request."""
    max_redirects: int = 3
    at_once: int = 4
    """Of one request."""
    at_once_in_all: int = 32
    """Of all requests; a tenant has at most as many as are free."""
    wait_s: float = 5.0
    """For a place among them."""
    most_held: int = 256 * 1024 * 1024
    """Bytes of all requests that are under way, shared by tenants in the same way."""
    user_agent: str = "dragoman"
    referer: str | None = None


class UrlFetcher:
    """``Fetcher`` over connections of our own."""

    def __init__(self, policy: FetchPolicy, tls_ca: Path | None = None) -> None:
        self._policy = policy
        self._tls_ca = tls_ca
        self._places = Shares(policy.at_once_in_all)
        self._bytes = Shares(policy.most_held)
        self._transport: DirectTransport | None = None

    async def fetch(
        self,
        wanted: tuple[Wanted, ...],
        *,
        tenant: str = "",
        referer: str | None = None,
        authorization: str | None = None,
    ) -> dict[str, Fetched]:
        """Everything that is wanted, by its URL; the first thing that fails ends all of it."""
        policy = self._policy
        found: dict[str, Place] = {}
        first: dict[str, Wanted] = {}
        for each in wanted:
            if each.url not in first:
                first[each.url] = each
                found[each.url] = _read(each, policy.rules)
        if len(first) > policy.most:
            raise invalid(
                f"The request names {len(first)} images or documents by address, and at most "
                f"{policy.most} are fetched; send the others' bytes.",
                wanted[0].at,
                "image_fetch_too_many",
            )
        errand = _Errand(self, tenant, referer, authorization)
        tasks = [asyncio.create_task(errand.one(each, found[url])) for url, each in first.items()]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in tasks:
                if task.done() and not task.cancelled() and (error := task.exception()):
                    raise error
            return {url: task.result() for url, task in zip(first, tasks, strict=True)}
        finally:
            for task in tasks:
                task.cancel()
            # Their connections are closed, and their errors taken, before anybody goes on.
            await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Closes every connection."""
        if self._transport is not None:
            await self._transport.close()

    @property
    def policy(self) -> FetchPolicy:
        """What may be fetched."""
        return self._policy

    @property
    def places(self) -> Shares:
        """One for each fetch that may be under way in the process."""
        return self._places

    @property
    def bytes(self) -> Shares:
        """One for each fetched byte that the process may hold."""
        return self._bytes

    async def send(self, request: UpstreamRequest) -> UpstreamReply:
        """Sends a request of an errand's; the client is made for the first one."""
        if self._transport is None:
            allow = self._policy.allow_private
            self._transport = DirectTransport(
                max_connections=self._policy.at_once_in_all,
                tls_ca=self._tls_ca,
                names=CheckedNames(lambda address: may_connect(address, allow_private=allow)),
                keep=False,
            )
        return await self._transport.send(request)


def _read(wanted: Wanted, rules: Rules) -> Place:
    try:
        return read_url(wanted.url, rules)
    except Refused as refused:
        raise _told(wanted, refused) from None


def _told(wanted: Wanted, refused: Refused) -> CallerError:
    return invalid(
        f"The {wanted.kind} at {wanted.at} cannot be fetched from {host_of(wanted.url)}: "
        f"{refused.reason}. Send its bytes in base64 instead.",
        wanted.at,
        refused.code,
    )


class _Errand:
    """All that is fetched for one request."""

    __slots__ = ("_authorization", "_fetcher", "_left", "_policy", "_referer", "_room", "_tenant")

    def __init__(
        self, fetcher: UrlFetcher, tenant: str, referer: str | None, authorization: str | None
    ) -> None:
        self._fetcher = fetcher
        self._tenant = tenant
        self._policy = fetcher.policy
        self._referer = referer or fetcher.policy.referer
        self._authorization = authorization
        self._left = fetcher.policy.most_bytes
        self._room = asyncio.Semaphore(fetcher.policy.at_once)

    async def one(self, wanted: Wanted, place: Place) -> Fetched:
        """One medium.

        Raises:
            CallerError: it cannot be had.
        """
        seconds = self._policy.total_s
        TENANT.set(self._tenant)  # of this task alone, and of those that it starts
        places = self._fetcher.places
        async with self._room:
            try:
                await places.wait(self._tenant, self._policy.wait_s)
            except TimeoutError:
                raise _busy(wanted) from None
            try:
                async with asyncio.timeout(seconds):
                    return await self._follow(wanted, place)
            except TimeoutError:
                refused = Refused(
                    "image_fetch_timeout", f"it took longer than {seconds:g} seconds"
                )
            except Refused as found:
                refused = found
            except BusyError:
                raise _busy(wanted) from None
            finally:
                places.give(self._tenant)
        raise _told(wanted, refused) from None

    async def _follow(self, wanted: Wanted, first: Place) -> Fetched:
        place = first
        for _ in range(self._policy.max_redirects + 1):
            reply = await self._ask(wanted, place, first)
            try:
                if reply.status in _REDIRECTS:
                    location = reply.headers.get("location", "")
                    place = redirected(place, location, self._policy.rules)
                    continue
                if reply.status != _OK:
                    raise Refused("image_fetch_failed", f"it answers with {reply.status}")
                return await self._held(wanted, reply)
            except UpstreamError as error:
                raise _broken(error) from None
            finally:
                await reply.close()
        raise Refused(
            "image_fetch_blocked", f"it redirects more than {self._policy.max_redirects} times"
        )

    async def _ask(self, wanted: Wanted, place: Place, first: Place) -> UpstreamReply:
        policy = self._policy
        headers = {
            "accept": "image/*" if wanted.kind == "image" else "*/*",
            "accept-encoding": "identity",
            "user-agent": policy.user_agent,
        }
        if self._referer:
            headers["referer"] = self._referer
        if self._may_know(place, first):
            headers["authorization"] = self._authorization or ""
        request = UpstreamRequest(
            "GET", place.url, headers, None, policy.connect_s, policy.total_s
        )
        try:
            return await self._fetcher.send(request)
        except DeniedError:
            raise Refused("image_fetch_blocked", _NOT_PUBLIC) from None
        except UpstreamError as error:
            raise _broken(error) from None

    def _may_know(self, place: Place, first: Place) -> bool:
        """Whether the caller's credential may go there: as told, to whom the operator named, over TLS."""
        policy = self._policy
        return (
            self._authorization is not None
            and policy.forward_auth
            and place.scheme == "https"
            and place.origin == first.origin
            and is_named(place, policy.rules.hosts)
        )

    async def _held(self, wanted: Wanted, reply: UpstreamReply) -> Fetched:
        """What a reply brings; its bytes count as held until nobody has it any more."""
        tenant, shares = self._tenant, self._fetcher.bytes
        pieces: list[bytes] = []
        try:
            await self._read(reply, pieces)
            body = b"".join(pieces)
            content = content_of(body, reply.headers.get("content-type", ""), wanted.kind)
            data = binascii.b2a_base64(body, newline=False).decode("ascii")
            fetched = Fetched(content.kind, content.mime, data)
        except BaseException:
            _give_all(shares, tenant, sum(map(len, pieces)))
            raise
        loop = asyncio.get_running_loop()
        weakref.finalize(fetched, _given_back, loop, shares, tenant, len(body)).atexit = False
        return fetched

    async def _read(self, reply: UpstreamReply, pieces: list[bytes]) -> None:
        limit = self._policy.max_bytes
        length = reply.headers.get("content-length", "")
        if length.isdecimal() and int(length) > limit:
            raise _too_large(limit)
        size = 0
        while True:
            try:
                async with asyncio.timeout(self._policy.idle_s):
                    piece = await reply.next()
            except TimeoutError:
                raise Refused(
                    "image_fetch_timeout",
                    f"it was silent for {self._policy.idle_s:g} seconds in the middle",
                ) from None
            if piece is None:
                return
            size += len(piece)
            self._left -= len(piece)
            if size > limit:
                raise _too_large(limit)
            if self._left < 0:
                raise Refused(
                    "image_fetch_too_large",
                    f"all that the request names is more than {self._policy.most_bytes} bytes",
                )
            if not self._fetcher.bytes.take(self._tenant, len(piece)):
                raise BusyError(self._tenant)
            pieces.append(piece)


def _give_all(shares: Shares, tenant: str, count: int) -> None:
    if count:
        shares.give(tenant, count)


def _given_back(loop: asyncio.AbstractEventLoop, shares: Shares, tenant: str, count: int) -> None:
    """From whatever thread let go of it last."""
    with suppress(RuntimeError):  # the loop has ended first
        loop.call_soon_threadsafe(_give_all, shares, tenant, count)


def _busy(wanted: Wanted) -> CallerError:
    return CallerError(
        "overloaded",
        f"The {wanted.kind} at {wanted.at} is not fetched now: the gateway is already fetching as "
        "much for you as it may. Try again, or send its bytes in base64 instead.",
        code="image_fetch_busy",
        param=wanted.at,
        retry_after_s=1.0,
    )


_NOT_PUBLIC = "its name does not lead to a public address"
"""Said of names that lead nowhere as well: whether an internal name exists is nobody's to ask (F13)."""


def _too_large(limit: int) -> Refused:
    return Refused("image_fetch_too_large", f"it is larger than {limit} bytes")


def _broken(error: UpstreamError) -> Refused:
    """What the client's error means for a fetch; its own words tell of a provider."""
    match error.code:
        case "dns_error":
            return Refused("image_fetch_blocked", _NOT_PUBLIC)
        case "connection_timeout" | "read_timeout":
            return Refused("image_fetch_timeout", "it does not answer in time")
        case "tls_error":
            return Refused("image_fetch_failed", "its certificate or TLS handshake is not valid")
        case "network_error" | "connection_reset":
            return Refused("image_fetch_failed", "it cannot be reached")
        case "configuration_error":
            return Refused("image_fetch_invalid_url", "its address cannot be asked for")
        case _:
            return Refused("image_fetch_failed", "its answer is broken off or not valid")
