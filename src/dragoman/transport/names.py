"""Host names as addresses: one question for all who ask at once, and an answer kept for a while.

The system's resolver is asked in a few threads; a burst of new connections that each asked anew
would wait for one another (U21).
"""

from __future__ import annotations

import asyncio
import socket
from itertools import chain, zip_longest
from typing import Any, NamedTuple, TypeAlias

from dragoman.transport.direct_request import Origin

KEPT_S = 10.0
"""How long an answer is used: shorter than what providers give their records to live."""

MOST = 1000

SocketAddress: TypeAlias = tuple[Any, ...]


class Address(NamedTuple):
    """Where to connect to."""

    family: socket.AddressFamily
    address: SocketAddress


class Names:
    """What the names of one transport's hosts resolve to."""

    def __init__(self) -> None:
        self._known: dict[Origin, tuple[float, list[Address]]] = {}
        self._asked: dict[Origin, asyncio.Task[list[Address]]] = {}

    async def addresses(self, origin: Origin) -> list[Address]:
        """At least one address, in the order in which to try them.

        Raises:
            OSError: the name does not resolve (``socket.gaierror``), or to nothing.
            UnicodeError: it is no host name.
        """
        known = self._known.get(origin)
        if known is not None:
            until, found = known
            if asyncio.get_running_loop().time() < until:
                return found
        task = self._asked.get(origin)
        if task is None:
            task = self._asked[origin] = asyncio.create_task(self._ask(origin))
            task.add_done_callback(_noted)
        # Whoever asked first may leave; the others still wait.
        await asyncio.wait([task])
        if task.cancelled():
            raise socket.gaierror("the transport was closed")
        return task.result()

    def forget(self, origin: Origin) -> None:
        """No address of it could be reached: the next one asks again."""
        self._known.pop(origin, None)

    def close(self) -> None:
        """Nobody waits for an answer any more."""
        for task in self._asked.values():
            task.cancel()

    async def resolve(self, origin: Origin) -> list[Address]:
        """What the system's resolver says."""
        entries = await asyncio.get_running_loop().getaddrinfo(
            origin.host, origin.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )
        return [Address(entry[0], entry[4]) for entry in entries]

    async def _ask(self, origin: Origin) -> list[Address]:
        loop = asyncio.get_running_loop()
        try:
            found = _in_turn(await self.resolve(origin))
            if not found:
                raise socket.gaierror("the name resolves to no address")
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[origin] = (loop.time() + KEPT_S, found)
            return found
        finally:
            del self._asked[origin]


def _noted(task: asyncio.Task[list[Address]]) -> None:
    """Whoever asked may have left, and the loop would log an error that nobody took."""
    if not task.cancelled():
        task.exception()


def _in_turn(addresses: list[Address]) -> list[Address]:
    """The system's order, the families taking turns (RFC 8305 §4)."""
    first = addresses[0].family if addresses else None
    some = [each for each in addresses if each.family == first]
    others = [each for each in addresses if each.family != first]
    turns = chain.from_iterable(zip_longest(some, others))
    return list(dict.fromkeys(each for each in turns if each is not None))
