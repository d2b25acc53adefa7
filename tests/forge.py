"""Starts the program without starting Python: a process that has imported everything forks each run of it.

A start of Python with all that a gateway imports takes more than a second of computing, and the stories start some
five hundred programs. A run from here differs from ``python -m dragoman`` in this alone: the imports are done. A parent
of workers forks them, too, instead of having Python start each. Who tests a start, or a command as a user gives it,
or workers themselves, starts the program itself; where coverage is watched all do.
"""

from __future__ import annotations

import atexit
import json
import multiprocessing
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NoReturn

_OPEN: list[tuple[socket.socket, subprocess.Popen[bytes]]] = []
_ONE_AT_A_TIME = threading.Lock()
_CODE_BYTES = 4
_WATCHED = {"COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"}
_ALSO = ("alembic.command", "aiosqlite", "asyncpg", "redis.asyncio", "sqlalchemy.dialects.sqlite.aiosqlite",
         "uvicorn.lifespan.on", "uvicorn.loops.auto")  # fmt: skip
"""What is imported only when a gateway opens its stores and its socket."""


class Forged:
    """A run of the program, with the face of a ``subprocess.Popen``."""

    def __init__(self, pid: int, told: int) -> None:
        """``told``: a pipe that says how it ended."""
        self.pid = pid
        self.returncode: int | None = None
        self._told = told
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """The exit code, or none while it runs."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended.

        Raises:
            subprocess.TimeoutExpired: it has not ended in ``timeout`` seconds.
        """
        if (code := self._look(timeout)) is None:
            raise subprocess.TimeoutExpired(f"dragoman ({self.pid})", timeout or 0)
        return code

    def _look(self, timeout: float | None) -> int | None:
        with self._lock:
            if self.returncode is None and select.select([self._told], [], [], timeout)[0]:
                code = os.read(self._told, _CODE_BYTES)
                assert len(code) == _CODE_BYTES, "the forge is gone"
                self.returncode = int.from_bytes(code, "big", signed=True)
                os.close(self._told)
            return self.returncode

    def send_signal(self, number: int) -> None:
        """Sends a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it at once."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Asks it to end."""
        self.send_signal(signal.SIGTERM)


def spawn(
    arguments: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    stdout: IO[Any],
    stderr: IO[Any],
    stdin: IO[Any] | None = None,
    anew: bool = False,
) -> Forged | subprocess.Popen[bytes]:
    """A run of ``dragoman`` with these arguments; ``anew``: not forked, and so is one that is to find other modules."""
    if anew or "PYTHONPATH" in env or _WATCHED & set(os.environ):
        given = subprocess.DEVNULL if stdin is None else stdin
        return subprocess.Popen(
            [sys.executable, "-m", "dragoman", *arguments],
            env=dict(env), cwd=cwd, stdin=given, stdout=stdout, stderr=stderr,
        )  # fmt: skip
    order = {"arguments": list(arguments), "environment": dict(env), "folder": str(cwd)}
    told, telling = os.pipe()
    with _ONE_AT_A_TIME, Path(os.devnull).open("rb") as nothing:
        control = _forge()
        files = [stdin or nothing, stdout, stderr]
        socket.send_fds(
            control, [json.dumps(order).encode() + b"\n"], [*(f.fileno() for f in files), telling]
        )
        os.close(telling)
        pid = int.from_bytes(control.recv(_CODE_BYTES, socket.MSG_WAITALL), "big")
    assert pid, "the forge is gone"
    return Forged(pid, told)


def run(
    arguments: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    given: str = "",
    timeout: float = 60,
) -> subprocess.CompletedProcess[str]:
    """A command, run to its end: what it said, and its exit code.

    Raises:
        subprocess.TimeoutExpired: it has not ended in ``timeout`` seconds, and was ended.
    """
    with (
        tempfile.TemporaryFile() as told,
        tempfile.TemporaryFile() as said,
        tempfile.TemporaryFile() as errors,
    ):
        told.write(given.encode())
        told.seek(0)
        process = spawn(arguments, env=env, cwd=cwd, stdin=told, stdout=said, stderr=errors)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
            raise
        said.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(
            list(arguments), code, said.read().decode(), errors.read().decode()
        )


