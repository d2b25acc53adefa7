"""Sparingly, and only for who asks for it: one call of a real model through the library (R-TEST-001).

DRAGOMAN_LIVE=1 OPENROUTER_API_KEY=… python -m pytest tests/live
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.live, pytest.mark.req("R-TEST-001")]
MODEL = os.environ.get("DRAGOMAN_LIVE_MODEL", "openrouter/openai/gpt-4o-mini")


@pytest.mark.skipif(os.environ.get("DRAGOMAN_LIVE") != "1", reason="DRAGOMAN_LIVE=1 asks for it")
def test_one_real_call_is_answered_and_has_a_cost(tmp_path):
    program = tmp_path / "flow" / "flow_live.py"
    program.parent.mkdir()
    program.write_text(
        "import dragoman\n"
        f"reply = dragoman.ask(prompt='Say yes.', model={MODEL!r}, max_tokens=16)\n"
        "assert reply.text and reply.tokens and reply.cost_usd is not None, reply\n"
        "print('answered')\n"
    )
    done = subprocess.run(
        [sys.executable, str(program)],
        env={**os.environ, "DRAGOMAN_HOME": str(tmp_path / "home")},
        cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.stdout == "answered\n", done.stderr
