"""The door upstream, as attempt needs it: send, read, close.

``transport/`` implements it three times (``direct``, ``ry`` and ``aiohttp``), and one conformance suite
holds all to this contract. Every failure is an ``UpstreamError`` whose ``sent`` says how far the
request got; nothing else ever leaves an implementation, cancellation apart.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct

from dragoman.core.call import Attempt
from dragoman.core.provider import Candidate
from dragoman.core.usage import Usage


class Shared(Struct, eq=False):
    """What is the same in one request after the other: made once, for all of them."""

    url: str
    """Where most of them go; some may add a query."""
    headers: dict[str, str]
    lines: str | None = None
    """The headers as they stand in a head, once a client that writes heads itself has looked through them."""
    start: str | None = None
    """The first line of a POST to ``url``, and what follows it: ``lines`` as well."""

    # One of them shows a credential.
    __repr__ = object.__repr__


class UpstreamRequest(Struct, frozen=True):
    """One HTTP request to a provider; header names lower case, the body complete."""

    method: str
    url: str
    own: dict[str, str]
    """The headers of this request; they go before those that it shares."""
    body: bytes | None = None
    connect_timeout_s: float = 3.0
    first_byte_timeout_s: float = 600.0
    """From the start of sending to the response's head."""
    shared: Shared | None = None
    trace: str = ""
    """Its ``traceparent``, where that stands by itself: it is another in every request."""

    @property
    def headers(self) -> dict[str, str]:
        """All headers of the request."""
        shared = self.shared
        found = self.own if shared is None else {**shared.headers, **self.own}
        return {**found, "traceparent": self.trace} if self.trace else found

    def __repr__(self) -> str:
        return f"UpstreamRequest({self.method} {self.url})"


class UpstreamReply(Protocol):
    """A response whose head has arrived; its body is read in pieces or whole."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> dict[str, str]:
        """Header names in lower case; of repeated ones the last."""
        ...

    async def read(self, limit: int) -> bytes:
        """The whole body, at most ``limit`` bytes; more is an ``UpstreamError``.

        Once it is there the connection is given back, and ``close`` has nothing to do.
        """
        ...

    async def next(self) -> bytes | None:
        """The next piece of the body as it arrived, None at its regular end.

        A body that breaks off (reset, wrong length) is an ``UpstreamError`` of kind ``upstream``
        with code ``stream_connection_lost``.
        """
        ...

    def at_hand(self) -> bytes | None:
        """The next piece, where it is there without any waiting; else None, and ``next`` tells more."""
        ...

    def is_over(self) -> bool:
        """Whether it is known that ``next`` would say None, and would do no more than that."""
        ...

    async def pour(self, take: Callable[[bytes], bool]) -> bytes | None:
        """Gives each piece to ``take``, at best in the moment in which it arrives.

        Returns the first piece for which ``take`` says False, None at the body's regular end, and
        raises as ``next`` does, or what ``take`` raises.
        """
        ...

    async def close(self) -> None:
        """Gives the connection back if the body was read to its end, else closes it.

        The provider sees the close within 200 ms. Never raises; may be called twice.
        """
        ...


Again: TypeAlias = Callable[[UpstreamRequest], Awaitable[UpstreamRequest | None]]
"""What is to be sent in the place of a request whose kept connection was stale; None: nothing."""


class Transport(Protocol):
    """A pooled HTTP client. Cancelling ``send`` or ``next`` closes the upstream connection."""

    async def send(self, request: UpstreamRequest, again: Again | None = None) -> UpstreamReply:
        """Sends a request and waits for the head of the response.

        A kept connection that ends without a byte of a reply has it sent once more, over a new one (U15).
        The provider may have heard both: who has to account for that is asked before, by ``again``.

        Redirects are not followed, environment proxies not used, cookies not kept, and
        bodies not decompressed unless the response says ``content-encoding: gzip`` or ``deflate``,
        with a cap on the ratio.
        """
        ...

    async def close(self) -> None:
        """Closes every connection."""
        ...


MediaKind: TypeAlias = Literal["image", "audio", "video", "document"]


class Wanted(Struct, frozen=True):
    """A medium at an address in a caller's request, for a provider that takes bytes alone."""

    url: str
    kind: MediaKind
    at: str
    """Where it stands in the request; errors name it."""

    def __repr__(self) -> str:
        return f"Wanted({self.kind}, {self.at})"  # the address itself may hold a signature


class Fetched(Struct, frozen=True, weakref=True):
    """What stood there: standard base64, and what its bytes are.

    While somebody holds it, its bytes count against those that a process may hold.
    """

    kind: MediaKind
    mime: str
    data: str

    def __repr__(self) -> str:
        return f"Fetched({self.mime})"


class Fetcher(Protocol):
    """Fetches what callers name by address; ``transport/fetch.py`` implements it.

    It connects to no address that its policy forbids, whatever the URL, the resolver or a
    redirect says. Cancelling ``fetch`` closes its connections.
    """

    async def fetch(
        self,
        wanted: tuple[Wanted, ...],
        *,
        tenant: str = "",
        referer: str | None = None,
        authorization: str | None = None,
    ) -> dict[str, Fetched]:
        """Everything that is wanted, by its URL.

        Tenants share places, threads and memory, and none of them can hold all. ``referer`` is the
        caller's own, in place of the configured one; ``authorization`` goes to hosts that the
        operator has named for it, and nowhere else.

        Raises:
            CallerError: one of them cannot be had; it names the place in the request, the host and
                the reason. 503 where the tenant has as much under way as it may.
        """
        ...


class Purse(Protocol):
    """What the call may spend; admission implements it."""

    def affords_now(self, candidate: Candidate) -> bool:
        """Whether what is set aside pays for one more try there; False: ``affords`` sees to it."""
        ...

    async def affords(self, candidate: Candidate) -> bool:
        """Whether one more try there is paid for; it is then set aside, for the try that is opened next."""
        ...


class Tab(Protocol):
    """Where attempts are written down; accounting implements it."""

    @property
    def purse(self) -> Purse | None:
        """What pays for the attempts; None where no budget has to."""
        ...

    def opened(self, attempt: Attempt) -> None:
        """An attempt is about to reach its provider.

        Raises:
            HouseError: the record cannot be kept (``storage_full``); nothing is sent then.
        """
        ...

    def closed(self, attempt: Attempt) -> None:
        """An attempt is over; fills in its cost, and keeps the record before the last frame goes out."""
        ...

    def finish(self) -> None:
        """Ends the account of the call; a second time does nothing."""
        ...

    def kept(self) -> Awaitable[None] | None:
        """Over when what was written is as durable as the operator asked for; None: it is already."""
        ...

    def cost(self, candidate: Candidate, usage: Usage) -> Decimal | None:
        """What this usage costs in USD at this candidate, None where no price is known."""
        ...
