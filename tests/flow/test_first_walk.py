"""A first-time user's walk from ``init`` to a call, in the README's own words (R-DOC-004)."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from servers import free_port, mock_server

README = Path(__file__).resolve().parents[2] / "README.md"
KEY = "sk-0123456789abcdef0123456789abcdef0123456789abcdef"


def walk():
    block = re.search(r"<!-- a first walk:.*?```sh\n(.*?)```", README.read_text(), re.DOTALL)[1]
    return [line.partition("  #")[0].strip() for line in block.splitlines() if line.strip()]


def is_ready(port):
    code = f"import urllib.request as u; u.urlopen('http://127.0.0.1:{port}/ready', timeout=2)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False, timeout=20
    )
    return done.returncode == 0


@pytest.mark.req("R-DOC-004", "R-CLI-008", "R-CLI-010", "R-CLI-003", "R-CLI-007", "R-CRED-004")
def test_a_stranger_walks_from_nothing_to_a_call_by_the_readme(tmp_path):
    port = free_port()
    with mock_server(tmp_path) as mock:
        environment = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(tmp_path),
            "OPENAI_BASE_URL": f"http://127.0.0.1:{mock.port}/openai/v1",
            "PORT": str(port),
            "LANG": "C.UTF-8",
        }
        (tmp_path / "key.txt").write_text(f"{KEY}\n")
        told, server = {}, None
        steps = walk()
        try:
            for step in steps:
                if step.endswith("&"):
                    log = (tmp_path / "serve.log").open("wb")
                    server = subprocess.Popen(
                        ["sh", "-c", f"exec {step.removesuffix('&')}"],
                        env=environment, cwd=tmp_path, stdout=log, stderr=log,
                    )  # fmt: skip
                    log.close()
                    until = time.monotonic() + 40
                    while not is_ready(port):
                        assert time.monotonic() < until, (tmp_path / "serve.log").read_text()
                        time.sleep(0.2)
                    environment["DRAGOMAN_BASE_URL"] = f"http://127.0.0.1:{port}"
                    continue
                done = subprocess.run(
                    ["sh", "-c", step], env=environment, cwd=tmp_path, capture_output=True, text=True,
                    timeout=90, check=False,
                )  # fmt: skip
                assert done.returncode == 0, f"{step}\n{done.stdout}{done.stderr}"
                assert KEY not in done.stdout + done.stderr
                told[" ".join(step.split()[:2])] = done.stdout
        finally:
            if server is not None:
                os.kill(server.pid, signal.SIGTERM)
                server.wait(30)
    assert [step.split()[1] for step in steps] == [
        "init", "set-key", "validate", "call", "status", "serve", "chat",
    ]  # fmt: skip
    assert "Now: dragoman serve --env-file .env" in told["dragoman init"]
    assert "You said: Hello!" in told["dragoman call"]
    assert "You said: Hello!" in told["dragoman chat"]
    assert re.search(r"total_requests\W+1\b", told["dragoman status"])
    # Only its owner reads what a walk leaves behind.
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0
    stored = tmp_path / ".secrets" / "dragoman" / ".env"
    assert KEY in stored.read_text()
    assert stored.stat().st_mode & 0o077 == 0
