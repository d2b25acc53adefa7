"""Spans on their way out: a queue with a bound, and a thread that sends what waits in batches.

No request waits for it. What finds no room, or is not taken after a few tries, is dropped and counted:
traces are a sample anyway, the ledger has every call.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dragoman.telemetry.sending import Sending, SendingError

TRIES = 4
_FIRST_S = 0.5
_LONGEST_S = 8.0
PATIENCE_S = 5.0
"""How long the end of a process waits for the last batches to be taken."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much waits, how long, and how much goes at once (the SDKs' ``OTEL_BSP_*``)."""

    queue: int = 2048
    batch: int = 512
    delay_s: float = 5.0


class Exporter:
    """The spans of one process, from their end to their receivers."""

    def __init__(
        self,
        sendings: Sequence[Sending],
        bounds: Bounds,
        notice: Callable[[str, str], None],
        rest: Callable[[float], object] | None = None,
    ) -> None:
        """``notice`` is told in the exporter's thread what has changed: a level and a sentence."""
        self._sendings = sendings
        self.bounds = bounds
        self._notice = notice
        self._queue: deque[tuple[bytes, int]] = deque()
        """Spans one after another, and how many they are."""
        self._waiting = 0
        self._woken = threading.Event()
        self._ending = threading.Event()
        self._rest = rest or self._ending.wait
        self._thread: threading.Thread | None = None
        # What waits and what is refused is counted in whichever thread; the exporter's has the other numbers.
        self._counting = threading.Lock()
        self._refused = 0
        self._unsent = 0
        self.sent = 0
        self.more: Callable[[], None] | None = None
        """Puts what is not there yet; asked in the exporter's thread before it sends."""
        self._is_well = True
        self._lost_by: str | None = None
        """Why spans were lost that could not be made, until it is told."""

    @property
    def waiting(self) -> int:
        """Spans that wait."""
        return self._waiting

    @property
    def dropped(self) -> int:
        """Spans that nobody will get."""
        return self._refused + self._unsent

    def start(self) -> None:
        """Starts the thread."""
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    def put(self, spans: bytes, count: int) -> None:
        """Takes so many spans, one after another; all or none, as those of a call belong together."""
        bounds = self.bounds
        with self._counting:
            if self._waiting + count > bounds.queue:
                self._refused += count
                return
            self._waiting += count
            self._queue.append((spans, count))
        if self._waiting >= bounds.batch and not self._woken.is_set():
            self._woken.set()

    def lose(self, count: int, why: str) -> None:
        """Counts so many spans that could not be made; why is told before others are sent."""
        with self._counting:
            self._refused += count
        self._lost_by = why

    def close(self, patience_s: float = PATIENCE_S) -> None:
        """Has what waits sent, if it is taken in time; blocks until then."""
        self._ending.set()
        self._woken.set()
        if self._thread is not None:
            self._thread.join(patience_s)
            self._thread = None

    def _run(self) -> None:
        while not self._ending.is_set():
            self._woken.wait(self.bounds.delay_s)
            self._woken.clear()
            self._send_all()
        self._send_all()
        for sending in self._sendings:
            sending.close()

    def _send_all(self) -> None:
        if self.more is not None:
            try:
                self.more()
            except Exception as error:  # noqa: BLE001  as of a sending
                self._tell(type(error).__name__)
        lost_by, self._lost_by = self._lost_by, None
        if lost_by is not None:
            self._tell(lost_by)
        while self._queue:
            batch, count = self._next()
            lost = max([0, *(self._send(each, batch, count) for each in self._sendings)])
            self.sent += count - lost
            self._unsent += lost

    def _next(self) -> tuple[list[bytes], int]:
        """What goes at once, and how many spans that is."""
        batch: list[bytes] = []
        total = 0
        with self._counting:
            queue = self._queue
            while queue and (not batch or total + queue[0][1] <= self.bounds.batch):
                spans, count = queue.popleft()
                batch.append(spans)
                total += count
            self._waiting -= total
        return batch, total

    def _send(self, sending: Sending, batch: Sequence[bytes], count: int) -> int:
        """Sends a batch; how many of its spans were not taken."""
        pause = _FIRST_S
        for number in range(1, TRIES + 1):
            try:
                rejected = min(count, sending.send(batch))
            except SendingError as error:
                # An ending process tries once more, at once: its caller's patience is short.
                last = number >= (2 if self._ending.is_set() else TRIES)
                if not error.retryable or last:
                    self._tell(error.why)
                    return count
                waits = error.after_s if error.after_s is not None else pause * _jitter()
                self._rest(min(waits, _LONGEST_S))
                pause = min(pause * 2, _LONGEST_S)
            except Exception as error:  # noqa: BLE001  a thread that dies would drop all from then on
                self._tell(type(error).__name__)
                return count
            else:
                # To send them again would make the others double.
                self._tell(f"{rejected} of {count} spans were rejected" if rejected else None)
                return rejected
        return count

    def _tell(self, trouble: str | None) -> None:
        """Once when it begins to fail, once when it is over."""
        if trouble is None and not self._is_well:
            self._notice("info", "traces are exported again")
        elif trouble is not None and self._is_well:
            self._notice("warn", f"traces cannot be exported: {trouble}")
        self._is_well = trouble is None


def _jitter() -> float:
    return random.uniform(0.5, 1.0)  # noqa: S311  nothing secret hangs on it
