"""The gate gives a failed test one more chance, alone, and no more than that; and what it runs the tests with."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

STORY = """
from pathlib import Path


def test_that_holds():
    pass


def test_that_a_neighbour_disturbs():
    seen = Path(__file__).with_name("seen")
    if not seen.exists():
        seen.touch()
        raise AssertionError("too late")
"""
WRONG = "\n\ndef test_that_is_wrong():\n    assert 1 == 2\n"
STEP = [
    sys.executable,
    "-m",
    "pytest",
    "-q",
    "-o",
    "cache_dir=.pytest_cache/step",
    "test_story.py",
]


@pytest.fixture
def gate(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("gate", ROOT / "scripts" / "gate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return module


def said(gate, capfd, tmp_path, story, step=STEP):
    (tmp_path / "test_story.py").write_text(story, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    # What others bring to pytest takes longer to import than these stories to run.
    plugins = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pytest_timeout"}
    failed = gate.run({"step": step}, {**os.environ, **plugins})
    return failed, capfd.readouterr().out


def test_what_a_neighbour_disturbed_holds_alone_and_is_said_to_have_failed(gate, capfd, tmp_path):
    failed, out = said(gate, capfd, tmp_path, STORY)
    assert failed == []
    assert "once more, alone: test_story.py::test_that_a_neighbour_disturbs" in out
    assert "1 passed" in out.partition("once more, alone")[2]


def test_what_fails_alone_as_well_closes_the_gate(gate, capfd, tmp_path):
    failed, out = said(gate, capfd, tmp_path, STORY + WRONG)
    assert failed == ["step"]
    assert "1 failed, 1 passed" in out.partition("once more, alone")[2]


def test_many_failures_are_nobody_elses_doing(gate, capfd, tmp_path, monkeypatch):
    monkeypatch.setattr(gate, "MOST_AGAIN", 1)
    failed, out = said(gate, capfd, tmp_path, STORY + WRONG)
    assert failed == ["step"]
    assert "once more" not in out


@pytest.mark.parametrize("command", ["raise SystemExit(1)", "import os; os._exit(1)"])
def test_a_step_that_is_no_test_fails_at_once(gate, capfd, tmp_path, command):
    failed, out = said(gate, capfd, tmp_path, STORY, [sys.executable, "-c", command])
    assert failed == ["step"]
    assert "once more" not in out


def test_compiled_modules_are_kept_and_before_a_release_laws_are_tried_with_all_examples(
    gate, monkeypatch
):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.delenv("DRAGOMAN_TEST_EXAMPLES", raising=False)
    for kind, examples in (("ci", None), ("test", None), ("gate", "all")):
        environment = gate.surroundings(kind)
        assert environment.get("DRAGOMAN_TEST_EXAMPLES") == examples
        assert "PYTHONDONTWRITEBYTECODE" not in environment


@pytest.mark.parametrize(("said", "tried"), [("all", [300, 30, 4]), ("", [60, 10, 4])])
def test_a_law_is_tried_with_a_fifth_of_its_examples_or_with_all(said, tried):
    """Never with none, and never with more than it names."""
    code = "import sampling; print(*map(sampling.examples, (300, 30, 4)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "DRAGOMAN_TEST_EXAMPLES": said, "PYTHONPATH": str(ROOT / "tests")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert list(map(int, done.stdout.split())) == tried
