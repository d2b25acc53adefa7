"""Runs the quality gate: each step with its time, all of them even if one fails.

python scripts/gate.py ci      what must hold for every change (ten minutes at most)
python scripts/gate.py gate    everything that must hold before a release
python scripts/gate.py test    the tests alone, with branch coverage

Steps of one stage run side by side; each says all it has to say at its end. What then fails among the
tests is run once more, alone, and said to be: some tests judge times, and a neighbour can take them. What
fails alone as well is wrong, and so is a stage in which more than a few fail.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
PYTHON = sys.executable
SOURCES = ("src", "tests", "bench", "scripts", "examples")
MOST_AGAIN = 12
"""Failed tests of one step that are run once more; more are no neighbour's doing."""
SLOW_S = 120
"""What the one test may take, as in `pyproject.toml`; alone on a slow machine it has thrice that."""
COVERED = 90
"""Percent of branches and lines that all tests must reach."""
COSTS = ("limits", "traces", "redis")
"""What `bench/costs.py` judges against its own bounds."""

Stage = dict[str, list[str]]
"""Steps that run side by side: what each is called, and its command."""

STYLE: Stage = {
    "compile": [PYTHON, "-m", "compileall", "-q", "src"],
    "types": [str(BIN / "mypy")],
    "lint": [str(BIN / "ruff"), "check", *SOURCES],
    "format": [str(BIN / "ruff"), "format", "--check", *SOURCES],
    "layers": [str(BIN / "lint-imports"), "--no-cache"],
}
COMPUTING = ("unit", "migrations", "house")
"""Folders of tests that compute more than they wait."""
APART = (*(f"tests/{folder}" for folder in COMPUTING), "tests/conformance", "tests/clients")
"""What is no story over real processes."""
QUICK, LONG = ["-m", "not gate"], ["-m", "gate"]


def tests(begin: list[str]) -> Stage:
    """The test suite but for what takes long.

    Five parts for two cores: stories wait more than they compute.
    """
    return {
        "tests that compute": [*begin, *QUICK, *APART[: len(COMPUTING)]],
        "tests of conformance": _part(begin, "conformance", [*QUICK, *APART[len(COMPUTING) :]]),
        **_stories(begin, 3, QUICK),
    }


def long_tests(begin: list[str]) -> Stage:
    """What takes long: many kills, many rows, outages of minutes, all that a document allows."""
    return {
        "long tests": _part(begin, "long", [*LONG, *APART]),
        **{f"long {name}": command for name, command in _stories(begin, 2, LONG).items()},
    }


def _stories(begin: list[str], parts: int, chosen: list[str]) -> Stage:
    files = sorted(
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        if not (name := str(path.relative_to(ROOT))).startswith(APART)
    )
    return {
        f"stories, {part + 1} of {parts}": _part(
            begin, f"stories-{part}", [*chosen, *files[part::parts]]
        )
        for part in range(parts)
    }


def _part(begin: list[str], name: str, others: list[str]) -> list[str]:
    """With a cache of its own, for what runs side by side would write to one."""
    return [*begin, "-o", f"cache_dir=.pytest_cache/{name}", *others]


def stages(kind: str) -> list[Stage]:
    """What a kind of gate consists of.

    Coverage has a kind of its own: being watched takes every test twice the time.
    """
    pytest = ["-m", "pytest", "-q", "--durations=10"]
    if kind == "test":
        return [
            tests([str(BIN / "coverage"), "run", *pytest]),
            {"coverage": [str(BIN / "coverage"), "combine", "-q"]},
            {"coverage report": [str(BIN / "coverage"), "report", f"--fail-under={COVERED}"]},
        ]
    begin = [PYTHON, *pytest]
    sample = "200" if kind == "gate" else "25"
    served: Stage = {
        "smoke journey": [PYTHON, "scripts/smoke_journey.py"],
        "fidelity": [PYTHON, "scripts/fidelity.py", "--sample", sample],
    }
    if kind == "ci":
        # All at once: one that computes alone, such as that of the types, would leave a core idle.
        return [{**STYLE, **tests(begin), **served}]
    bench = {"bench": [PYTHON, "bench/run.py", "--check"]}
    # One after the other: what is measured is what each costs, and a neighbour would be counted.
    costs: list[Stage] = [{f"costs of {what}": [PYTHON, "bench/costs.py", what]} for what in COSTS]
    return [STYLE, tests(begin), served, long_tests(begin), bench, *costs]


