"""Installs what lock files name, with every hash checked, into the environment it runs in.

    python scripts/install.py [--editable] FILE…

By uv, which takes a tenth of the time that pip does; by pip where uv cannot be had, as where only
pip has been told of a mirror.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PIP = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
UV = [sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable]
LOCKED = ["--quiet", "--no-deps"]
ITSELF = "requirements-installer.txt"


def commands(files: list[str], *, editable: bool) -> list[list[str]]:
    """What the installer is asked: the locked packages, and the project as it stands."""
    locked = [part for name in files for part in ("-r", name)]
    asked = [[*LOCKED, "--require-hashes", *locked]] if locked else []
    return [*asked, [*LOCKED, "--editable", "."]] if editable else asked


def bring_uv() -> bool:
    """Has uv in this environment, unless it cannot be had; whether it runs."""
    if find_spec("uv") is None:
        bring = [*PIP, *LOCKED, "--require-hashes", "-r", ITSELF]
        subprocess.run(bring, cwd=ROOT, check=False, capture_output=True)
    looked = subprocess.run([*UV[:3], "--version"], check=False, capture_output=True)
    return looked.returncode == 0


def main() -> int:
    """Installs; the last installer's exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", help="lock files")
    parser.add_argument("--editable", action="store_true", help="the project itself, too")
    given = parser.parse_args()
    asked = commands(given.files, editable=given.editable)
    if bring_uv() and all(_run([*UV, *each]) == 0 for each in asked):
        return 0
    return max(_run([*PIP, *each]) for each in asked)


def _run(command: list[str]) -> int:
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
