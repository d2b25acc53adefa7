"""The program ``dragoman``, also as ``python -m dragoman``."""

from __future__ import annotations

import sys

from dragoman import __version__


def main() -> int:
    """Runs the command line; the exit code."""
    if sys.argv[1:] == ["--version"]:
        # There at once: of half a second of imports it needs none.
        sys.stdout.write(f"dragoman {__version__}\n")
        return 0
    from dragoman.cli.main import run  # noqa: PLC0415  as above

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
