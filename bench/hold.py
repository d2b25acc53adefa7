"""Many streams held open at once: what a relayed chunk costs, and what an open stream holds.

Each stream comes at its own beat. Nothing is measured before every stream has begun. Runs as its
own process like ``load.py``: a JSON plan in, a JSON result out.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from dataclasses import asdict, dataclass

from load import Ask
from machine import cpu_seconds, memory_mb, pin

PIECE = 16_384
_FRAME = b"data: "


@dataclass(frozen=True)
class HoldPlan:
    """How many streams, opened over how long, watched for how long."""

    ask: Ask
    streams: int
    ramp_s: float = 1.0
    settle_s: float = 0.5
    window_s: float = 4.0
    patience_s: float = 20.0
    """How long all of them may take to begin."""
    core: int | None = None
    watch: tuple[int, ...] = ()


@dataclass
class Held:
    """What came of it, within the window."""

    begun: int
    wrong: int
    lost: int
    """Streams that ended before the window did."""
    chunks: int
    seconds: float
    cpu_s: float
    memory_mb: float
    peak_mb: float

    @property
    def cpu_us_per_chunk(self) -> float:
        return self.cpu_s / self.chunks * 1e6 if self.chunks else 0.0


class _Streams:
    """The open connections and what they have said."""

    def __init__(self, plan: HoldPlan) -> None:
        self._plan = plan
        self._wire = plan.ask.wire()
        self._poll = select.epoll()
        self._open: dict[int, socket.socket] = {}
        self._unheard: set[int] = set()
        """Without even a head."""
        self._silent: set[int] = set()
        """Without a chunk."""
        self.wrong = 0
        self.lost = 0
        self.chunks = 0

    @property
    def begun(self) -> int:
        return len(self._open) - len(self._silent)

    def add(self) -> None:
        """One more stream."""
        connection = socket.create_connection(("127.0.0.1", self._plan.ask.port), timeout=10)
        connection.sendall(self._wire)
        connection.settimeout(None)
        number = connection.fileno()
        self._open[number] = connection
        self._unheard.add(number)
        self._silent.add(number)
        self._poll.register(number, select.EPOLLIN)

    def read(self, wait_s: float) -> None:
        """Whatever has come; waits for it at most so long."""
        for number, _ in self._poll.poll(max(0.0, wait_s)):
            data = self._open[number].recv(PIECE)
            if not data:
                self._poll.unregister(number)
                self.lost += 1
                continue
            if number in self._unheard:
                self._unheard.discard(number)
                self.wrong += not data.startswith(b"HTTP/1.1 200")
            frames = data.count(_FRAME)
            if frames:
                self._silent.discard(number)
                self.chunks += frames

    def read_until(self, deadline: float) -> None:
        while (left := deadline - time.perf_counter()) > 0:
            self.read(left)

    def close(self) -> None:
        self._poll.close()
        for connection in self._open.values():
            connection.close()


def hold(plan: HoldPlan) -> Held:
    """Opens the streams, waits for all of them to begin, and watches them for the window."""
    streams = _Streams(plan)
    try:
        start = time.perf_counter()
        for number in range(plan.streams):
            streams.add()
            due = start + (number + 1) * plan.ramp_s / plan.streams
            streams.read(due - time.perf_counter())
        deadline = time.perf_counter() + plan.patience_s
        while streams.begun < plan.streams and time.perf_counter() < deadline:
            streams.read(0.1)
        streams.read_until(time.perf_counter() + plan.settle_s)
        streams.chunks = 0
        cpu = cpu_seconds(plan.watch)
        opened = time.perf_counter()
        streams.read_until(opened + plan.window_s)
        seconds = time.perf_counter() - opened
        return Held(
            begun=streams.begun,
            wrong=streams.wrong,
            lost=streams.lost,
            chunks=streams.chunks,
            seconds=seconds,
            cpu_s=cpu_seconds(plan.watch) - cpu,
            memory_mb=memory_mb(plan.watch),
            peak_mb=memory_mb(plan.watch, peak=True),
        )
    finally:
        streams.close()


def main() -> int:
    given = json.loads(sys.argv[1])
    given["watch"] = tuple(given.get("watch", ()))
    plan = HoldPlan(**{**given, "ask": Ask(**given["ask"])})
    if plan.core is not None:
        pin(os.getpid(), plan.core)
    print(json.dumps(asdict(hold(plan))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
