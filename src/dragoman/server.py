"""The processes that serve: one worker, or several behind one socket, each of which drains on a signal.

``serve`` is what the command line calls. SIGTERM and SIGINT drain, SIGHUP reads the configuration file
again; several workers have a parent, which passes both on and replaces who dies.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from pathlib import Path
from socket import socket

import uvicorn
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import multiprocess

from dragoman.app import Application
from dragoman.config.load import config_path, load_settings
from dragoman.config.running import (
    RunningGateway,
    announce,
    in_force,
    put_in_force,
    taken_by,
)
from dragoman.config.settings import Settings, check_serving
from dragoman.config.terminal import Terminal
from dragoman.respawn import Pace
from dragoman.surface.connection import Connection, State
from dragoman.surface.listening import take_address
from dragoman.telemetry.foreign import foreign_config
from dragoman.telemetry.siblings import workers_folder

WORKERS = "DRAGOMAN_WORKERS"
WORKERS_FOLDER = "DRAGOMAN_WORKERS_FOLDER"
ENV_FILE = "DRAGOMAN_ENV_FILE"
KEEP_ALIVE_S = 75
START_S = 120.0
"""How long a worker may take until it answers for the first time, on a machine that is busy elsewhere."""
BACKLOG = 4096
PING_S = 20.0
"""How long a WebSocket may be silent until it is asked whether it is there, and how long that may take (S13)."""


class _Server(uvicorn.Server):
    """uvicorn's server, which drains on a signal and then ends with status 0.

    The library raises the signal again after a graceful end; a supervisor would take that
    for a crash. ``/ready`` says 503 from the first moment on.
    """

    def __init__(self, config: uvicorn.Config, application: Application) -> None:
        super().__init__(config)
        self.server_state: State = State()
        self._application = application
        self._terminal = Terminal()

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Opens the application, listens, and says so."""
        await super().startup(sockets)
        assert sockets, "the address was taken before"
        self._application.greet(sockets[0].getsockname()[1])

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handles SIGTERM and SIGINT while serving."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._drain, number)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        yield

    def _hang_up(self) -> None:
        if self._terminal.is_gone():
            self._drain(signal.SIGHUP)
        else:
            self._application.reload()

    def _drain(self, number: int) -> None:
        """Begins to end; SIGTERM leaves balancers their time, a person at the keyboard has none to wait."""
        if number == signal.SIGINT and self.should_exit:
            self.force_exit = True
        delay = self._application.settings.drain_delay_s
        begun, self._application.draining = self._application.draining, True
        self.server_state.leaving = True
        if number != signal.SIGTERM or not delay:
            self._leave()
        elif not begun:
            # A group's signal reaches a worker twice, from outside and from its parent: the first counts.
            asyncio.get_running_loop().call_later(delay, self._leave)

    def _leave(self) -> None:
        self.should_exit = True


class _Worker(multiprocess.Process):
    """One of several processes; it serves as a single one does."""

    asked: float | None = None
    """When it was first asked whether it lives, in monotonic seconds."""
    has_answered: bool = False

    def is_alive(self, timeout: float = 5) -> bool:
        """Whether it lives; one that is only starting has more time, and nobody waits for it meanwhile.

        Its imports alone may outlast the timeout. Killed for that, its successor would start all over on a
        machine that is no less busy, and so for ever.
        """
        if self.has_answered or not self.process.is_alive():
            return super().is_alive(timeout)
        try:
            if self.asked is None:
                self.asked = time.monotonic()
                self.parent_conn.send(b"ping")
            if self.parent_conn.poll(0):
                self.parent_conn.recv()
                self.has_answered = True
        except (OSError, EOFError):
            return False
        return self.has_answered or time.monotonic() - self.asked < START_S

    def is_ready(self, timeout: float = 5) -> bool:
        """Whether it serves."""
        return self.has_answered and super().is_ready(timeout)

    def target(self, sockets: list[socket] | None = None) -> None:
        """What the new process runs."""
        # A hang-up before it serves is no reason to die: it begins with what is in force anyway.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        application = worker()
        self.config.app = application
        self._server = _Server(self.config, application)
        threading.Thread(target=_leave_with_parent, daemon=True).start()
        super().target(sockets)


