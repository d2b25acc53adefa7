"""The phases of a run: what is started beside what, how much of it, and what is told of it."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import nginx
from gateway import Gateway, dragoman
from hold import Held
from lanes import DIRECT, NGINX, Lane, WrongAnswerError, check
from machine import cores, find_nginx, memory_mb
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
LEDGER_S = 20.0
"""How long the ledger may take to hold what was answered."""


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
