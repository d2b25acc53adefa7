"""What the package says of itself at its door."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import dragoman

ROOT = Path(__file__).resolve().parents[2]


def test_everything_that_is_exported_is_there_and_named_once():
    assert len(set(dragoman.__all__)) == len(dragoman.__all__)
    for name in dragoman.__all__:
        assert getattr(dragoman, name) is not None


def test_nothing_public_is_left_out_of_what_is_exported():
    """Modules of the package become attributes once somebody imports them; they are no exports."""
    code = (
        "import dragoman, types\n"
        "own = {n for n, v in vars(dragoman).items() if not n.startswith('_')}\n"
        "own -= {'annotations'} | {n for n in own if isinstance(vars(dragoman)[n], types.ModuleType)}\n"
        "print(sorted(own - set(dragoman.__all__)))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert told.stdout.strip() == "[]"


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError):
        dragoman.no_such_name  # noqa: B018  the lookup is the point


def test_the_version_is_the_projects():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert dragoman.__version__ == project["version"]
    told = subprocess.run(
        [sys.executable, "-m", "dragoman", "--version"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert project["version"] in told.stdout
