"""The documented table of outcomes is this test: each of its rows is made to happen."""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import pytest

from outages import Row, read_table, ward

ROWS = read_table()
CASES = [(row, way) for row in ROWS for way in row.ways]


def name_of(value) -> str:
    return value.failure if isinstance(value, Row) else value


@pytest.fixture(scope="module")
def seen(mock, tmp_path_factory) -> dict[tuple[str, str], "Future[Row]"]:
    """What became of every case; many at a time, as most of them wait."""
    with (
        ward(mock, tmp_path_factory.mktemp("outcomes"), ROWS) as place,
        ThreadPoolExecutor(12) as pool,
    ):
        yield {(row.script, way): pool.submit(place.observe, row, way) for row, way in CASES}


@pytest.mark.req("R-REL-001", "R-REL-003", "R-REL-004", "R-REL-008", "R-ADD-025", "R-ADD-027")
@pytest.mark.parametrize(("row", "way"), CASES, ids=name_of)
def test_what_the_table_says_is_what_happens(seen, row, way):
    assert seen[row.script, way].result(90).line == replace(row, reply=way).line


def test_the_table_has_every_kind_of_failure_in_every_phase():
    scripts = {(row.script, way) for row, way in CASES}
    assert len(scripts) == len(CASES), "a row stands there once"
    for status in (400, 401, 402, 403, 404, 408, 413, 422, 500, 502, 503, 504, 529):
        assert {(f"status-{status}", "whole"), (f"status-{status}", "stream")} <= scripts
    for script in ("refused", "black hole", "no TLS", "drop-close", "drop-reset", "hang"):
        assert {(script, "whole"), (script, "stream")} <= scripts
    assert len(CASES) >= 80
