"""The page and the suite say the same: every story is a row, every row is a story."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.conformance.rig import CLIENTS, PAGE, page_rows
from tests.conformance.test_transport_faults import MALFORMED

from dragoman.transport.http import DEFAULT

SUITE = sorted(Path(__file__).parent.glob("test_transport*.py"))
SAME = ("yes", "ours")


def stories() -> dict[str, str]:
    """The source of each test that runs over all clients, by its sentence."""
    found = {}
    for file in SUITE:
        text = file.read_text()
        for node in ast.parse(text).body:
            if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test_"):
                source = ast.get_source_segment(text, node)
                assert source is not None
                found[node.name.removeprefix("test_").replace("_", " ")] = source
    return found


def test_every_story_of_the_suite_is_a_row_of_the_page_and_the_other_way_round():
    named = set(page_rows()) - set(MALFORMED) - {"what", "what it sends", "---"}
    assert named == set(stories())


def test_where_a_story_treats_the_clients_differently_the_page_says_so():
    for sentence, source in stories().items():
        row = page_rows()[sentence]
        if "client ==" in source or "client !=" in source:
            assert len(set(row.values())) > 1, sentence
        else:
            assert all(cell.startswith(SAME) for cell in row.values()), sentence


def test_everything_that_is_not_http_is_in_the_table_of_outcomes():
    assert set(MALFORMED) <= set(page_rows())


def test_the_page_names_the_default_and_the_command_that_measures():
    text = PAGE.read_text()
    assert f"**{DEFAULT} is the default**" in text
    assert "python tests/conformance/measure_transport.py" in text
    for client in CLIENTS:
        assert f"| {client} | " in text
