"""`make bench`: the gateway beside nginx, and on demand beside other gateways, in one run on this machine.

What is measured runs alone on one core; upstream and load share the other. Prints its figures,
holds them against the bars and keeps them in ``bench/results/latest.json``.
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from types import FrameType

import nginx
from bars import Bar, added_us, drift, share_bar
from gateway import SAME, TRANSLATED, Gateway, dragoman
from hold import Held
from lanes import Lane, WrongAnswerError, check
from machine import cores, describe, find_nginx, memory_mb
from measures import (
    LoadError,
    Rounds,
    chunks_in_turns,
    held_open,
    in_turns,
    middle,
    serve_many,
    wrk_per_s,
)
from peers import PEERS
from process import NotReadyError, free_port, running, wait_for
from report import Report, chunks_table, rates_table

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
DIRECT = "upstream itself"
NGINX = "nginx as proxy"
LEDGER_S = 20.0
"""How long the ledger may take to hold what was answered."""
FILES = 16_384
"""Open files that a process may need."""


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    starts: int = 5
    seconds: float = 1.5
    rounds: int = 3
    single_s: float = 0.8
    single_rounds: int = 4
    served: int = 200_000
    served_warm: int = 20_000
    served_limit_s: float = 80.0
    chunk_streams: int = 1000
    chunk_window_s: float = 3.0
    chunk_rounds: int = 2
    many: int = 2000
    many_window_s: float = 3.0
    peer_streams: int = 50


FULL = Sizes()
QUICK = Sizes(
    starts=2,
    seconds=0.35,
    rounds=2,
    single_s=0.25,
    single_rounds=2,
    served=4_000,
    served_warm=1_000,
    served_limit_s=4.0,
    chunk_streams=300,
    chunk_window_s=1.5,
    chunk_rounds=1,
    many=1000,
    many_window_s=0.5,
)


class Run:
    """One run of the bench: its folder, its cores, what it has found so far."""

    def __init__(self, folder: Path, sizes: Sizes, report: Report) -> None:
        self.folder = folder
        self.sizes = sizes
        self.report = report
        self.core, self.other = cores()

    def say(self, text: str) -> None:
        print(text, flush=True)

    # ------------------------------------------------------------------ upstreams

    def upstream(self, stack: ExitStack) -> tuple[int, int]:
        """The upstream that answers at once: its port and its process."""
        if find_nginx() is not None:
            return stack.enter_context(nginx.static(self.folder, self.other))
        return self.paced(stack)

    def paced(self, stack: ExitStack) -> tuple[int, int]:
        """The upstream that also streams at a pace."""
        port = free_port()
        log = self.folder / f"upstream{port}.log"
        command = [sys.executable, str(HERE / "upstream.py"), "--port", str(port)]
        process = stack.enter_context(
            running(command, core=self.other, log=log, folder=self.folder)
        )
        wait_for(process, port, log)
        return port, process.pid

    def yardstick(self, stack: ExitStack, upstream: int, *, streams: bool = False) -> list[Lane]:
        """nginx as reverse proxy, where it is installed."""
        if find_nginx() is None:
            return []
        port, pid = stack.enter_context(
            nginx.proxy(self.folder, self.core, upstream, streams=streams)
        )
        return [Lane(NGINX, port, (pid,), "gpt-4o-mini")]

    # ------------------------------------------------------------------ phases

    def starts(self) -> None:
        """How long a start takes, and what an idle gateway holds."""
        with ExitStack() as stack:
            upstream, _ = self.upstream(stack)
            for _ in range(self.sizes.starts):
                with dragoman(self.folder, self.core, upstream) as gateway:
                    self.report.start_s.append(gateway.start_s)
                    if len(self.report.start_s) == self.sizes.starts:
                        time.sleep(1.0)
                        self.report.idle_mb = round(memory_mb([gateway.pid]), 1)
        self.say(
            f"\nstart to /ready: {median(self.report.start_s):.2f} s"
            f" (of {self.sizes.starts}); idle: {self.report.idle_mb} MB"
        )

    def rates(self) -> None:
        """Requests and streams a second, latency, and memory over many requests."""
        sizes = self.sizes
        with ExitStack() as stack:
            upstream, pid = self.upstream(stack)
            direct = Lane(DIRECT, upstream, (pid,), "gpt-4o-mini")
            proxies = self.yardstick(stack, upstream)
            gateway = stack.enter_context(dragoman(self.folder, self.core, upstream))
            ours = [gateway.lane(), gateway.lane(translated=True)]
            for lane in [direct, *proxies, *ours]:
                check(lane)
            self._load(direct, proxies)
            for what, title, streamed in (
                ("whole", "whole replies", False),
                ("streams", "streams, all chunks at once", True),
            ):
                self._keep(
                    f"{what}-32",
                    f"{title}, 32 connections",
                    in_turns(
                        [*proxies, *ours],
                        connections=32,
                        seconds=sizes.seconds,
                        rounds=sizes.rounds,
                        core=self.other,
                        streamed=streamed,
                    ),
                )
                if streamed and self.report.quick:
                    continue
                self._keep(
                    f"{what}-1",
                    f"{title}, one connection",
                    in_turns(
                        [direct, *proxies, *ours],
                        connections=1,
                        seconds=sizes.single_s,
                        rounds=sizes.single_rounds,
                        core=self.other,
                        streamed=streamed,
                    ),
                )
            before = gateway.written()
            served = self._flat(ours, gateway.pid)
            self._ledger(served, before, gateway)

    def _load(self, direct: Lane, proxies: list[Lane]) -> None:
        """What the load itself can do: it must not be what is measured."""
        own = middle(
            in_turns([direct], connections=32, seconds=1, rounds=1, core=self.other)[DIRECT]
        )
        found: dict[str, float | None] = {"own": round(own.per_s)}
        told = f"\nload: {own.per_s:,.0f}/s on the upstream itself"
        for lane in [direct, *proxies]:
            reached = wrk_per_s(lane, self.folder, core=self.other, seconds=1)
            found[f"wrk, {lane.name}"] = reached
            told += f"; wrk on {lane.name}: {reached:,.0f}/s" if reached else ""
        self.report.load = found
        self.say(told)

    def _ledger(self, answered: int, before: int, gateway: Gateway) -> None:
        """Sees that what was answered is in the ledger: it is part of what is measured."""
        deadline = time.monotonic() + LEDGER_S
        while (written := gateway.written() - before) < answered and time.monotonic() < deadline:
            time.sleep(0.5)
        self.report.ledger = {"answered": answered, "written": written}
        self.say(f"ledger: {written:,} requests, {answered:,} were answered to the end")

    def _flat(self, lanes: list[Lane], pid: int) -> int:
        """Memory after many requests, against memory when it had warmed up; how many were answered."""
        sizes = self.sizes
        limit = sizes.served_limit_s * sizes.served_warm / sizes.served + 1
        warm = serve_many(lanes, requests=sizes.served_warm, core=self.other, limit_s=limit)
        before = memory_mb([pid])
        served = serve_many(
            lanes, requests=sizes.served, core=self.other, limit_s=sizes.served_limit_s
        )
        after = memory_mb([pid])
        self.report.flat = {"before": before, "after": after, "requests": served}
        self.say(f"\nmemory: {before:.1f} MB, {after:.1f} MB after {served:,} requests more")
        if served < 0.98 * sizes.served:
            self.report.notes.append(f"only {served:,} requests fitted into their time")
        return warm + served

    def _keep(self, what: str, title: str, found: Rounds) -> None:
        self.report.rounds[what] = found
        self.say(rates_table(title, found))

    def chunks(self) -> None:
        """What a relayed chunk costs, and what many open streams hold."""
        sizes = self.sizes
        with ExitStack() as stack:
            upstream, _ = self.paced(stack)
            proxies = self.yardstick(stack, upstream, streams=True)
            gateway = stack.enter_context(dragoman(self.folder, self.core, upstream))
            lanes = [*proxies, gateway.lane(), gateway.lane(translated=True)]
            for lane in lanes:
                check(lane)
            self.report.chunks = chunks_in_turns(
                lanes,
                streams=sizes.chunk_streams,
                window_s=sizes.chunk_window_s,
                rounds=sizes.chunk_rounds,
                core=self.other,
                every_ms=100,
            )
        self.say(chunks_table("a chunk every 100 ms in each stream", self.report.chunks))

    def many(self) -> None:
        """Memory with many streams open at once, in a gateway that has done nothing else."""
        with ExitStack() as stack:
            upstream, _ = self.paced(stack)
            gateway = stack.enter_context(dragoman(self.folder, self.core, upstream))
            held = held_open(
                gateway.lane(),
                streams=self.sizes.many,
                window_s=self.sizes.many_window_s,
                core=self.other,
                every_ms=1000,
            )
        if held.begun < self.sizes.many or held.wrong or held.lost:
            self.report.notes.append(
                f"of {self.sizes.many} streams {held.begun} began, {held.wrong} were refused, "
                f"{held.lost} ended early"
            )
        else:
            self.report.many_mb = round(held.peak_mb, 1)
        self.report.many_streams = held.begun
        self.say(f"\n{held.begun:,} streams open: {held.peak_mb:.0f} MB at most")

    # ------------------------------------------------------------------ peers

    def peers(self, scratch: Path) -> None:
        """Other gateways, each in turns with ours."""
        for name, (install, start) in PEERS.items():
            self.say(f"\n{name}: installing into {scratch} unless it is there")
            try:
                scratch.mkdir(parents=True, exist_ok=True)
                installed = install(scratch)
                with ExitStack() as stack:
                    upstream, _ = self.paced(stack)
                    peer = stack.enter_context(start(installed, self.folder, self.core, upstream))
                    gateway = stack.enter_context(dragoman(self.folder, self.core, upstream))
                    lanes = self._right([peer.same, peer.translated])
                    idle = memory_mb(peer.pids)
                    self._peer(name, [*lanes, gateway.lane(), gateway.lane(translated=True)])
                    self.report.peers[name] = {
                        "version": peer.name,
                        "start_s": round(peer.start_s, 2),
                        "idle_mb": round(idle, 1),
                    }
                    self.say(f"{peer.name}: start {peer.start_s:.1f} s, idle {idle:.0f} MB")
            except (NotReadyError, LoadError, OSError, subprocess.TimeoutExpired) as error:
                self.report.notes.append(f"{name} was not measured: {error}")
                self.say(f"{name} was not measured: {error}")

    def _right(self, lanes: list[Lane]) -> list[Lane]:
        """The ways that give the right answers."""
        good = []
        for lane in lanes:
            try:
                check(lane)
            except WrongAnswerError as error:
                self.report.notes.append(str(error))
                self.say(str(error))
            else:
                good.append(lane)
        return good

    def _peer(self, name: str, lanes: list[Lane]) -> None:
        seconds = max(2.0, self.sizes.seconds)
        for what, connections, streamed in (
            ("whole", 32, False),
            ("streams", 32, True),
            ("whole", 1, False),
        ):
            found = in_turns(
                lanes,
                connections=connections,
                seconds=seconds,
                rounds=2,
                core=self.other,
                streamed=streamed,
            )
            self._keep(f"{name}-{what}-{connections}", f"{what}, {connections} connections", found)
        chunks: dict[str, list[Held]] = chunks_in_turns(
            lanes,
            streams=self.sizes.peer_streams,
            window_s=self.sizes.chunk_window_s,
            rounds=1,
            core=self.other,
            every_ms=100,
        )
        for way, found_chunks in chunks.items():
            self.report.chunks[way if way.startswith(name) else f"{way} ({name}'s run)"] = (
                found_chunks
            )
        self.say(chunks_table("a chunk every 100 ms in each stream", chunks))


def judge(report: Report) -> list[Bar]:
    """The bars of the design, with what this run reached."""
    whole = report.rounds.get("whole-32", {})
    same, translated = whole.get(SAME, []), whole.get(TRANSLATED, [])
    single = report.of("whole-1", SAME)
    p50, p99 = added_us(single, report.of("whole-1", DIRECT)) if single else (None, None)
    chunk = {
        way: median(held.cpu_us_per_chunk for held in found)
        for way, found in report.chunks.items()
    }
    flat = report.flat
    wrong = sum(
        one.wrong
        for ways in report.rounds.values()
        for way in (SAME, TRANSLATED)
        for one in ways.get(way, [])
    )
    bars = [
        share_bar("whole, same dialect, of nginx", same, whole.get(NGINX, []), 0.10),
        share_bar("whole, translated, of same dialect", translated, same, 0.6),
        Bar("one connection: added at p50", p50, 250, unit=" µs"),
        Bar("one connection: added at p99", p99, 1000, unit=" µs"),
        Bar("CPU per relayed chunk, same dialect", chunk.get(SAME), 35, unit=" µs"),
        Bar("CPU per relayed chunk, translated", chunk.get(TRANSLATED), 60, unit=" µs"),
        Bar(f"memory with {report.many_streams:,} streams", report.many_mb, 350, unit=" MB"),
        Bar("start to /ready", median(report.start_s) if report.start_s else None, 1.5, unit=" s"),
        Bar("idle memory", report.idle_mb, 120, unit=" MB"),
        Bar(
            f"memory drift over {flat.get('requests', 0):,.0f} requests",
            drift(flat["before"], flat["after"]) if flat else None,
            5,
            unit=" %",
        ),
        Bar("wrong answers", wrong, 0),
        Bar(
            "answered requests that the ledger lacks",
            max(0, report.ledger["answered"] - report.ledger["written"])
            if report.ledger
            else None,
            0,
        ),
    ]
    for name, times in (("LiteLLM", 60), ("Portkey", 6)):
        theirs = report.of(f"{name}-whole-32", f"{name}, same dialect")
        if theirs:
            ours = report.of(f"{name}-whole-32", SAME)
            bars.append(share_bar(f"whole, times {name}", ours, theirs, times))
    return bars


def commit() -> str | None:
    """The commit that is measured, where this is a clone."""
    told = subprocess.run(
        ["git", "-C", str(HERE), "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
    )
    return told.stdout.strip() or None


def _interrupted(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> int:
    """Runs what is asked for; 1 if ``--check`` finds a bar missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", action="store_true", help="measure LiteLLM and Portkey too")
    parser.add_argument("--check", action="store_true", help="fail where a bar is missed")
    parser.add_argument("--quick", action="store_true", help="smaller counts, under a minute")
    parser.add_argument(
        "--only",
        action="append",
        choices=("starts", "rates", "chunks", "many", "peers"),
        help="a part; may be said again",
    )
    parser.add_argument(
        "--scratch",
        type=Path,
        default=Path(tempfile.gettempdir()) / "dragoman-bench-peers",
        help="where other gateways are installed",
    )
    given = parser.parse_args(arguments)
    given.peers = given.peers or "peers" in (given.only or ())
    if not sys.platform.startswith("linux"):
        print("The bench reads /proc and pins processes to cores: it needs Linux.")
        return 2
    signal.signal(signal.SIGTERM, _interrupted)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, FILES)), hard))
    try:
        report = measure(given)
    except KeyboardInterrupt:
        print("\nInterrupted; every process was ended.")
        return 130
    except (NotReadyError, WrongAnswerError, LoadError) as error:
        print(f"\nThe bench cannot go on: {error}")
        return 1
    report.bars = judge(report)
    conclude(report, keep=not given.only)
    if not given.check:
        return 0
    missed = [bar for bar in report.bars if not bar.held]
    return 1 if any(not given.only or bar.held is False for bar in missed) else 0


