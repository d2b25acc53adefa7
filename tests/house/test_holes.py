"""Each test that the page about published holes names is there under that name."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_every_hole_is_shown_by_a_test_that_is_there():
    page = (ROOT / "docs" / "published-holes.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("|")][2:]
    assert len(rows) >= 20
    for row in rows:
        found = NAMED.findall(row)
        assert found, row
        for file, name in found:
            source = (ROOT / file).read_text(encoding="utf-8")
            assert re.search(rf"^(async )?def {name}\(", source, re.MULTILINE), (file, name)
