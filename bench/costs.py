"""What a part costs that can be left out: the CPU time of a request with it, against that without it.

Two gateways serve the same requests by turns, a few each time, so that whatever else the machine does meets
both alike; the CPU time is the kernel's own, of all threads. A gateway writes its ledger in batches, at times
when the other has its turn: so what a turn costs is counted up to the gateway's next one, and all turns count.
Where a process lies in memory makes a hundredth of a difference: so there are several pairs, one after the other,
of which now the one is the first to start and now the other.

    python bench/costs.py traces             # spans to an OTLP receiver: at most a tenth of the throughput
    python bench/costs.py limits             # all six limits and two budgets: at most 8 %
    python bench/costs.py redis              # the same, counted in REDIS_URL: at least 0.6 of it is left
    python bench/costs.py traces --streamed --rounds 3000
    python bench/costs.py limits --translated
    python bench/costs.py nothing            # two equal gateways: how far the figures can be trusted

What it is held against is the gateway as the bench runs it: a key with three limits, counted in memory.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import fmean

from gateway import LIMITS, Gateway, dragoman
from lanes import WrongAnswerError, check
from load import PIECE, Connection
from machine import cores, spent_ns
from process import free_port, running, wait_for

CONNECTIONS = 8
A_ROUND = 1
"""Requests on each connection before it is the other gateway's turn: the shorter turns are, the more alike."""
WARM = 300
REDIS_URL = "redis://127.0.0.1:6379/15"
ALL_LIMITS = (
    *(f"--{name}=2000000000" for name in ("rps", "rpm", "rpd", "tpm", "tpd")),
    "--concurrency=1000",
)
"""Each of the six, and none of them is reached."""
BUDGETS = """
[budgets.everybody]
monthly_usd = "1000000"
[budgets.each]
each = "key"
daily_usd = "1000000"
"""


@dataclass(frozen=True)
class Kind:
    """A gateway as it runs: its key's limits, its `dragoman.toml`, its environment."""

    limits: tuple[str, ...] = LIMITS
    file: str = ""
    environment: dict[str, str] = field(default_factory=dict)


USUAL = Kind()
LIMITED = Kind(ALL_LIMITS, BUDGETS)
MOST = {"traces": 0.10, "limits": 0.08, "redis": 0.40, "nothing": 0.02}
"""Of the throughput, at most."""


class _Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Takes whatever comes."""
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def receiver() -> Iterator[int]:
    """A receiver of OTLP over HTTP; its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Receiver)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def upstream(folder: Path, core: int) -> Iterator[int]:
    """The bench's provider; its port."""
    port, log = free_port(), folder / "upstream.log"
    command = [
        sys.executable,
        str(Path(__file__).with_name("upstream.py")),
        *("--port", str(port), "--core", str(core)),
    ]
    with running(command, core=core, log=log, folder=folder) as process:
        wait_for(process, port, log)
        yield port


@dataclass(frozen=True)
class Asked:
    """A gateway, and the connections that ask it: they are kept, as making one costs as much as an answer."""

    gateway: Gateway
    wire: bytes
    kept: tuple[Connection, ...]

    def ask_all(self) -> None:
        """A turn: all connections ask at once, a few times."""
        for _ in range(A_ROUND):
            for each in self.kept:
                each.socket.sendall(self.wire)
            for each in self.kept:
                while not each.answer.feed(each.socket.recv(PIECE)):
                    pass
                if not each.answer.good:
                    raise WrongAnswerError(each.answer.told())

    def spent_ns(self) -> int:
        """The CPU time of the gateway so far."""
        return spent_ns(self.gateway.pid)


def by_turns(one: Asked, other: Asked, rounds: int) -> tuple[float, float]:
    """Microseconds of CPU that a request takes of each, its part of what is done behind it included."""
    began: list[int] = []
    for number in range(rounds + 1):
        pair = (one, other) if number % 2 else (other, one)
        if number in {0, rounds}:
            began += [one.spent_ns(), other.spent_ns()]
        if number < rounds:
            for each in pair:
                each.ask_all()
    requests = rounds * A_ROUND * CONNECTIONS
    first, second, first_then, second_then = began
    return (first_then - first) / requests / 1000, (second_then - second) / requests / 1000


def share_lost(without: float, with_it: float) -> float:
    """The part of the throughput that is lost where a request takes so much more of the CPU."""
    return 1 - without / with_it


def kinds(part: str, stack: ExitStack) -> tuple[Kind, Kind]:
    """The gateway without the part, and with it."""
    if part == "traces":
        port = stack.enter_context(receiver())
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
        return USUAL, Kind(environment=traced)
    if part == "limits":
        return USUAL, LIMITED
    if part == "nothing":
        return USUAL, USUAL
    shared = {"REDIS_URL": os.environ.get("REDIS_URL", REDIS_URL)}
    return USUAL, Kind(LIMITED.limits, LIMITED.file, shared)


def start(
    kind: Kind,
    home: Path,
    core: int,
    port: int,
    stack: ExitStack,
    *,
    streamed: bool,
    translated: bool,
) -> Asked:
    """A gateway of that kind, warm."""
    home.mkdir()
    file = home / "dragoman.toml"
    file.write_text("format = 1\n" + kind.file)
    more = {"DRAGOMAN_CONFIG": str(file), **kind.environment}
    gateway = stack.enter_context(dragoman(home, core, port, more, kind.limits))
    lane = gateway.lane(translated=translated)
    check(lane)
    ask = lane.ask(streamed=streamed)
    kept = tuple(Connection(ask.port, ask.mark.encode()) for _ in range(CONNECTIONS))
    for each in kept:
        stack.callback(each.socket.close)
    asked = Asked(gateway, ask.wire(), kept)
    for _ in range(WARM):
        asked.ask_all()
    return asked


def measured(given: argparse.Namespace, *, turned: bool) -> tuple[float, float]:
    """Microseconds of CPU for a request without the part, and with it, of one pair of gateways.

    ``turned``: the one with it starts first.
    """
    core, other = cores()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = stack.enter_context(upstream(folder, other))
        pair = kinds(given.part, stack)
        asked = [
            start(
                kind,
                folder / str(place),
                core,
                port,
                stack,
                streamed=given.streamed,
                translated=given.translated,
            )
            for place, kind in enumerate(reversed(pair) if turned else pair)
        ]
        first, second = by_turns(*asked, given.rounds)
    return (second, first) if turned else (first, second)


def main() -> int:
    """Measures, prints, and fails beyond the bar."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", choices=MOST)
    parser.add_argument("--rounds", type=int, default=1500)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--streamed", action="store_true")
    parser.add_argument("--translated", action="store_true")
    given = parser.parse_args()
    found = [measured(given, turned=number % 2 > 0) for number in range(given.pairs)]
    shares = [share_lost(*pair) for pair in found]
    without, with_it = (fmean(side) for side in zip(*found, strict=True))
    lost, most = share_lost(without, with_it), MOST[given.part]
    kind = "a stream" if given.streamed else "a whole reply"
    print(
        f"{kind}{', translated' if given.translated else ''}: {without:.1f} us of CPU without "
        f"{given.part}, {with_it:.1f} with; {lost:.1%} of the throughput (at most {most:.0%}); "
        f"{len(found)} pairs, from {min(shares):.1%} to {max(shares):.1%}"
    )
    return 0 if lost <= most else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.SubprocessError as error:
        sys.exit(str(error))
