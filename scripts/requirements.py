"""Prints which numbered requirements a test names, and which are left.

The numbers are read from the requirements document where it is (``REQUIREMENTS`` or the default
place beside the checkout); without it only the named ones are listed.
"""

from __future__ import annotations

import os
import re
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ID = re.compile(r"R-[A-Z0-9]+-\d{3}")


def named() -> dict[str, list[str]]:
    """Requirement → the test files that name it in a mark."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for mark in set(ID.findall(path.read_text(encoding="utf-8"))):
            found[mark].append(str(path.relative_to(ROOT)))
    return found


def main() -> int:
    """The report."""
    document = Path(os.environ.get("REQUIREMENTS", ROOT / "../shared/requirements.md"))
    shown = named()
    if not document.is_file():
        print(f"No requirements document at {document}; {len(shown)} are named by tests:")
        print(" ".join(sorted(shown)))
        return 0
    every = sorted(set(ID.findall(document.read_text(encoding="utf-8"))))
    groups: dict[str, list[str]] = defaultdict(list)
    for item in every:
        groups[item.rsplit("-", 1)[0]].append(item)
    for group, items in sorted(groups.items()):
        left = [item.rsplit("-", 1)[1] for item in items if item not in shown]
        done = len(items) - len(left)
        print(
            f"{group:9} {done:3} of {len(items):3}"
            + (f"   left: {' '.join(left)}" if left else "")
        )
    print(
        f"{sum(item in shown for item in every)} of {len(every)} requirements are named by a test."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
