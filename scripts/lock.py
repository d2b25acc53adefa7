"""Renews the lock files: every package with its version and hashes, for every platform.

The files name no index, so that a mirror works as well. Releases younger than a week are not
taken: most poisoned ones are found within days.
"""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = {
    "requirements.txt": [],
    "requirements-all.txt": ["--extra", "all"],
    "requirements-dev.txt": ["--extra", "all", "--group", "dev"],
    "requirements-programs.txt": ["--group", "programs", "--constraint", "requirements-dev.txt"],
}
UNDATED = ("helm-binary",)
"""Of these an index may not say when they were released; their versions are read before they are taken."""
INSTALLER = "uv"
"""What installs the rest: it has a file of its own, cut out of the others'."""


def main() -> int:
    """Compiles each file."""
    week_ago = (datetime.now(UTC) - timedelta(days=7)).date().isoformat()
    for name, options in FILES.items():
        command = [
            sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", *options,
            "--universal", "--python-version", "3.11", "--generate-hashes", "--no-header",
            "--no-emit-index-url", "--no-annotate", "--quiet", "--exclude-newer", week_ago,
            *(f"--exclude-newer-package={package}=false" for package in UNDATED),
            "--no-emit-package", "dragoman", "--output-file", name,
        ]  # fmt: skip
        subprocess.run(command, cwd=ROOT, check=True)
    locked = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8")
    piece = re.search(rf"^{INSTALLER}==(?:.*\\\n)*.*\n", locked, re.MULTILINE)
    assert piece is not None, f"{INSTALLER} is needed to develop, too"
    (ROOT / "requirements-installer.txt").write_text(piece[0], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