def measure(given: argparse.Namespace) -> Report:
    """Goes through what is asked for."""
    report = Report(describe(), given.quick, datetime.now(UTC).isoformat("T", "seconds"), commit())
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dragoman-bench-") as folder:
        run = Run(Path(folder), QUICK if given.quick else FULL, report)
        _introduce(run, given)
        phases: dict[str, Callable[[], None]] = {
            "starts": run.starts,
            "rates": run.rates,
            "chunks": run.chunks,
            "many": run.many,
        }
        for name, phase in phases.items():
            if not given.only or name in given.only:
                phase()
        if given.peers:
            run.peers(given.scratch)
    report.seconds = time.monotonic() - begun
    return report


def _introduce(run: Run, given: argparse.Namespace) -> None:
    machine = run.report.machine
    run.say(
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, commit {run.report.commit}"
    )
    if run.core == run.other:
        run.report.notes.append("there is one core only: everything shares it")
    if find_nginx() is None:
        run.report.notes.append(
            "nginx is not installed (apt install nginx-light): no yardstick, and the bench's own "
            "upstream in its place"
        )
    if not given.peers:
        run.report.notes.append("LiteLLM and Portkey were not asked for (make bench PEERS=1)")
    if given.quick:
        run.report.notes.append("a quick run: smaller counts, coarser figures")
    for note in run.report.notes:
        run.say(f"note: {note}")


def conclude(report: Report, *, keep: bool) -> None:
    """Prints the bars and keeps the run."""
    print("\nbars")
    for bar in report.bars:
        if keep or bar.held is not None:
            print(bar.line())
    for note in report.notes:
        print(f"note: {note}")
    if keep:
        RESULTS.mkdir(exist_ok=True)
        file = RESULTS / ("quick.json" if report.quick else "latest.json")
        file.write_text(json.dumps(report.kept(), indent=1, ensure_ascii=False) + "\n")
        print(f"\n{report.seconds:.0f} s; kept in {file.relative_to(HERE.parent)}")
    else:
        print(f"\n{report.seconds:.0f} s; a part only, nothing was kept")


if __name__ == "__main__":
    sys.exit(main())
