"""Deadlines of requests: all are looked after by one timer, and can tell their own cancellation.

``asyncio.timeout`` costs 3.4 µs (D17), and a timer of one's own for head and body another 4 of
the 26 that a whole request takes. Here a deadline is an entry in a dict; a timer runs
only while there are any, and a deadline is kept to within ``TICK_S``.
"""

from __future__ import annotations

import asyncio

TICK_S = 0.05


class Deadline:
    """The time until which a task may wait."""

    __slots__ = ("before", "expired", "task", "until")

    def __init__(self, task: asyncio.Task[object], until: float) -> None:
        self.task = task
        self.until = until
        self.before = task.cancelling()
        self.expired = False

    def is_own(self) -> bool:
        """Whether the cancellation that was just caught is this deadline's and nobody else's.

        Asked once; it takes the deadline's cancellation back.
        """
        return self.expired and self.task.uncancel() <= self.before


class Deadlines:
    """Cancels the tasks whose time is over."""

    __slots__ = ("_handle", "_waiting")

    def __init__(self) -> None:
        self._waiting: dict[Deadline, None] = {}
        self._handle: asyncio.TimerHandle | None = None

    def set(self, loop: asyncio.AbstractEventLoop, until: float) -> Deadline:
        """Cancels the current task at that time of the loop's clock, unless lifted before."""
        task = asyncio.current_task(loop)
        assert task is not None
        deadline = Deadline(task, until)
        self._waiting[deadline] = None
        if self._handle is None:
            self._handle = loop.call_later(TICK_S, self._look, loop)
        return deadline

    def lift(self, deadline: Deadline) -> None:
        """It is not waited for any more; may be said again."""
        self._waiting.pop(deadline, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for deadline in [each for each in self._waiting if each.until <= now]:
            del self._waiting[deadline]
            deadline.expired = True
            deadline.task.cancel()
        self._handle = loop.call_later(TICK_S, self._look, loop) if self._waiting else None
