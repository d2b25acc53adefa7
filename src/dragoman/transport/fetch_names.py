"""Names for the fetcher: of a name's addresses either all may be connected to, or none is given.

What is checked here is what ``dial`` connects to: a second answer of the resolver, which could be
another one (DNS rebinding, F3), is never asked for between the two.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from dragoman.transport.direct_request import Origin
from dragoman.transport.names import Address, Names

_THREADS = 4


class DeniedError(Exception):
    """A name leads to an address that may not be connected to."""


class CheckedNames(Names):
    """``Names`` that gives checked addresses alone.

    Its threads are its own: names whose servers never answer would else keep those waiting that
    everything in the process shares.
    """

    def __init__(self, permitted: Callable[[str], bool]) -> None:
        super().__init__()
        self._permitted = permitted
        self._threads: ThreadPoolExecutor | None = None

    async def addresses(self, origin: Origin) -> list[Address]:
        """As in ``Names``.

        Raises:
            DeniedError: one of them may not be connected to.
        """
        found = await super().addresses(origin)
        if not all(self._permitted(each.address[0]) for each in found):
            raise DeniedError
        return found

    async def resolve(self, origin: Origin) -> list[Address]:
        """What the system's resolver says, asked in threads of our own."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, "fetch-names")
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, _look_up, origin.host, origin.port
        )

    def close(self) -> None:
        """Nobody waits for an answer any more."""
        super().close()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int) -> list[Address]:
    entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [Address(entry[0], entry[4]) for entry in entries]
