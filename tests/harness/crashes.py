"""Lives of a gateway under load, each ended by kill -9: at a random moment, or at a point that was named.

Points are reached inside the process (``doomed/sitecustomize.py`` puts them around the product's seams, in a
process of the tests' own making); random moments come from here, and hit whatever is under way.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from harness.callers import Callers, Wishes
from harness.evidence import History
from harness.house import Scene
from harness.points import RARE, WHOLE
from servers import Server, children, gateway_server

DOOMED = str(Path(__file__).parent / "doomed")
TESTS = str(Path(__file__).parents[1])
START_S = 60.0
"""For a process to be ready, however busy the machine is."""
PATIENCE_S = 4.0
"""For a process to come to its point; some need a lot to happen."""


@dataclass(slots=True)
class Lives:
    """What became of them."""

    kills: int = 0
    reached: Counter[str] = field(default_factory=Counter)
    """The named points at which processes have ended themselves."""
    seconds: float = 0.0


def sentences(kills: int, dice: Random, most: int = 60) -> list[str]:
    """For each life how it ends: at a point for the n-th time, less than ``most``, or "" at random; half of each."""
    found = []
    for number in range(kills):
        point = WHOLE[number // 2 % len(WHOLE)]
        times = dice.randrange(1, 3) if point.startswith(RARE) else dice.randrange(1, most)
        found.append(f"{point}:{times}" if number % 2 else "")
    return found


def kill_all(
    scene: Scene,
    history: History,
    callers: Callers,
    wishes: Wishes,
    *,
    kills: int,
    many: int = 12,
    life_s: tuple[float, float] = (0.15, 0.9),
    workers: int = 1,
    named: bool = True,
    most: int = 60,
) -> Lives:
    """Raises a gateway, has it asked, and kills it, so many times; of several workers one or all."""
    dice = Random(callers.seed)
    ends: Sequence[str] = sentences(kills, dice, most) if named else [""] * kills
    lives = Lives()
    began = time.monotonic()
    while lives.kills < kills:
        end = ends[lives.kills]
        settings = dict(scene.settings)
        if end:
            settings |= {
                "DRAGOMAN_CRASH_AT": end,
                "PYTHONPATH": f"{DOOMED}{os.pathsep}{TESTS}",
            }
        arguments = ("--workers", str(workers)) if workers > 1 else ()
        try:
            with gateway_server(
                scene.folder, *arguments, patience_s=START_S, **settings
            ) as server:
                patience = PATIENCE_S if end else dice.uniform(*life_s)
                life = _Life(server, lives, dice, patience, workers, kills, end)
                asyncio.run(life.live(callers, wishes, many))
        except pytest.fail.Exception as failure:
            if not end or "ended with -9" not in str(failure):
                raise
            # It has come to its point before it was ready: while it drained what another had left.
            lives.kills += 1
            lives.reached[end.partition(":")[0]] += 1
        scene.note(history)
    lives.seconds = time.monotonic() - began
    return lives


@dataclass(slots=True)
class _Life:
    """One of them: who, how it is to end, and when at the latest."""

    server: Server
    lives: Lives
    dice: Random
    patience_s: float
    workers: int
    kills: int
    end: str

    async def live(self, callers: Callers, wishes: Wishes, many: int) -> None:
        process = self.server.process
        over = asyncio.Event()
        storm = asyncio.ensure_future(callers.storm(self.server.port, wishes, many, over))
        if self.workers > 1:
            await self._kill_workers()
        until = time.monotonic() + self.patience_s
        while time.monotonic() < until and process.poll() is None:  # noqa: ASYNC110 - it is a process
            await asyncio.sleep(0.01)
        if process.poll() is None:
            _kill(self.server)
        elif self.end:
            self.lives.reached[self.end.partition(":")[0]] += 1
        self.lives.kills += 1
        over.set()
        await storm
        process.wait()

    async def _kill_workers(self) -> None:
        """Workers die one after another, and others take their places; at last all die at once."""
        for _ in range(self.dice.randrange(6)):
            await asyncio.sleep(self.patience_s)
            found = children(self.server.process)
            if found and self.lives.kills < self.kills - 1:
                with suppress(ProcessLookupError):
                    os.kill(self.dice.choice(found), signal.SIGKILL)
                    self.lives.kills += 1


def _kill(server: Server) -> None:
    """The whole of a server, at once."""
    for pid in [server.process.pid, *children(server.process)]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def settle(scene: Scene, *arguments: str, rows: Callable[[Server], object] | None = None) -> None:
    """The start after the last death: drains what is left, and ends in good order."""
    with gateway_server(scene.folder, *arguments, patience_s=START_S, **scene.settings) as server:
        if rows is not None:
            rows(server)
        assert server.ask("GET", "/v1/usage").status == 200
        assert server.stop() == 0, server.tail()
