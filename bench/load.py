"""The load: a closed loop of requests over kept connections, by raw sockets and epoll.

It is the bench's only generator, for whole replies and streams alike. It is this small because
it has to be faster than nginx as a proxy: an event loop and an HTTP client would be what is
measured. `run.py` shows in every run what it reaches against the bare upstream, beside wrk where
that is installed.

Runs as its own process, so that it can be pinned: a JSON plan in, a JSON result out.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from array import array
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from machine import cpu_seconds, pin

HEAD_END = b"\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
PIECE = 32_768
MARK_WITHIN = 200
"""Bytes at an answer's end in which its mark must stand."""


@dataclass(frozen=True)
class Ask:
    """One request, asked again and again."""

    port: int
    path: str
    body: str
    headers: dict[str, str] = field(default_factory=dict)
    mark: str = "}"
    """What a complete answer has near its end."""

    def wire(self) -> bytes:
        body = self.body.encode()
        named = {
            "host": f"127.0.0.1:{self.port}",
            "content-type": "application/json",
            "content-length": str(len(body)),
            **self.headers,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        return f"POST {self.path} HTTP/1.1\r\n{head}\r\n".encode() + body


@dataclass(frozen=True)
class Plan:
    """What to do: how many connections, for how long, up to how many requests."""

    ask: Ask
    connections: int = 32
    seconds: float = 2.0
    warm_s: float = 0.2
    """Asked but not counted before."""
    requests: int = 0
    """Ends sooner once so many were answered; 0: only by time."""
    core: int | None = None
    watch: tuple[int, ...] = ()
    """Processes whose CPU time between begin and end is told."""


@dataclass
class Loaded:
    """What came of it."""

    answered: int
    wrong: int
    seconds: float
    cpu_s: float
    p50_us: float
    p99_us: float
    first_wrong: str = ""

    @property
    def per_s(self) -> float:
        return self.answered / self.seconds if self.seconds else 0.0


class Answer:
    """One answer as it comes in: how much is still missing, and whether it was a good one."""

    __slots__ = ("_head", "_left", "_mark", "_tail", "good")

    def __init__(self, mark: bytes) -> None:
        self._mark = mark
        self._head = b""
        self._left: int | None = None
        self._tail = b""
        self.good = True

    def feed(self, data: bytes) -> bool:
        """Whether the answer is complete; answers never share a piece, for none is asked ahead."""
        if self._left is None:
            data = self._head + data if self._head else data
            end = data.find(HEAD_END)
            if end < 0:
                self._head = data
                return False
            head = data[:end].lower()
            self._tail = b""
            self.good = head.startswith(b"http/1.1 200")
            at = head.find(b"content-length:")
            if at >= 0:
                stop = head.find(b"\r", at)
                length = int(head[at + 15 : stop] if stop > 0 else head[at + 15 :])
                self._left = length - (len(data) - end - 4)
            else:
                self._left = -1
        elif self._left >= 0:
            self._left -= len(data)
        if self._left > 0:
            self._tail = data[-MARK_WITHIN:]
            return False
        self._tail = data if len(data) > MARK_WITHIN else self._tail + data
        if self._left < 0 and not self._tail.endswith(LAST_CHUNK):
            self._tail = self._tail[-MARK_WITHIN:]
            return False
        self.good = self.good and self._mark in self._tail[-MARK_WITHIN:]
        self._head, self._left = b"", None
        return True

    def told(self) -> str:
        return self._tail[-MARK_WITHIN:].decode("latin-1")


class Connection:
    """A kept connection with at most one request under way."""

    __slots__ = ("answer", "asked", "socket")

    def __init__(self, port: int, mark: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # With a timeout every call would ask poll() first.
        self.socket.settimeout(None)
        self.answer = Answer(mark)
        self.asked = 0


def closed_loop(
    plan: Plan, now: Callable[[], int] = time.perf_counter_ns, *, patience_s: float = 10.0
) -> Loaded:
    """Keeps every connection busy with one request at a time until time or number is up."""
    wire = plan.ask.wire()
    mark = plan.ask.mark.encode()
    open_ = [Connection(plan.ask.port, mark) for _ in range(plan.connections)]
    by_fd = {connection.socket.fileno(): connection for connection in open_}
    poll = select.epoll()
    latencies = array("q")
    wrong = 0
    first_wrong = ""
    try:
        for fd, connection in by_fd.items():
            poll.register(fd, select.EPOLLIN)
            connection.asked = now()
            connection.socket.sendall(wire)
        begun = now() + int(plan.warm_s * 1e9)
        end = begun + int(plan.seconds * 1e9)
        cpu = -1.0
        last = begun
        while last < end and (not plan.requests or len(latencies) + wrong < plan.requests):
            events = poll.poll(patience_s)
            if not events:
                raise TimeoutError(f"nothing came from port {plan.ask.port} for {patience_s} s")
            for fd, _ in events:
                connection = by_fd[fd]
                data = connection.socket.recv(PIECE)
                if not data:
                    raise ConnectionError(f"port {plan.ask.port} closed a kept connection")
                if not connection.answer.feed(data):
                    continue
                last = now()
                if not connection.answer.good:
                    wrong += 1
                    first_wrong = first_wrong or connection.answer.told()
                elif connection.asked >= begun:
                    latencies.append(last - connection.asked)
                connection.asked = last
                connection.socket.send(wire)
            if cpu < 0 and last >= begun:
                cpu = cpu_seconds(plan.watch)
                begun = last
        cpu = cpu_seconds(plan.watch) - cpu
    finally:
        poll.close()
        for connection in open_:
            connection.socket.close()
    ordered = sorted(latencies)
    return Loaded(
        answered=len(ordered),
        wrong=wrong,
        seconds=(last - begun) / 1e9,
        cpu_s=cpu,
        p50_us=percentile(ordered, 0.50),
        p99_us=percentile(ordered, 0.99),
        first_wrong=first_wrong,
    )


def percentile(ordered: list[int], share: float) -> float:
    """Microseconds that a share of the latencies, in nanoseconds and in order, do not exceed."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1000


def main() -> int:
    given = json.loads(sys.argv[1])
    given["watch"] = tuple(given.get("watch", ()))
    plan = Plan(**{**given, "ask": Ask(**given["ask"])})
    if plan.core is not None:
        pin(os.getpid(), plan.core)
    print(json.dumps(asdict(closed_loop(plan))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
