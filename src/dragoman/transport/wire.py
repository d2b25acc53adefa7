"""What a client library has to offer, said small: fetch, pieces, close, and its faults.

``ry_client`` and ``aiohttp_client`` are each such a driver. Everything that both must do
alike (deadline, limits, the free retry, decompression, translation of errors) stands once
above them, in ``library`` and ``library_reply``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from dragoman.attempt.ports import UpstreamRequest
from dragoman.transport.failures import Fault

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Pieces(Protocol):
    """A body as it arrives."""

    async def __anext__(self) -> Buffer:
        """The next piece; StopAsyncIteration at the end."""
        ...


class Arrival(Protocol):
    """A response whose head is there; its methods may raise whatever the library raises."""

    status: int
    headers: dict[str, str]
    """Names in lower case, of repeated ones the last, values as latin-1."""
    length: int | None
    """What ``content-length`` promises."""

    def pieces(self) -> Pieces:
        """The body as it arrives; asked for at most once."""
        ...

    def drop(self) -> None:
        """Closes the connection; nobody is awaiting a piece."""
        ...

    async def close(self) -> None:
        """Closes the connection and wakes whoever awaits a piece; never raises."""
        ...


class Driver(Protocol):
    """One HTTP client library."""

    repeats: frozenset[str]
    """The methods that the library itself sends again where an idle connection was stale."""

    async def fetch(self, request: UpstreamRequest, *, fresh: bool) -> Arrival:
        """Sends the request, over a new connection if ``fresh``; raises as the library does.

        Being cancelled closes the connection.
        """
        ...

    def fault(self, error: BaseException, *, in_body: bool) -> Fault:
        """What an exception of the library means."""
        ...

    async def close(self) -> None:
        """Closes the idle connections."""
        ...
