"""One timer for a whole stream: it wakes whoever waits too long.

A timeout around each read would cost 3 to 5 µs a piece (D17). Here a piece costs two attribute
writes; the timer looks at them when it fires, and sets itself again for what is left.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import Literal, TypeAlias

from dragoman.dialects.base import Facts

Who: TypeAlias = Literal["upstream", "caller", "beginning", "end"]
"""The provider is silent; the caller does not read; the provider lives and says nothing; the caller's
own time for all of it is over."""


class Watchdog:
    """Cancels its task when the provider, or the caller, is silent for too long.

    ``fired`` then says which of them; whoever catches the cancellation asks it, and calls
    ``asyncio.Task.uncancel``. With ``facts``, content has to be there after ``first_s``:
    pings alone keep a stream awake, and no caller is served by them. All of it is over after ``end_s``.
    """

    __slots__ = (
        "_begin_by",
        "_end_by",
        "_facts",
        "_handle",
        "_limit",
        "_loop",
        "_task",
        "_waiting",
        "fired",
        "since",
        "write_s",
    )

    def __init__(
        self,
        idle_s: float,
        write_s: float,
        first_s: float = inf,
        facts: Facts | None = None,
        end_s: float = inf,
    ) -> None:
        loop = self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None, "a stream runs in a task"
        self._task = task
        self._waiting: Literal["upstream", "caller"] = "upstream"
        self._limit = idle_s
        self.write_s = write_s
        self.since = loop.time()
        """When the wait began; whoever sees a piece pass may set it anew."""
        self.fired: Who | None = None
        self._facts = facts
        self._begin_by = inf
        self._end_by = self.since + end_s
        wait_s = min(idle_s, write_s)
        if facts is not None and not facts.content:
            self._begin_by = self.since + first_s
            wait_s = min(wait_s, max(0.0, first_s))
        if end_s < wait_s:
            wait_s = max(0.0, end_s)
        self._handle = loop.call_later(wait_s, self._look)

    def reading(self) -> None:
        """From now on the provider is waited for."""
        self.since = self._loop.time()
        self._waiting = "upstream"

    def writing(self) -> None:
        """From now on the caller is waited for."""
        self.since = self._loop.time()
        self._waiting = "caller"

    def tighten(self, limit: float) -> None:
        """The provider has less time from now on."""
        self._limit = min(self._limit, limit)
        self._handle.cancel()
        self.since = self._loop.time()
        wait_s = min(self._limit, self.write_s, max(0.0, self._end_by - self.since))
        self._handle = self._loop.call_later(wait_s, self._look)

    def loosen(self, limit: float) -> None:
        """The provider has more time again."""
        self._limit = limit

    def stop(self) -> None:
        """The stream is over."""
        self._handle.cancel()

    def _look(self) -> None:
        who: Who = self._waiting
        limit = self._limit if who == "upstream" else self.write_s
        now = self._loop.time()
        left = self.since + limit - now
        if who == "upstream" and self._begin_by - now < left and not self._has_begun():
            left, who = self._begin_by - now, "beginning"
        if self._end_by - now < left:
            left, who = self._end_by - now, "end"
        if left > 0.001:
            self._handle = self._loop.call_later(left, self._look)
            return
        self.fired = who
        self._task.cancel()

    def _has_begun(self) -> bool:
        facts = self._facts
        if facts is None or facts.content or facts.finished:
            self._begin_by = inf
            return True
        return False
