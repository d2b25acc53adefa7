"""The Vercel AI SDK, run by node: a streamed tool loop of two turns through a foreign provider."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from lacking import lacking
from servers import KEY

FOLDER = Path(__file__).parent / "vercel"


@pytest.fixture(scope="module")
def program():
    """Its own lock file says what is installed, once."""
    if not (shutil.which("node") and shutil.which("npm")):
        lacking("node or npm is not here: the Vercel AI SDK cannot run")
    if not (FOLDER / "node_modules" / "ai").is_dir():
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=FOLDER, check=True, capture_output=True, timeout=100)
    return FOLDER / "loop.mjs"


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        ("openai", "anthropic/claude-sonnet-4-5"),
        ("chat", "anthropic/claude-sonnet-4-5"),
        ("anthropic", "openai/gpt-4o-mini"),
    ],
)
def test_a_tool_loop_is_streamed(gateway, program, kind, model):
    command = ["node", str(program), kind, f"{gateway.url}/v1", KEY, model]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "said": "The tool answered: rain in mock location",
        "failures": [],
    }
