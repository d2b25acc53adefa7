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
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from lanes import WrongAnswerError
from machine import describe, find_nginx
from measures import LoadError
from phases import FULL, QUICK, Run
from process import NotReadyError
from report import Report
from verdict import judge

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
FILES = 16_384
"""Open files that a process may need."""


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
    # A shell starts its background jobs with this one ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
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
