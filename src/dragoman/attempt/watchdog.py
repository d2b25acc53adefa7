"""One timer for a whole stream: it wakes whoever waits too long.

A timeout around each read would cost 3 to 5 µs a piece (D17). Here a piece costs two attribute
writes; the timer looks at them when it fires, and sets itself again for what is left.
"""

from __future__ import annotations

import asyncio
from typing import Literal


class Watchdog:
    """Cancels its task when the provider, or the caller, is silent for too long.

    ``fired`` then says which of the two; whoever catches the cancellation asks it, and calls
    ``asyncio.Task.uncancel``.
    """

    __slots__ = ("_handle", "_limit", "_loop", "_since", "_task", "_waiting", "fired", "write_s")

    def __init__(self, idle_s: float, write_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None, "a stream runs in a task"
        self._task = task
        self._waiting: Literal["upstream", "caller"] = "upstream"
        self._limit = idle_s
        self.write_s = write_s
        self._since = self._loop.time()
        self.fired: Literal["upstream", "caller"] | None = None
        self._handle = self._loop.call_later(min(idle_s, write_s), self._look)

    def reading(self) -> None:
        """From now on the provider is waited for."""
        self._since = self._loop.time()
        self._waiting = "upstream"

    def writing(self) -> None:
        """From now on the caller is waited for."""
        self._since = self._loop.time()
        self._waiting = "caller"

    def tighten(self, limit: float) -> None:
        """The provider has less time from now on."""
        self._limit = min(self._limit, limit)
        self._handle.cancel()
        self._since = self._loop.time()
        self._handle = self._loop.call_later(min(self._limit, self.write_s), self._look)

    def stop(self) -> None:
        """The stream is over."""
        self._handle.cancel()

    def _look(self) -> None:
        limit = self._limit if self._waiting == "upstream" else self.write_s
        left = self._since + limit - self._loop.time()
        if left > 0.001:
            self._handle = self._loop.call_later(left, self._look)
            return
        self.fired = self._waiting
        self._task.cancel()
