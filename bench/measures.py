"""The measurements: each takes ways or processes and gives figures.

Ways are measured in turns, a short round each, and the median of the rounds counts: whatever
else the machine does then falls on all of them alike.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

from hold import Held, HoldPlan
from lanes import Lane
from load import Loaded, Plan
from traffic import Pace

HERE = Path(__file__).resolve().parent


class LoadError(RuntimeError):
    """The load did not come to its end."""


@dataclass(frozen=True)
class Round:
    """One way under a closed loop of requests."""

    per_s: float
    cpu_us: float
    """CPU of the relaying process for one request."""
    p50_us: float
    p99_us: float
    answered: int
    wrong: int

    @property
    def per_core_s(self) -> float:
        """Requests per second of CPU: what it would reach if its core had nothing else to do."""
        return 1e6 / self.cpu_us if self.cpu_us else 0.0


Rounds = dict[str, list[Round]]


def run_load(plan: Plan) -> Loaded:
    """One closed loop, in a process on its own core."""
    return Loaded(**_run("load.py", asdict(plan), plan.warm_s + plan.seconds))


def run_hold(plan: HoldPlan) -> Held:
    """Streams held open, by a process on its own core."""
    seconds = plan.ramp_s + plan.patience_s + plan.settle_s + plan.window_s
    return Held(**_run("hold.py", asdict(plan), seconds))


def _run(script: str, plan: dict[str, object], seconds: float) -> dict[str, object]:
    command = [sys.executable, str(HERE / script), json.dumps(plan)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            out, errors = process.communicate(timeout=seconds + 30)
        finally:
            if process.poll() is None:
                process.kill()
    if process.returncode != 0:
        told = errors.decode(errors="replace").strip().rpartition("\n")[2]
        raise LoadError(f"{script} failed: {told}")
    found: dict[str, object] = json.loads(out)
    return found


def in_turns(
    lanes: list[Lane],
    *,
    connections: int,
    seconds: float,
    rounds: int,
    core: int,
    streamed: bool = False,
) -> Rounds:
    """Every way in each round, for so many seconds."""
    found: Rounds = {lane.name: [] for lane in lanes}
    for _ in range(rounds):
        for lane in lanes:
            ask = lane.ask(streamed=streamed)
            plan = Plan(ask, connections, seconds, core=core, watch=lane.pids)
            loaded = run_load(plan)
            found[lane.name].append(
                Round(
                    per_s=loaded.per_s,
                    cpu_us=loaded.cpu_s / loaded.answered * 1e6 if loaded.answered else 0.0,
                    p50_us=loaded.p50_us,
                    p99_us=loaded.p99_us,
                    answered=loaded.answered,
                    wrong=loaded.wrong,
                )
            )
    return found


def middle(rounds: list[Round]) -> Round:
    """The median of each figure."""
    return Round(
        per_s=median(one.per_s for one in rounds),
        cpu_us=median(one.cpu_us for one in rounds),
        p50_us=median(one.p50_us for one in rounds),
        p99_us=median(one.p99_us for one in rounds),
        answered=sum(one.answered for one in rounds),
        wrong=sum(one.wrong for one in rounds),
    )


def chunks_in_turns(
    lanes: list[Lane], *, streams: int, window_s: float, rounds: int, core: int, every_ms: int
) -> dict[str, list[Held]]:
    """The cost of a relayed chunk on every way, in turns."""
    found: dict[str, list[Held]] = {lane.name: [] for lane in lanes}
    for _ in range(rounds):
        for lane in lanes:
            found[lane.name].append(
                held_open(lane, streams=streams, window_s=window_s, core=core, every_ms=every_ms)
            )
    return found


def held_open(lane: Lane, *, streams: int, window_s: float, core: int, every_ms: int) -> Held:
    """So many streams at once on one way."""
    pace = Pace(every_ms, 60_000 // every_ms)
    plan = HoldPlan(
        lane.ask(pace=pace),
        streams=streams,
        ramp_s=max(0.5, streams / 1000),
        window_s=window_s,
        core=core,
        watch=lane.pids,
    )
    return run_hold(plan)


def serve_many(lanes: list[Lane], *, requests: int, core: int, limit_s: float) -> int:
    """So many requests over all ways in turns, in laps; how many were answered in the time allowed."""
    answered = 0
    laps = 4 * len(lanes)
    for lap in range(laps):
        lane = lanes[lap % len(lanes)]
        plan = Plan(lane.ask(), 32, limit_s / laps, core=core, requests=requests // laps)
        answered += run_load(replace(plan, warm_s=0.0)).answered
    return answered


def wrk_per_s(lane: Lane, folder: Path, *, core: int, seconds: int = 2) -> float | None:
    """What wrk reaches on a way, where it is installed: a second opinion on our own generator."""
    program = shutil.which("wrk")
    if program is None:
        return None
    ask = lane.ask()
    script = folder / "post.lua"
    lines = ['wrk.method = "POST"', f"wrk.body = {json.dumps(ask.body)}"]
    named = {"content-type": "application/json", **ask.headers}
    lines += [f'wrk.headers["{name}"] = "{value}"' for name, value in named.items()]
    script.write_text("\n".join(lines))
    url = f"http://127.0.0.1:{ask.port}{ask.path}"
    command = [program, "-t1", "-c32", f"-d{seconds}", "-s", str(script), url]
    pinned = ["taskset", "-c", str(core), *command] if shutil.which("taskset") else command
    told = subprocess.run(
        pinned, capture_output=True, text=True, check=False, timeout=seconds + 20
    )
    for line in told.stdout.splitlines():
        if line.startswith("Requests/sec:"):
            with suppress(ValueError):
                return float(line.split()[1])
    return None
