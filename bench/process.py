"""Processes of a bench run: started on their core, ready, and ended by their number, whatever happens."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from machine import pin

PATIENCE_S = 60.0
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")
"""What of the caller's environment a process sees: no key and no setting of theirs."""


class NotReadyError(RuntimeError):
    """A process ended, or did not answer in time."""


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    command: list[str],
    *,
    core: int,
    log: Path,
    folder: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process on its core while the block runs; standard output and errors go to ``log``.

    It has a session of its own: Ctrl-C reaches the bench alone, which then ends it here.
    """
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**kept, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: pin(0, core),  # noqa: PLW1509  the bench has one thread
        )
    try:
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes], patience_s: float = 8.0) -> None:
    """Ends a process: politely, then not."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(patience_s)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()


def wait_for(
    process: subprocess.Popen[bytes],
    port: int,
    log: Path,
    *,
    path: str | None = None,
    patience_s: float = PATIENCE_S,
    pause_s: float = 0.02,
) -> None:
    """Waits until the port accepts, or until ``path`` answers 200.

    Raises:
        NotReadyError: with the end of the log.
    """
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise NotReadyError(f"ended with status {process.returncode}: {_tail(log)}")
        if _answers(port, path):
            return
        time.sleep(pause_s)
    raise NotReadyError(f"did not answer within {patience_s:g} s: {_tail(log)}")


def _answers(port: int, path: str | None) -> bool:
    try:
        if path is None:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return True
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == http.HTTPStatus.OK
        finally:
            connection.close()
    except (OSError, http.client.HTTPException):
        return False


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-1500:] if log.exists() else ""


def once(port: int, path: str, body: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
    """One request, its answer read to the end: to see that what will be measured is right."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        sent = {"content-type": "application/json", **headers}
        connection.request("POST", path, body.encode(), sent)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
