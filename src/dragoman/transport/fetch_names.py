"""Names for the fetcher: of a name's addresses either all may be connected to, or none is given.

What is checked here is what ``dial`` connects to: a second answer of the resolver, which could be
another one (DNS rebinding, F3), is never asked for between the two.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar

from dragoman.transport.direct_request import Origin
from dragoman.transport.fetch_shares import Shares
from dragoman.transport.names import Address, Names

_THREADS = 32

TENANT: ContextVar[str] = ContextVar("fetching_tenant", default="")
"""For whom a name is asked; between the fetcher and its names stands a client that knows no tenants."""


class DeniedError(Exception):
    """A name leads to an address that may not be connected to."""


class BusyError(Exception):
    """A tenant has as many names asked for as it may, and they do not answer."""

    def __init__(self, tenant: str) -> None:
        super().__init__(tenant)
        self.tenant = tenant


class CheckedNames(Names):
    """``Names`` that gives checked addresses alone.

    Its threads are its own: names whose servers never answer would else keep those waiting that
    everything in the process shares. And tenants share them: a look-up cannot be broken off, so it
    counts until the resolver gives up, however long ago its caller has left.
    """

    def __init__(self, permitted: Callable[[str], bool]) -> None:
        super().__init__()
        self._permitted = permitted
        self._threads: ThreadPoolExecutor | None = None
        self._shares = Shares(_THREADS)

    async def addresses(self, origin: Origin) -> list[Address]:
        """As in ``Names``.

        Raises:
            DeniedError: one of them may not be connected to.
            BusyError: too many of the tenant's names do not answer.
        """
        while True:
            try:
                found = await super().addresses(origin)
                break
            except BusyError as busy:
                # Another tenant asked for the same name, and may ask no more: then we ask.
                if busy.tenant == TENANT.get():
                    raise
        if not all(self._permitted(each.address[0]) for each in found):
            raise DeniedError
        return found

    async def resolve(self, origin: Origin) -> list[Address]:
        """What the system's resolver says, asked in threads of our own."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, "fetch-names")
        loop, tenant, shares = asyncio.get_running_loop(), TENANT.get(), self._shares
        if not shares.take(tenant):
            raise BusyError(tenant)

        def ended(_: Future[list[Address]]) -> None:
            with suppress(RuntimeError):  # the loop has ended before the resolver did
                loop.call_soon_threadsafe(shares.give, tenant)

        asked = self._threads.submit(_look_up, origin.host, origin.port)
        asked.add_done_callback(ended)
        return await asyncio.wrap_future(asked)

    def close(self) -> None:
        """Nobody waits for an answer any more."""
        super().close()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int) -> list[Address]:
    entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [Address(entry[0], entry[4]) for entry in entries]
