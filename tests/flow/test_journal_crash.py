"""kill -9, again and again: what a caller was answered is in the ledger, once (M1, M2).

``crash_nursery.py`` raises the children and kills them; here the files they left are compared.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

NURSERY = Path(__file__).with_name("crash_nursery.py")
_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_LINE = re.compile(rf"{_ID}(?: {_ID})?(?: [a-z_]+ \S+ \S+)?$")


def lines(path: Path) -> list[list[str]]:
    """Whole lines; a kill tears a write where a page of the file ends, and the next child writes behind that.

    Of a torn line nothing was done: what it tells of comes after it. The whole line behind it is found.
    """
    found = []
    for line in path.read_text().splitlines():
        # A torn one begins like a whole one, which may begin anywhere behind it.
        whole = next((line[at:] for at in range(len(line)) if _LINE.match(line, at)), None)
        if whole is not None:
            found.append(whole.split())
    return found


def test_a_line_that_a_kill_has_torn_is_none_and_hides_none(tmp_path):
    one, two = (f"01a221ab-5e0{number}-7da4-ae80-798c78233903" for number in (5, 7))
    file = tmp_path / "sent"
    file.write_text(f"{one} {two}\n{one} {two[:11]}{two} {one}\n{two[:9]}")
    assert lines(file) == [[one, two], [two, one]]
    file.write_text(f"{one} complete 3 4\n{two[:30]}{one} failed - -\n{two}\n")
    assert lines(file) == [[one, "complete", "3", "4"], [one, "failed", "-", "-"], [two]]


def run(home: Path, kills: int, seed: int, seconds: int) -> dict[str, dict[str, int]]:
    finished = subprocess.run(
        [sys.executable, NURSERY, home, str(kills), str(seed)],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        # Who is killed tells no coverage, and being watched for it takes most of a short life.
        env={
            **{name: value for name, value in os.environ.items() if "COVERAGE" not in name},
            "PYTHONPATH": str(NURSERY.parents[1]),
        },
    )
    assert (finished.returncode, finished.stderr[-4000:]) == (0, "")
    return json.loads(finished.stdout)


def check(home: Path) -> int:
    """Compares what the children did with what SQL has; how many calls were answered."""
    intended = {words[0] for words in lines(home / "intended")}
    sent = {(words[0], words[1]) for words in lines(home / "sent")}
    acked = lines(home / "acked")
    database = sqlite3.connect(home / "d.sqlite")
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    rows = {
        row[0]: row[1:]
        for row in database.execute(
            "SELECT call_id, status, input_tokens, output_tokens, cost_pico FROM ledger_requests"
        )
    }
    attempts = set(database.execute("SELECT call_id, attempt_id FROM ledger_attempts"))

    assert len({words[0] for words in acked}) == len(acked)
    for call, status, tokens_in, tokens_out in acked:
        assert call in rows, f"the answered call {call} is not in the ledger"
        if status == "complete":
            cost = int(tokens_in) * 150_000 + int(tokens_out) * 600_000
            assert rows[call] == (status, int(tokens_in), int(tokens_out), cost)
        else:
            assert rows[call] == (status, None, None, None)
    assert sent <= attempts, "an attempt that may have cost money is not in the ledger"
    assert set(rows) <= intended
    assert {call for call, _ in attempts} <= set(rows)
    answered = {words[0] for words in acked}
    for call in {call for call, _ in sent} - answered:
        assert rows[call][0] in {"unknown", "complete", "upstream_error"}

    (from_rows,) = database.execute(
        "SELECT COUNT(*), SUM(input_tokens), SUM(output_tokens), SUM(cost_pico) FROM ledger_requests"
    )
    (from_hours,) = database.execute(
        "SELECT SUM(requests), SUM(input_tokens), SUM(output_tokens), SUM(cost_pico)"
        " FROM ledger_hours"
    )
    assert from_hours == from_rows
    database.close()
    left = {path.suffix for path in (home / "journal").iterdir()}
    assert left <= {".torn"}
    return len(acked)


@pytest.mark.gate
@pytest.mark.timeout(330)
@pytest.mark.req("M1", "M2", "D14", "R-USE-008")
def test_a_killed_gateway_has_every_answered_call_in_its_ledger_once(tmp_path):
    report = run(tmp_path, 48, 20_251, 300)
    assert report["kills"] == 48
    assert len(report["reached"]) >= 20
    assert check(tmp_path) > 500


@pytest.mark.gate
@pytest.mark.timeout(900)
@pytest.mark.req("M1", "M2", "D14")
def test_ten_thousand_answered_calls_survive_two_hundred_kills(tmp_path):
    report = run(tmp_path, 200, 4242, 850)
    assert report["kills"] >= 200
    assert check(tmp_path) >= 10_000