class _Supervisor(multiprocess.Multiprocess):
    """The parent of the workers: replaces who dies, and passes a SIGHUP on to one, which tells the others."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket], folder: Path) -> None:
        super().__init__(config, sockets)
        self._terminal = Terminal()
        self._folder = folder
        self._paces: dict[int, Pace] = {}
        self.has_served = False
        """Whether any worker has ever begun to serve."""

    def keep_subprocess_alive(self) -> None:
        """Replaces dead and hung workers, at once or, where they keep dying, after a pause."""
        for place, process in enumerate(self.processes):
            if self.should_exit.is_set():
                return
            pace = self._paces.setdefault(place, Pace(time.monotonic()))
            if pace.due is not None:
                if time.monotonic() >= pace.due:
                    self._replace(place, pace)
                continue
            if process.is_alive(self.config.timeout_worker_healthcheck):
                self.has_served = self.has_served or process.is_ready()
                continue
            process.kill()
            process.join()
            # Before any has served, the next would fail the same way. Later it is the database that is
            # away, or the disk that is full, and those that still serve must not end for it.
            if process.exitcode == STARTUP_FAILURE and not self.has_served:
                self.should_exit.set()
                return
            pause = pace.died(time.monotonic())
            multiprocess.logger.warning(
                f"Worker {process.pid} ended with {process.exitcode}; another begins in {pause:g} s."
            )
            if not pause:
                self._replace(place, pace)

    def _replace(self, place: int, pace: Pace) -> None:
        process = _Worker(self.config, self.sockets)
        process.start()
        self.processes[place] = process
        pace.began(time.monotonic())

    def handle_hup(self) -> None:
        """The library would end all workers, and streams with them."""
        if self._terminal.is_gone():
            self.should_exit.set()
            return
        # One that is only starting does not listen to signals yet, and one that is dead never will again.
        listening = {pid for pid, _ in taken_by(self._folder)}
        living = [each.pid for each in self.processes if each.exitcode is None]
        ready = [pid for pid in living if pid in listening]
        if ready and ready[0] is not None:
            os.kill(ready[0], signal.SIGHUP)
        else:
            self.signal_queue.append(signal.SIGHUP)


def _leave_with_parent() -> None:
    """Drains once the parent is gone: a killed one tells nobody, and its workers would hold the port for ever."""
    parent = parent_process()
    assert parent is not None, "workers are begun by a parent"
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def server_config(application: ASGIApp | str, settings: Settings) -> uvicorn.Config:
    """How uvicorn serves: httptools and uvloop, no access log; who wants a WebSocket asks ``Connection``."""
    return uvicorn.Config(
        application,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=Connection,
        ws="none",
        ws_max_size=settings.max_body_bytes,
        ws_per_message_deflate=False,
        ws_ping_interval=PING_S,
        ws_ping_timeout=PING_S,
        interface="asgi3",
        lifespan="on",
        log_config=foreign_config(settings.level, settings.log_format),
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(settings.drain_timeout_s),
        workers=settings.workers,
    )


def serve(settings: Settings, env_file: Path | None = None) -> int:
    """Serves until a signal; the exit status.

    Raises:
        ConfigError: the configuration may not be served with.
    """
    check_serving(settings)
    if settings.workers > 1:
        return _serve_many(settings, env_file)
    listening = take_address(settings.host, settings.port)
    with _home_folder(settings, listening) as folder:
        application = Application(settings, env_file, folder=folder)
        server = _Server(server_config(application, settings), application)
        server.run(listening)
    return 0 if server.started else 1


@contextmanager
def _home_folder(settings: Settings, listening: list[socket]) -> Iterator[Path]:
    """The folder in which commands and workers find this gateway, there while it serves."""
    with workers_folder(settings.dragoman_home) as folder:
        put_in_force(folder, settings.file_text)
        port = listening[0].getsockname()[1]
        announce(folder, RunningGateway(os.getpid(), port, str(config_path().absolute())))
        yield folder


def _serve_many(settings: Settings, env_file: Path | None) -> int:
    """Several processes behind one socket; each reads its settings again."""
    # The supervisor has no other place to say what a worker is, and its own does not drain as ours.
    multiprocess.Process = _Worker  # type: ignore[misc]  # a subclass in the place of its class
    os.environ.update(
        {
            "MODE": settings.mode,
            "HOST": settings.host,
            "PORT": str(settings.port),
            "DRAGOMAN_HOME": str(settings.dragoman_home),
            WORKERS: str(settings.workers),
        }
    )
    if settings.bind_host is not None:
        os.environ["BIND_HOST"] = settings.host  # it goes before HOST, and a flag before both
    if env_file is not None:
        os.environ[ENV_FILE] = str(env_file)
    config = server_config("dragoman.server:worker", settings)
    listening = take_address(settings.host, settings.port)
    with _home_folder(settings, listening) as folder:
        os.environ[WORKERS_FOLDER] = str(folder)
        supervisor = _Supervisor(config, listening, folder)
        supervisor.run()
    # One that could not start has told why, and would fail the same way every time (K5).
    failed = any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes)
    return STARTUP_FAILURE if failed and not supervisor.has_served else 0


def worker() -> Application:
    """The application of one of several worker processes."""
    file = os.environ.get(ENV_FILE)
    env_file = Path(file) if file else None
    workers = int(os.environ.get(WORKERS, "1"))
    folder = os.environ.get(WORKERS_FOLDER)
    # All workers serve by the file that was accepted, whatever stands in it meanwhile.
    text = in_force(Path(folder)) if folder else None
    return Application(
        load_settings(env_file=env_file, text=text),
        env_file,
        workers=workers,
        folder=Path(folder) if folder else None,
    )
