"""Connections that wait for another request: the one used last is taken first."""

from __future__ import annotations

import asyncio
from typing import Generic, Protocol, TypeVar

from dragoman.transport.connections import IDLE_S
from dragoman.transport.direct_request import Origin


class Connection(Protocol):
    """What is kept."""

    origin: Origin

    def abort(self) -> None:
        """Closes it at once."""
        ...


_C = TypeVar("_C", bound=Connection)


class Idle(Generic[_C]):
    """The idle connections of one transport; none is here that is known to be closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._kept: dict[Origin, dict[_C, float]] = {}
        """By origin, those used last at the end, with the time since when each is idle."""
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    def take(self, origin: Origin) -> _C | None:
        """A connection to send over, None where there is none."""
        connections = self._kept.get(origin)
        return connections.popitem()[0] if connections else None

    def keep(self, connection: _C) -> None:
        """It waits from now on."""
        if self._closed:
            connection.abort()
            return
        connections = self._kept.get(connection.origin)
        if connections is None:
            connections = self._kept[connection.origin] = {}
        connections[connection] = self._loop.time()
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(IDLE_S, self._sweep)

    def forget(self, connection: _C) -> None:
        """It is closed, or about to be; may be said of one that does not wait."""
        connections = self._kept.get(connection.origin)
        if connections is not None:
            connections.pop(connection, None)

    def close(self) -> None:
        """Closes all of them, and each that would be kept later."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for connections in self._kept.values():
            for connection in list(connections):
                connection.abort()
        self._kept.clear()

    def _sweep(self) -> None:
        """Closes those that waited for ``IDLE_S``; the oldest stand first."""
        # libuv rounds its clock to milliseconds.
        due = self._loop.time() - IDLE_S + 0.01
        self._sweeper = None
        oldest: float | None = None
        for origin, connections in list(self._kept.items()):
            for connection, since in list(connections.items()):
                if since > due:
                    oldest = since if oldest is None else min(oldest, since)
                    break
                del connections[connection]
                connection.abort()
            if not connections:
                del self._kept[origin]
        if oldest is not None:
            self._sweeper = self._loop.call_at(oldest + IDLE_S, self._sweep)