def _forge() -> socket.socket:
    """The control of the forge, which is started where nobody has needed it before."""
    if not _OPEN:
        ours, theirs = socket.socketpair()
        with theirs:
            forge = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={
                    name: os.environ[name]
                    for name in ("PATH", "HOME", "LANG", "TMPDIR")
                    if name in os.environ
                },
            )
        _OPEN.append((ours, forge))
        atexit.register(_close)
    return _OPEN[0][0]


def _close() -> None:
    control, forge = _OPEN.pop()
    control.close()
    forge.wait(10)


def _serve(control: socket.socket) -> int:
    """Forks a run for each order until nobody is there to give one; in a run, its exit code."""
    dice = _prepare()
    waking, woken = os.pipe()
    os.set_blocking(waking, False)
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running: dict[int, int] = {}
    while True:
        ready = select.select([control, waking], [], [])[0]
        if waking in ready:
            os.read(waking, 4096)
            _reap(running)
        if control not in ready:
            continue
        line, files = _order(control)
        if not line:
            return 0
        pid = os.fork()
        if not pid:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for number, file in enumerate(files[:3]):
                os.dup2(file, number)
            for file in (*files, *running.values(), waking, woken):
                os.close(file)
            control.close()
            _end(_live(dice, **json.loads(line)))
        for file in files[:3]:
            os.close(file)
        running[pid] = files[3]
        control.sendall(pid.to_bytes(_CODE_BYTES, "big"))


def _order(control: socket.socket) -> tuple[bytes, list[int]]:
    line, files, _, _ = socket.recv_fds(control, 65_536, 4)
    while line and not line.endswith(b"\n"):
        line += control.recv(65_536)
    return line, files


def _reap(running: dict[int, int]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        telling = running.pop(pid)
        code = os.waitstatus_to_exitcode(status).to_bytes(_CODE_BYTES, "big", signed=True)
        with suppress(BrokenPipeError):  # whoever started it asks no more
            os.write(telling, code)
        os.close(telling)


def _prepare() -> list[random.Random]:
    """Imports all that a run may need; whatever draws lots in it."""
    import gc
    import importlib
    import pkgutil

    import dragoman

    folders = Path(dragoman.__file__).parent
    names = [each.name for each in pkgutil.walk_packages([str(folders)], "dragoman.")]
    for name in (*names, *_ALSO):
        if name.endswith("__main__") or ".migrations" in name:
            continue
        try:
            importlib.import_module(name)
        except ImportError:
            continue  # one of the extras
    gc.collect()
    dice = [each for each in gc.get_objects() if isinstance(each, random.Random)]
    gc.freeze()
    return dice


def _live(
    dice: list[random.Random], arguments: list[str], environment: dict[str, str], folder: str
) -> int:
    """The program, as ``python -m dragoman`` would run it."""
    from dragoman.__main__ import main

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    for each in dice:
        each.seed()  # else all runs would draw the same
    sys.argv = ["dragoman", *arguments]
    _fork_workers(dice)
    try:
        return main()
    except BaseException:  # noqa: BLE001  as Python ends a program that raises
        traceback.print_exc()
        return 1


def _fork_workers(dice: list[random.Random]) -> None:
    """Has a parent of workers fork them: a worker then begins as this run did."""
    import uvicorn._subprocess as uvicorn_subprocess

    parent = os.getpid()

    def begin() -> None:
        """What Python would have begun anew: signals as they were, and lots of its own."""
        if os.getppid() != parent:
            return
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        for each in dice:
            each.seed()

    os.register_at_fork(after_in_child=begin)
    uvicorn_subprocess.spawn = multiprocessing.get_context("fork")  # type: ignore[assignment]


def _end(code: int) -> NoReturn:
    """Ends as Python would, but for taking every module apart, which takes longer than most commands."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.path[:] = [path for path in sys.path if path != str(Path(__file__).parent)]
    sys.exit(_serve(socket.socket(fileno=int(sys.argv[1]))))
