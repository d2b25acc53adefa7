"""Runs the quality gate: each step with its time, all of them even if one fails.

python scripts/gate.py ci      what must hold for every change (ten minutes at most)
python scripts/gate.py gate    everything that must hold before a release
python scripts/gate.py test    the tests alone, with branch coverage
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
PYTHON = sys.executable
SOURCES = ("src", "tests", "bench", "scripts", "examples")
COVERED = 90
"""Percent of branches and lines that the tests must reach."""

Step = tuple[str, list[str]]

STYLE: list[Step] = [
    ("compile", [PYTHON, "-m", "compileall", "-q", "src"]),
    ("lint", [str(BIN / "ruff"), "check", *SOURCES]),
    ("format", [str(BIN / "ruff"), "format", "--check", *SOURCES]),
    ("types", [str(BIN / "mypy")]),
    ("layers", [str(BIN / "lint-imports"), "--no-cache"]),
]


def tests(*, long: bool) -> list[Step]:
    """The test suite under coverage, and the verdict on the coverage."""
    pick = [] if long else ["-m", "not gate"]
    coverage = [str(BIN / "coverage")]
    return [
        ("tests", [*coverage, "run", "-m", "pytest", "-q", "--durations=10", *pick]),
        ("coverage", [*coverage, "combine", "-q"]),
        ("coverage report", [*coverage, "report", f"--fail-under={COVERED}"]),
    ]


def steps(kind: str) -> list[Step]:
    """What a kind of gate consists of."""
    if kind == "test":
        return tests(long=False)
    if kind == "ci":
        return [
            *STYLE,
            *tests(long=False),
            ("smoke journey", [PYTHON, "scripts/smoke_journey.py"]),
            ("fidelity", [PYTHON, "scripts/fidelity.py", "--sample", "25"]),
        ]
    return [
        *STYLE,
        *tests(long=True),
        ("smoke journey", [PYTHON, "scripts/smoke_journey.py"]),
        ("fidelity", [PYTHON, "scripts/fidelity.py", "--sample", "200"]),
        ("bench", [PYTHON, "bench/run.py", "--check"]),
    ]


def main() -> int:
    """Runs the steps; the exit status says whether all of them held."""
    kind = sys.argv[1] if len(sys.argv) > 1 else "ci"
    if kind not in {"ci", "gate", "test"}:
        print(__doc__)
        return 2
    for leftover in ROOT.glob(".coverage*"):
        leftover.unlink()
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ.get('PATH', '')}"}
    failed: list[str] = []
    began = time.monotonic()
    for name, command in steps(kind):
        start = time.monotonic()
        print(f"--- {name}", flush=True)
        result = subprocess.run(command, cwd=ROOT, env=environment, check=False)
        spent = time.monotonic() - start
        if result.returncode:
            failed.append(name)
        print(
            f"--- {name}: {'FAILED' if result.returncode else 'ok'} in {spent:.1f} s", flush=True
        )
    spent = time.monotonic() - began
    if failed:
        print(f"The gate is closed after {spent:.0f} s: {', '.join(failed)} failed.")
        return 1
    print(f"The gate is open after {spent:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
