"""An answer while it is being made: one call writes it, any number of callers read it.

The writer does not depend on any reader: whoever lost the connection finds the recording where it
is. Once nobody has read it for the window, it is abandoned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from dragoman.core.call import Call, Head, Origin
from dragoman.reuse.transcript import Told

_AT_ONCE = 64 * 1024
"""Bytes that a reader who is behind gets in one piece."""


class Recording:
    """One for each call that is recorded; all of it happens in one event loop."""

    __slots__ = (
        "_first",
        "_is_large",
        "_pieces",
        "_places",
        "_readers",
        "_stopped",
        "_timer",
        "_waiting",
        "_window_s",
        "begun",
        "call",
        "failure",
        "fingerprint",
        "head",
        "is_numbered",
        "is_orphan",
        "is_over",
        "is_replay",
        "origin",
        "size",
        "task",
        "told",
    )

    def __init__(self, fingerprint: bytes | None, window_s: Callable[[], float]) -> None:
        """``window_s`` is asked when nobody reads it any more."""
        self.fingerprint = fingerprint
        """None where it is asked for by its id alone."""
        self.call: Call | None = None
        """The call that is made for it, once it is made."""
        self.task: asyncio.Task[None] | None = None
        """What makes it."""
        self.begun = False
        """Whether a provider is, or was, asked for it by this process."""
        self.is_numbered = False
        """Whether its pieces are events with ids."""
        self.is_orphan = False
        """Whether the caller for whom it was begun has left before its end."""
        self.is_replay = False
        """Whether it was read from the store."""
        self.head: Head | None = None
        self.origin: Origin | None = None
        self.told: Told | None = None
        self.is_over = False
        self.failure: Exception | None = None
        """Why there is no answer."""
        self.size = 0
        self._pieces: list[bytes] = []
        self._first = 0
        """How many pieces are no longer there."""
        self._is_large = False
        """Whether the writer waits for its readers."""
        self._readers = 0
        self._stopped = False
        self._places: dict[int, int] = {}
        """Reader → the pieces that it has."""
        self._waiting: list[asyncio.Future[None]] = []
        self._window_s = window_s
        self._timer: asyncio.TimerHandle | None = None

    # --- the writer

    def open(self, head: Head, origin: Origin, told: Told) -> None:
        """The head is known."""
        self.head, self.origin, self.told = head, origin, told
        self._tell()

    def add(self, pieces: list[bytes]) -> None:
        """More of the answer has come."""
        self._pieces += pieces
        self.size += sum(map(len, pieces))
        self._tell()

    def end(self, failure: Exception | None = None) -> None:
        """Nothing more comes."""
        self.failure = failure if self.head is None else None
        self.is_over = True
        self._stop_timer()
        self._tell()

    @property
    def pieces(self) -> list[bytes] | None:
        """All of the answer; None where its beginning was given up."""
        return None if self._first else self._pieces

    def forget_read(self) -> None:
        """Gives up the pieces that every reader has, of an answer that is too large to be kept."""
        self._is_large = True
        read = min(self._places.values(), default=self._first + len(self._pieces))
        gone = read - self._first
        self.size -= sum(map(len, self._pieces[:gone]))
        del self._pieces[:gone]
        self._first = read

    def stop(self, *, gone: bool) -> None:
        """Has it end now; ``gone``: because nobody wants it any more."""
        if self.is_over or self._stopped or self.task is None:
            return
        self._stopped = True
        if self.call is not None:
            self.call.gone = gone
        self.task.cancel()

    # --- readers

    @property
    def is_unread(self) -> bool:
        """Whether it is under way and nobody reads it."""
        return not self._readers and not self.is_over

    def enter(self, place: int = 0) -> int:
        """A reader who has so many pieces; its number."""
        self._stop_timer()
        self._readers += 1
        number = max(self._places, default=0) + 1
        self._places[number] = place
        return number

    def leave(self, reader: int) -> None:
        """The reader has all it wanted, or is gone."""
        del self._places[reader]
        self._readers -= 1
        if not self._readers and not self.is_over:
            self._start_timer()
        self._tell()

    def has(self, place: int) -> bool:
        """Whether a reader with so many pieces can go on, now or later."""
        last = self._first + len(self._pieces)
        return self._first <= place and (place <= last or not self.is_over)

    def take(self, reader: int) -> bytes:
        """What the reader does not have yet, or the beginning of it."""
        at = self._places[reader] - self._first
        if self._is_large:
            self._tell()
        pieces = self._pieces
        if at == len(pieces) - 1:
            self._places[reader] += 1
            return pieces[at]
        size, end = 0, at
        while end < len(pieces) and size < _AT_ONCE:
            size += len(pieces[end])
            end += 1
        self._places[reader] = self._first + end
        return b"".join(pieces[at:end])

    async def change(self, within_s: float | None = None) -> None:
        """Returns once something has changed: the head, the pieces, the end, or who reads."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiting.append(waiter)
        timer = None if within_s is None else loop.call_later(within_s, _settle, waiter)
        try:
            await waiter
        finally:
            if timer is not None:
                timer.cancel()

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            _settle(waiter)

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._window_s(), self._abandon)

    def _abandon(self) -> None:
        self.stop(gone=True)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _settle(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
