"""Two other gateways, from their registries into a scratch folder, in front of the same upstream.

Each is set up as its own documentation says for a proxy without a database; one that cannot be
installed or started is said, and the bench goes on.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from lanes import Lane
from machine import family
from process import NotReadyError, free_port, running, wait_for

LITELLM = "1.106.2"
PORTKEY = "1.15.2"
_PORTKEY_OVERRIDES = {"@hono/node-server": "1.13.8"}
"""With later ones, which its own range allows, every stream fails: "TypeError: immutable"."""
_INSTALL_S = 900
_KEY = "sk-bench-0123456789abcdef"


@dataclass(frozen=True)
class Peer:
    """Another gateway that serves."""

    name: str
    port: int
    pids: tuple[int, ...]
    start_s: float
    same: Lane
    translated: Lane


Start = Callable[[Path, Path, int, int], AbstractContextManager[Peer]]
"""(installed in, folder for its files, core, upstream's port)"""


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=_INSTALL_S
    )
    if done.returncode != 0:
        told = (done.stderr or done.stdout).strip().rpartition("\n")[2]
        raise NotReadyError(f"{command[0]} failed: {told}")


# --------------------------------------------------------------------------- LiteLLM


def install_litellm(scratch: Path) -> Path:
    """A virtual environment with LiteLLM's proxy."""
    folder = scratch / f"litellm-{LITELLM}"
    done = folder / "installed"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _run([sys.executable, "-m", "venv", str(folder / "venv")], folder)
        pip = [str(folder / "venv/bin/python"), "-m", "pip", "install", "--quiet"]
        _run([*pip, "--disable-pip-version-check", f"litellm[proxy]=={LITELLM}"], folder)
        done.touch()
    return folder


@contextmanager
def litellm(installed: Path, folder: Path, core: int, upstream: int) -> Iterator[Peer]:
    """LiteLLM's proxy with a master key, one worker, no database."""
    home = folder / "litellm"
    home.mkdir(exist_ok=True)
    at = f"http://127.0.0.1:{upstream}"
    models = [
        ("gpt-4o-mini", "openai/gpt-4o-mini", f"{at}/v1"),
        ("claude-sonnet-4-5", "anthropic/claude-sonnet-4-5", at),
    ]
    config = {
        "model_list": [
            {
                "model_name": name,
                "litellm_params": {"model": model, "api_base": base, "api_key": _KEY},
            }
            for name, model, base in models
        ],
        "general_settings": {"master_key": _KEY},
        "litellm_settings": {"telemetry": False},
    }
    file = home / "config.yaml"
    file.write_text(json.dumps(config))  # JSON is YAML
    port = free_port()
    log = home / "log"
    program = [str(installed / "venv/bin/litellm"), "--config", str(file)]
    command = [*program, "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    offline = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    begun = time.perf_counter()
    with running(command, core=core, log=log, folder=home, environment=offline) as process:
        wait_for(process, port, log, path="/health/liveliness", patience_s=120)
        start_s = time.perf_counter() - begun
        lane = Lane(
            "LiteLLM, same dialect",
            port,
            family(process.pid),
            "gpt-4o-mini",
            {"authorization": f"Bearer {_KEY}"},
        )
        other = replace(lane, name="LiteLLM, translated", model="claude-sonnet-4-5")
        yield Peer(f"LiteLLM {LITELLM}", port, lane.pids, start_s, lane, other)


# --------------------------------------------------------------------------- Portkey


def install_portkey(scratch: Path) -> Path:
    """A folder with Portkey's gateway."""
    folder = scratch / f"portkey-{PORTKEY}"
    done = folder / "installed"
    if shutil.which("npm") is None:
        raise NotReadyError("npm is not installed")
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        manifest = {"private": True, "overrides": _PORTKEY_OVERRIDES}
        (folder / "package.json").write_text(json.dumps(manifest))
        quiet = ["--no-audit", "--no-fund", "--loglevel=error", "--ignore-scripts"]
        _run(["npm", "install", *quiet, f"@portkey-ai/gateway@{PORTKEY}"], folder)
        done.touch()
    return folder


@contextmanager
def portkey(installed: Path, folder: Path, core: int, upstream: int) -> Iterator[Peer]:
    """Portkey's gateway on Node."""
    home = folder / "portkey"
    home.mkdir(exist_ok=True)
    port = free_port()
    log = home / "log"
    server = installed / "node_modules/@portkey-ai/gateway/build/start-server.js"
    command = ["node", str(server), f"--port={port}", "--headless"]
    at = f"http://127.0.0.1:{upstream}/v1"
    trusted = {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"}
    begun = time.perf_counter()
    with running(command, core=core, log=log, folder=home, environment=trusted) as process:
        wait_for(process, port, log, path="/", patience_s=60)
        start_s = time.perf_counter() - begun
        headers = {"authorization": f"Bearer {_KEY}", "x-portkey-custom-host": at}
        lane = Lane(
            "Portkey, same dialect",
            port,
            family(process.pid),
            "gpt-4o-mini",
            {**headers, "x-portkey-provider": "openai"},
        )
        other = replace(
            lane,
            name="Portkey, translated",
            model="claude-sonnet-4-5",
            headers={**headers, "x-portkey-provider": "anthropic"},
        )
        yield Peer(f"Portkey {PORTKEY}", port, lane.pids, start_s, lane, other)


PEERS: dict[str, tuple[Callable[[Path], Path], Start]] = {
    "LiteLLM": (install_litellm, litellm),
    "Portkey": (install_portkey, portkey),
}
