"""The program ``dragoman``, also as ``python -m dragoman``."""

from __future__ import annotations

import sys

from dragoman.cli.main import run


def main() -> int:
    """Runs the command line; the exit code."""
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
