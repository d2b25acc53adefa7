"""The image's recipe agrees with the project: what it copies is there, and what it promises holds.

No image is built here: that needs a daemon. The probe, which is a program, is run.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dragoman.config.settings import Settings
from servers import Server, free_port

pytestmark = pytest.mark.req("R-DEV-007")

ROOT = Path(__file__).parents[2]
RECIPE = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
COMPOSE = (ROOT / "docker-compose.yaml").read_text(encoding="utf-8")
LAST_STAGE = RECIPE[RECIPE.rindex("\nFROM ") :]


def test_what_is_copied_is_in_the_checkout_and_not_ignored():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", RECIPE, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    assert copied
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert set(copied) & set(ignored) == set()
    assert {".env", ".git"} <= set(ignored)


def test_it_runs_without_root_and_gets_its_signals_itself():
    assert re.search(r"^USER dragoman$", LAST_STAGE, re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["dragoman"\]$', LAST_STAGE, re.MULTILINE)
    assert re.search(r'^CMD \["serve"\]$', LAST_STAGE, re.MULTILINE)


def test_it_listens_on_8080_and_compose_publishes_it_to_this_machine_alone():
    assert re.search(r"^ENV .*\bPORT=8080\b", LAST_STAGE, re.MULTILINE)
    assert re.search(r"^EXPOSE 8080$", LAST_STAGE, re.MULTILINE)
    assert re.findall(r'^\s*- "(.*:8080)"$', COMPOSE, re.MULTILINE) == ["127.0.0.1:8080:8080"]


def test_compose_waits_longer_than_streams_may_drain():
    patience = re.search(r"^\s*stop_grace_period: (\d+)s$", COMPOSE, re.MULTILINE)
    assert patience is not None
    assert int(patience[1]) > Settings().drain_timeout_s


def test_the_probe_tells_a_ready_server_from_none(gateway: Server):
    found = re.search(r"^HEALTHCHECK .*?CMD (\[.*\])$", LAST_STAGE, re.MULTILINE)
    assert found is not None
    program, *arguments = json.loads(found[1])
    assert program == "python"
    ends = []
    for port in (gateway.port, free_port()):
        environment = {**os.environ, "PORT": str(port)}
        ends.append(
            subprocess.run(
                [sys.executable, *arguments],
                env=environment, check=False, capture_output=True, timeout=30,
            ).returncode
        )  # fmt: skip
    assert ends == [0, 1]
