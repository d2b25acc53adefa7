"""Where finished lines leave the process, so that a reader who never reads holds up nobody.

A write to a pipe that is full waits until somebody reads. It cannot be made not to wait either:
O_NONBLOCK belongs to the open file, which other processes share. So a thread writes, what waits
for it is bounded, and what finds no room is counted as lost (D9). Before the thread is started
and once it has ended, lines are written where they are made: a process that starts or ends
has no request that could wait.
"""

from __future__ import annotations

import os
import threading
from functools import partial
from queue import SimpleQueue

from dragoman.telemetry.sink import Sink

ROOM = 4 * 1024 * 1024
"""Bytes that may wait for the thread."""
PATIENCE_S = 1.0
"""How long the end of a process waits for the last lines to be taken."""


class Outlet:
    """A place that takes pieces of whole lines: a descriptor, or a sink."""

    def __init__(self, place: int | Sink, room: int = ROOM) -> None:
        self._sink: Sink = partial(_write_all, place) if isinstance(place, int) else place
        self._room = room
        self._queue: SimpleQueue[tuple[bytes, int] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._stuck = False
        # Each number has one writer, so none needs a lock: the thread's are _done and _failed.
        self._given = 0
        self.refused = 0
        """Lines for which there was no room."""
        self._done = 0
        self._failed = 0

    @property
    def lost(self) -> int:
        """Lines that could not be written."""
        return self.refused + self._failed

    @property
    def waiting(self) -> int:
        """Pieces that wait for the thread."""
        return self._queue.qsize()

    def start(self) -> None:
        """From now on a thread writes."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="log", daemon=True)
            self._thread.start()

    def stop(self, patience_s: float = PATIENCE_S) -> None:
        """Has all that waits written, if its reader takes it in time."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(patience_s)
            self._stuck = self._thread.is_alive()
            self._thread = None

    def put(self, piece: bytes, lines: int) -> bool:
        """Takes a piece; whether there was room for it."""
        if self._thread is None:
            if self._stuck:
                self.refused += lines
                return False
            self._write(piece, lines)
            return True
        size = len(piece)
        if self._given - self._done + size > self._room:
            self.refused += lines
            return False
        self._given += size
        self._queue.put((piece, lines))
        return True

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            piece, lines = item
            self._write(piece, lines)
            self._done += len(piece)

    def _write(self, piece: bytes, lines: int) -> None:
        try:
            self._sink(piece)
        except OSError:
            self._failed += lines


def _write_all(descriptor: int, piece: bytes) -> None:
    while written := os.write(descriptor, piece):
        if written == len(piece):
            return
        piece = piece[written:]
