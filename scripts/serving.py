"""Starts a gateway as a child process and waits until it can serve; shared by the scripts here."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def start(port: int, home: Path, **environment: str) -> subprocess.Popen[bytes]:
    """A gateway in local mode on the port, its state in ``home``."""
    command = [sys.executable, "-m", "dragoman", "serve", "--local", "--port", str(port)]
    return subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "DRAGOMAN_HOME": str(home), **environment}
    )


def wait_ready(process: subprocess.Popen[bytes], port: int, retries: int, pause_s: float) -> bool:
    """Whether ``/ready`` answered 200 within the given number of looks."""
    for _ in range(retries):
        if process.poll() is not None:
            return False
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return True
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(pause_s)
    return False


def stop(process: subprocess.Popen[bytes], patience_s: float = 15) -> int:
    """Ends the process politely; its exit status."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode


@contextmanager
def gateway(port: int, home: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A gateway that serves while the block runs."""
    process = start(port, home, **environment)
    try:
        if not wait_ready(process, port, 600, 0.1):
            raise RuntimeError("the gateway did not become ready")
        yield process
    finally:
        stop(process)
