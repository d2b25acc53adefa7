"""How many connections are in use, and whether the next request may meet a stale one.

Providers close idle connections when they like. A request that is written just then fails
without one byte of a reply, and only that failure is repeated for free (U15). No library
says which connection a request took, so the replies that gave theirs back are counted: where
none was idle at the start and none came back since (hyper takes that one and saves its new
connection for later), the connection was new, and its failure is the provider's.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from dragoman.transport.failures import CONNECTION_LIMIT, failure

IDLE_S = 50.0
"""How long an idle connection is kept: under the 60 s after which common balancers drop it."""

STALE_S = 1.0
"""A stale connection fails within a round trip; what fails later was being worked on."""


class Closable(Protocol):
    """What holds a connection."""

    async def close(self) -> None:
        """Lets it go."""
        ...


class _Host(Struct):
    """Idle connections to one host, how often one came back, and when last."""

    idle: int = 0
    returns: int = 0
    last: float = 0.0


class Connections:
    """The book of one transport."""

    def __init__(self, limit: int) -> None:
        self.in_use = 0
        self.readers: set[Closable] = set()
        """The replies that are being read, so that they can be closed with the transport."""
        self._limit = limit
        self._hosts: dict[str, _Host] = {}

    def take(self, host: str, now: float) -> int | None:
        """Counts one more in use; what ``may_be_used`` asks for later."""
        if self.in_use >= self._limit:
            raise failure(CONNECTION_LIMIT, host)
        self.in_use += 1
        book = self._hosts.get(host)
        if book is None:
            book = self._hosts[host] = _Host()
        if now - book.last > IDLE_S:
            book.idle = 0
        if not book.idle:
            return book.returns
        book.idle -= 1
        return None

    def may_be_used(self, host: str, taken: int | None) -> bool:
        """Whether the connection taken may have served a request before."""
        return taken is None or self._hosts[host].returns != taken

    def give_back(self, host: str, now: float) -> None:
        """The connection is idle and may be used again."""
        self.in_use -= 1
        book = self._hosts[host]
        book.idle += 1
        book.returns += 1
        book.last = now

    def discard(self) -> None:
        """The connection is gone."""
        self.in_use -= 1
