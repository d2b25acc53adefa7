"""Checks the SDKs that the repository holds; one that is not there yet is named and passed over."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = {
    "python": [[sys.executable, "-m", "pytest", "-q", "tests"]],
    "typescript": [["npm", "ci"], ["npm", "run", "typecheck"], ["npm", "run", "test:run"]],
}


def main() -> int:
    """Runs the checks of one SDK."""
    name = sys.argv[1]
    folder = ROOT / "sdk" / name
    if not folder.is_dir():
        print(f"sdk/{name} is not part of this release.")
        return 0
    return max(subprocess.run(step, cwd=folder, check=False).returncode for step in COMMANDS[name])


if __name__ == "__main__":
    sys.exit(main())
