"""Dragoman as its users run it: a stored key with limits, ledger, metrics, access log to a file."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lanes import Lane
from process import KEPT, NotReadyError, free_port, running, wait_for

SAME_MODEL = "openai/gpt-4o-mini"
OTHER_MODEL = "anthropic/claude-sonnet-4-5"
SAME = "dragoman, same dialect"
TRANSLATED = "dragoman, translated"
LIMITS = ("--rps", "1000000", "--rpm", "60000000", "--rpd", "2000000000")
"""So high that none is reached; each is counted all the same."""


@dataclass(frozen=True)
class Gateway:
    """A gateway that serves."""

    port: int
    pid: int
    key: str
    start_s: float
    """From the start of the process to the first 200 of ``/ready``."""

    def written(self) -> int:
        """How many requests its ledger holds for the key."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", "/v1/usage", headers={"authorization": f"Bearer {self.key}"})
            return int(json.loads(connection.getresponse().read())["requests"])
        finally:
            connection.close()

    def lane(self, *, translated: bool = False) -> Lane:
        """Its way within the chat dialect, or to Anthropic's."""
        return Lane(
            TRANSLATED if translated else SAME,
            self.port,
            (self.pid,),
            OTHER_MODEL if translated else SAME_MODEL,
            {"authorization": f"Bearer {self.key}"},
        )


def stored_key(home: Path, limits: Sequence[str] = LIMITS) -> str:
    """A key in the gateway's database, with limits."""
    command = [sys.executable, "-m", "dragoman", "keys", "create", "--name", "bench", "--json"]
    made = subprocess.run(
        [*command, *limits],
        env=_environment(home),
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise NotReadyError(f"dragoman keys create failed: {made.stderr[-800:]}")
    return str(json.loads(made.stdout)["key"])


def _environment(home: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "DRAGOMAN_HOME": str(home), "MODE": "local", "LOG_LEVEL": "info"}


@contextmanager
def dragoman(
    folder: Path,
    core: int,
    upstream: int,
    more: Mapping[str, str] | None = None,
    limits: Sequence[str] = LIMITS,
) -> Iterator[Gateway]:
    """A gateway whose providers are the upstream; its state lives in ``folder``.

    ``more`` comes to its environment; ``limits`` are its key's, as options of `dragoman keys create`.
    """
    home = folder / "home"
    home.mkdir(exist_ok=True)
    kept_key = home / "bench.key"
    if not kept_key.exists():
        kept_key.write_text(stored_key(home, limits))
    port = free_port()
    log = folder / "access.log"
    providers = {
        "OPENAI_API_KEY": "sk-bench-0123456789abcdef0123456789abcdef0123456789",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream}/v1",
        "ANTHROPIC_API_KEY": "sk-ant-bench-0123456789abcdef0123456789abcdef0123456789",
        "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{upstream}",
    }
    command = [sys.executable, "-m", "dragoman", "serve", "--local", "--port", str(port)]
    begun = time.perf_counter()
    with running(
        command,
        core=core,
        log=log,
        folder=home,
        environment={**_environment(home), **providers, **(more or {})},
    ) as process:
        wait_for(process, port, log, path="/ready", pause_s=0.005)
        start_s = time.perf_counter() - begun
        yield Gateway(port, process.pid, kept_key.read_text(), start_s)