def run(stage: Stage, environment: dict[str, str]) -> list[str]:
    """Runs the steps of a stage, and once more what may have failed for another; which failed."""
    return [
        name
        for name in beside(stage, environment)
        if not holds_alone(name, stage[name], environment)
    ]


def holds_alone(name: str, command: list[str], environment: dict[str, str]) -> bool:
    """Whether the tests that failed in a step pass when nothing runs beside them."""
    if "pytest" not in command or command[0] != PYTHON:
        return False
    folder = next(
        (part for part in command if part.startswith("cache_dir=")), "cache_dir=.pytest_cache"
    )
    page = ROOT / folder.removeprefix("cache_dir=") / "v" / "cache" / "lastfailed"
    try:
        fell = list(json.loads(page.read_bytes()))
    except (OSError, ValueError):
        return False
    if not 0 < len(fell) <= MOST_AGAIN:
        return False
    print(f"--- {name}: once more, alone: {', '.join(fell)}", flush=True)
    again = ["--last-failed", "--last-failed-no-failures=none", f"--timeout={3 * SLOW_S}"]
    held = (
        subprocess.run([*command, *again], cwd=ROOT, env=environment, check=False).returncode == 0
    )
    print(f"--- {name}: {'ok' if held else 'FAILED'} alone", flush=True)
    return held


def beside(stage: Stage, environment: dict[str, str]) -> list[str]:
    """Runs the steps side by side and prints what each said; the names of those that failed."""
    failed: list[str] = []
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        said = {name: Path(folder, str(number)) for number, name in enumerate(stage)}
        running: dict[str, subprocess.Popen[bytes]] = {}
        for name, command in stage.items():
            with said[name].open("wb") as page:
                running[name] = subprocess.Popen(
                    command, cwd=ROOT, env=environment, stdout=page, stderr=subprocess.STDOUT
                )
        while running:
            over = [name for name, step in running.items() if step.poll() is not None]
            for name in over:
                status = running.pop(name).returncode
                print(f"--- {name}", flush=True)
                sys.stdout.buffer.write(said[name].read_bytes())
                verdict = "FAILED" if status else "ok"
                print(f"--- {name}: {verdict} in {time.monotonic() - start:.1f} s", flush=True)
                if status:
                    failed.append(name)
            time.sleep(0.05)
    return failed


def surroundings(kind: str) -> dict[str, str]:
    """The environment of every step.

    Compiled modules are kept whatever the shell says of it: dozens of processes import the same ones. Before a
    release each law is tried with all examples that it names (`tests/sampling.py`).
    """
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    more = {"DRAGOMAN_TEST_EXAMPLES": "all"} if kind == "gate" else {}
    return {**kept, **more, "PATH": f"{BIN}:{os.environ.get('PATH', '')}"}


def main() -> int:
    """Runs the stages; the exit status says whether all of them held."""
    kind = sys.argv[1] if len(sys.argv) > 1 else "ci"
    if kind not in {"ci", "gate", "test"}:
        print(__doc__)
        return 2
    for leftover in ROOT.glob(".coverage*"):
        leftover.unlink()
    # What failed in an earlier run is no news of this one.
    shutil.rmtree(ROOT / ".pytest_cache", ignore_errors=True)
    environment = surroundings(kind)
    began = time.monotonic()
    failed = [name for stage in stages(kind) for name in run(stage, environment)]
    spent = time.monotonic() - began
    if failed:
        print(f"The gate is closed after {spent:.0f} s: {', '.join(failed)} failed.")
        return 1
    print(f"The gate is open after {spent:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
